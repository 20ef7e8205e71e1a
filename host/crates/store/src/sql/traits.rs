//! Both traits, word by word: each call in its time, each error with the place. No SQL here; what
//! a store is made of, and how it is opened, is each database's own.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Store, act, append, breaker, claim, commit, events, holds, plugins, read, report};
use crate::error::Fault;
use crate::{
    Acted, ApiStore, Appended, Ask, Beat, Change, Claimed, Committed, Deleted, DriverStore,
    Faulted, Filter, Hold, HostReport, HostState, JobState, NewJob, Page, Piece, PipelineEntry,
    PluginStore, Position, RolledBack, Site, StoreError, Submitted, Wake,
};
use async_trait::async_trait;
use pipeline::{
    BlameRule, Breaker, BreakerGate, BreakerRule, Digest, Event, HostId, Input, Job, JobId, Limits,
    LogLine, PluginGeneration, PluginHold, PluginPin, RecordedCall, Status, StoredEvent, Timestamp,
};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::time::Duration;
use tokio::sync::broadcast;

impl Store {
    /// What SQL is given as now: nothing, where it asks the database itself.
    pub(super) fn now(&self) -> Option<i64> {
        self.clock.fixed()
    }

    /// A call in its time. One that is cut off is rolled back.
    pub(super) async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.call_within, call).await {
            Ok(answer) => answer.map_err(|fault| fault.at(&self.place)),
            Err(_) => Err(StoreError::Away {
                place: self.place.clone(),
                what: format!("no answer in {} ms", self.call_within.as_millis()),
            }),
        }
    }
}

#[async_trait]
impl DriverStore for Store {
    async fn claim(&self, ask: &Ask) -> Result<Vec<Claimed>, StoreError> {
        self.within(claim::claim(self, ask)).await
    }

    async fn heartbeat(
        &self,
        host: &HostId,
        holds: &[Hold],
        lease_time: Duration,
    ) -> Result<Vec<Beat>, StoreError> {
        self.within(claim::heartbeat(self, host, holds, lease_time))
            .await
    }

    async fn commit(&self, hold: &Hold, change: &Change) -> Result<Committed, StoreError> {
        self.within(commit::commit(self, hold, change)).await
    }

    async fn append(
        &self,
        hold: &Hold,
        events: &[Event],
        lines: &[LogLine],
    ) -> Result<bool, StoreError> {
        self.within(append::append(self, hold, events, lines)).await
    }

    async fn append_output(
        &self,
        hold: &Hold,
        piece: &Piece,
        events: &[Event],
        lines: &[LogLine],
    ) -> Result<Appended, StoreError> {
        self.within(append::append_output(self, hold, piece, events, lines))
            .await
    }

    async fn output_at(&self, job: JobId, run: &str) -> Result<u64, StoreError> {
        self.within(append::output_at(self, job, run)).await
    }

    async fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.within(read::blob(self, digest)).await
    }

    async fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        self.within(report::put_blob(self, bytes)).await
    }

    async fn reserve_slug(
        &self,
        hold: &Hold,
        wish: &str,
        index: u32,
    ) -> Result<Option<String>, StoreError> {
        self.within(commit::reserve_slug(self, hold, wish, index))
            .await
    }

    async fn ask_breaker(
        &self,
        provider: &str,
        job: JobId,
        rule: &BreakerRule,
    ) -> Result<BreakerGate, StoreError> {
        self.within(breaker::ask(self, provider, job, rule)).await
    }

    async fn provider_failed(
        &self,
        provider: &str,
        job: JobId,
        rule: &BreakerRule,
    ) -> Result<Option<Breaker>, StoreError> {
        self.within(breaker::failed(self, provider, job, rule))
            .await
    }

    async fn provider_answered(&self, provider: &str) -> Result<bool, StoreError> {
        self.within(breaker::answered(self, provider)).await
    }

    async fn states(&self, jobs: &[JobId]) -> Result<HashMap<JobId, JobState>, StoreError> {
        self.within(holds::states(self, jobs)).await
    }

    async fn published(&self) -> Result<Vec<Site>, StoreError> {
        self.within(read::published(self)).await
    }

    async fn report_host(&self, report: &HostReport) -> Result<(), StoreError> {
        self.within(report::report_host(self, report)).await
    }

    async fn put_pipelines(&self, pipelines: &[PipelineEntry]) -> Result<(), StoreError> {
        self.within(report::put_pipelines(self, pipelines)).await
    }

    async fn tell(&self, events: &[Event]) -> Result<(), StoreError> {
        self.within(report::tell(self, events)).await
    }

    async fn installation(&self) -> Result<String, StoreError> {
        self.within(read::installation(self)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.within(read::ping(self)).await
    }

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.bell.listen()
    }
}

#[async_trait]
impl ApiStore for Store {
    async fn submit(&self, new: &NewJob) -> Result<Submitted, StoreError> {
        self.within(act::submit(self, new)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.within(read::job(self, id)).await
    }

    async fn jobs(&self, filter: &Filter) -> Result<Page<Job>, StoreError> {
        self.within(read::jobs(self, filter)).await
    }

    async fn act(
        &self,
        id: JobId,
        input: Input,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Acted, StoreError> {
        self.within(act::act(self, id, input, limits, now)).await
    }

    async fn delete(&self, id: JobId) -> Result<Deleted, StoreError> {
        self.within(act::delete(self, id)).await
    }

    async fn job_events(
        &self,
        id: JobId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.within(read::job_events(self, id, after, limit)).await
    }

    async fn stream(&self, after: Position, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        self.within(events::stream(self, after, limit)).await
    }

    async fn stream_end(&self) -> Result<Position, StoreError> {
        self.within(events::stream_end(self)).await
    }

    async fn logs(&self, id: JobId, after: i64, limit: u32) -> Result<Vec<LogLine>, StoreError> {
        self.within(read::logs(self, id, after, limit)).await
    }

    async fn sites(&self, limit: u32, cursor: Option<i64>) -> Result<Page<Site>, StoreError> {
        self.within(read::sites(self, limit, cursor)).await
    }

    async fn site(&self, slug: &str) -> Result<Option<Site>, StoreError> {
        self.within(read::site(self, slug)).await
    }

    async fn delete_site(&self, slug: &str) -> Result<bool, StoreError> {
        self.within(report::delete_site(self, slug)).await
    }

    async fn hosts(&self) -> Result<Vec<HostState>, StoreError> {
        self.within(read::hosts(self)).await
    }

    async fn pipelines(&self) -> Result<Vec<PipelineEntry>, StoreError> {
        self.within(read::pipelines(self)).await
    }

    async fn breakers(&self) -> Result<BTreeMap<String, Breaker>, StoreError> {
        self.within(breaker::all(self)).await
    }

    async fn counts(&self) -> Result<BTreeMap<Status, u64>, StoreError> {
        self.within(read::counts(self)).await
    }

    async fn put_session(&self, digest: &Digest, expires: Timestamp) -> Result<(), StoreError> {
        self.within(report::put_session(self, digest, expires))
            .await
    }

    async fn session(&self, digest: &Digest) -> Result<Option<Timestamp>, StoreError> {
        self.within(read::session(self, digest)).await
    }

    async fn delete_session(&self, digest: &Digest) -> Result<(), StoreError> {
        self.within(report::delete_session(self, digest)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.within(read::ping(self)).await
    }

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.bell.listen()
    }
}

#[async_trait]
impl PluginStore for Store {
    async fn accepted(&self, file: &str, pin: &PluginPin, bytes: &[u8]) -> Result<(), StoreError> {
        self.within(plugins::accepted(self, file, pin, bytes)).await
    }

    async fn held_by(&self, file: &str) -> Result<Vec<PluginGeneration>, StoreError> {
        self.within(plugins::held_by(self, file)).await
    }

    async fn forget_file(&self, file: &str) -> Result<(), StoreError> {
        self.within(plugins::forget_file(self, file)).await
    }

    async fn faulted(
        &self,
        fault: &Faulted,
        rule: &BlameRule,
    ) -> Result<Option<PluginHold>, StoreError> {
        self.within(plugins::faulted(self, fault, rule)).await
    }

    async fn roll_back(&self, pin: &PluginPin, message: &str) -> Result<RolledBack, StoreError> {
        self.within(plugins::roll_back(self, pin, message)).await
    }

    async fn release(&self, name: &str) -> Result<Vec<Digest>, StoreError> {
        self.within(plugins::release(self, name)).await
    }

    async fn holds(&self) -> Result<Vec<PluginHold>, StoreError> {
        self.within(plugins::holds(self)).await
    }

    async fn record(&self, call: &RecordedCall) -> Result<(), StoreError> {
        self.within(plugins::record(self, call)).await
    }

    async fn recorded(&self, name: &str, limit: u32) -> Result<Vec<RecordedCall>, StoreError> {
        self.within(plugins::recorded(self, name, limit)).await
    }
}
