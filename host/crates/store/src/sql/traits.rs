//! The traits, word by word: each call in its time, each error with the place. No SQL here; what
//! a store is made of, and how it is opened, is each database's own.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{
    Face, Store, access, act, append, breaker, claim, commit, events, gates, holds, lines, plugins,
    read, report, submit,
};
use crate::error::Fault;
use crate::lane::Lane;
use crate::write::{JobChange, NewRow};
use crate::{
    AccessStore, Acted, Admins, ApiStore, Appended, Ask, Beat, Begin, Change, Claimed, Committed,
    Created, Deleted, DriverStore, Faulted, Filter, Gate, GateChange, GateKind, Hold, HostReport,
    HostState, JobState, NewJob, NewToken, Page, Piece, PipelineEntry, PluginStore, Position,
    Revoked, RolledBack, Session, Site, StoreError, Submitted, Taker, Wake, Watching,
};
use async_trait::async_trait;
use pipeline::{
    BlameRule, Breaker, BreakerGate, BreakerRule, Digest, Event, HostId, Input, Job, JobId, Limits,
    LogLine, PluginGeneration, PluginHold, PluginPin, RecordedCall, Status, StoredEvent, Timestamp,
    Token,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Weak};
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

impl Face {
    /// The store with its lanes, which end with it.
    pub(super) fn of(store: Store) -> Self {
        let store = Arc::new(store);
        let (for_commits, for_submits) = (Arc::clone(&store), Arc::clone(&store));
        Self {
            commits: Lane::start(&store.place, move |changes| {
                let store = Arc::clone(&for_commits);
                async move { commit::together(&store, changes).await }
            }),
            submits: Lane::start(&store.place, move |rows| {
                let store = Arc::clone(&for_submits);
                async move { submit::together(&store, rows).await }
            }),
            store,
        }
    }
}

#[async_trait]
impl DriverStore for Face {
    async fn claim_and_begin(
        &self,
        ask: &Ask,
        begin: &Begin<'_>,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.store
            .within(claim::claim(&self.store, ask, begin))
            .await
    }

    fn stand_by(&self, taker: Weak<dyn Taker>) {
        self.store.stand.by(taker);
    }

    async fn idle_for(&self, ask: &Ask) -> Result<Option<Duration>, StoreError> {
        self.store.within(claim::idle_for(&self.store, ask)).await
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        self.store.within(lines::sweep(&self.store)).await
    }

    async fn heartbeat(
        &self,
        host: &HostId,
        holds: &[Hold],
        lease_time: Duration,
    ) -> Result<Vec<Beat>, StoreError> {
        self.store
            .within(claim::heartbeat(&self.store, host, holds, lease_time))
            .await
    }

    async fn commit(&self, hold: &Hold, change: &Change) -> Result<Committed, StoreError> {
        let change = JobChange::of(hold, change)?;
        if change.alone() {
            return self.store.within(commit::alone(&self.store, &change)).await;
        }
        self.commits.call(change).await
    }

    async fn append(
        &self,
        hold: &Hold,
        events: &[Event],
        lines: &[LogLine],
    ) -> Result<bool, StoreError> {
        self.store
            .within(append::append(&self.store, hold, events, lines))
            .await
    }

    async fn append_output(
        &self,
        hold: &Hold,
        piece: &Piece,
        events: &[Event],
        lines: &[LogLine],
    ) -> Result<Appended, StoreError> {
        self.store
            .within(append::append_output(
                &self.store,
                hold,
                piece,
                events,
                lines,
            ))
            .await
    }

    async fn output_at(&self, job: JobId, run: &str) -> Result<u64, StoreError> {
        self.store
            .within(append::output_at(&self.store, job, run))
            .await
    }

    async fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.within(read::blob(&self.store, digest)).await
    }

    async fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        self.store
            .within(report::put_blob(&self.store, bytes))
            .await
    }

    async fn reserve_slug(
        &self,
        hold: &Hold,
        wish: &str,
        index: u32,
    ) -> Result<Option<String>, StoreError> {
        self.store
            .within(commit::reserve_slug(&self.store, hold, wish, index))
            .await
    }

    async fn ask_breaker(
        &self,
        provider: &str,
        job: JobId,
        rule: &BreakerRule,
    ) -> Result<BreakerGate, StoreError> {
        self.store
            .within(breaker::ask(&self.store, provider, job, rule))
            .await
    }

    async fn provider_failed(
        &self,
        provider: &str,
        job: JobId,
        rule: &BreakerRule,
    ) -> Result<Option<Breaker>, StoreError> {
        self.store
            .within(breaker::failed(&self.store, provider, job, rule))
            .await
    }

    async fn provider_answered(&self, provider: &str) -> Result<bool, StoreError> {
        self.store
            .within(breaker::answered(&self.store, provider))
            .await
    }

    async fn states(&self, jobs: &[JobId]) -> Result<HashMap<JobId, JobState>, StoreError> {
        self.store.within(holds::states(&self.store, jobs)).await
    }

    async fn published(&self) -> Result<Vec<Site>, StoreError> {
        self.store.within(read::published(&self.store)).await
    }

    async fn report_host(&self, report: &HostReport) -> Result<(), StoreError> {
        self.store
            .within(report::report_host(&self.store, report))
            .await
    }

    async fn put_pipelines(&self, pipelines: &[PipelineEntry]) -> Result<(), StoreError> {
        self.store
            .within(report::put_pipelines(&self.store, pipelines))
            .await
    }

    async fn tell(&self, events: &[Event]) -> Result<(), StoreError> {
        self.store.within(report::tell(&self.store, events)).await
    }

    async fn installation(&self) -> Result<String, StoreError> {
        self.store.within(read::installation(&self.store)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.within(read::ping(&self.store)).await
    }

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.store.bell.listen()
    }

    fn hears(&self) -> bool {
        self.store.bell.hears()
    }

    fn is_watched(&self, job: JobId) -> bool {
        self.store.live.is_watched(job)
    }

    fn say(&self, job: JobId, event: Event) {
        self.store.live.say(job, event);
    }
}

#[async_trait]
impl ApiStore for Face {
    async fn submit(&self, new: &NewJob) -> Result<Submitted, StoreError> {
        let row = NewRow::of(new).map_err(|fault| fault.at(&self.store.place))?;
        if row.alone() {
            return self.store.within(submit::alone(&self.store, &row)).await;
        }
        self.submits.call(row).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.store.within(read::job(&self.store, id)).await
    }

    async fn jobs(&self, filter: &Filter) -> Result<Page<Job>, StoreError> {
        self.store.within(read::jobs(&self.store, filter)).await
    }

    async fn act(
        &self,
        id: JobId,
        input: Input,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Acted, StoreError> {
        self.store
            .within(act::act(&self.store, id, input, limits, now))
            .await
    }

    async fn set_gate(
        &self,
        kind: GateKind,
        name: &str,
        change: &GateChange,
    ) -> Result<(), StoreError> {
        self.store
            .within(gates::set(&self.store, kind, name, change))
            .await
    }

    async fn gates(&self) -> Result<Vec<Gate>, StoreError> {
        self.store.within(gates::list(&self.store)).await
    }

    async fn delete(&self, id: JobId) -> Result<Deleted, StoreError> {
        self.store.within(act::delete(&self.store, id)).await
    }

    async fn job_events(
        &self,
        id: JobId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.store
            .within(read::job_events(&self.store, id, after, limit))
            .await
    }

    async fn stream(&self, after: Position, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        self.store
            .within(events::stream(&self.store, after, limit))
            .await
    }

    async fn stream_end(&self) -> Result<Position, StoreError> {
        self.store.within(events::stream_end(&self.store)).await
    }

    async fn logs(&self, id: JobId, after: i64, limit: u32) -> Result<Vec<LogLine>, StoreError> {
        self.store
            .within(read::logs(&self.store, id, after, limit))
            .await
    }

    async fn in_groups(
        &self,
        jobs: &[JobId],
        groups: &BTreeSet<String>,
    ) -> Result<BTreeSet<JobId>, StoreError> {
        self.store
            .within(holds::in_groups(&self.store, jobs, groups))
            .await
    }

    async fn sites(
        &self,
        limit: u32,
        cursor: Option<i64>,
        groups: Option<&BTreeSet<String>>,
    ) -> Result<Page<Site>, StoreError> {
        self.store
            .within(read::sites(&self.store, limit, cursor, groups))
            .await
    }

    async fn site(&self, slug: &str) -> Result<Option<Site>, StoreError> {
        self.store.within(read::site(&self.store, slug)).await
    }

    async fn delete_site(&self, slug: &str) -> Result<bool, StoreError> {
        self.store
            .within(report::delete_site(&self.store, slug))
            .await
    }

    async fn hosts(&self) -> Result<Vec<HostState>, StoreError> {
        self.store.within(read::hosts(&self.store)).await
    }

    async fn pipelines(&self) -> Result<Vec<PipelineEntry>, StoreError> {
        self.store.within(read::pipelines(&self.store)).await
    }

    async fn breakers(&self) -> Result<BTreeMap<String, Breaker>, StoreError> {
        self.store.within(breaker::all(&self.store)).await
    }

    async fn counts(
        &self,
        groups: Option<&BTreeSet<String>>,
    ) -> Result<BTreeMap<Status, u64>, StoreError> {
        self.store.within(read::counts(&self.store, groups)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.within(read::ping(&self.store)).await
    }

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.store.bell.listen()
    }

    fn hears(&self) -> bool {
        self.store.bell.hears()
    }

    fn watch(&self, job: JobId) -> Watching {
        self.store.live.watch(job)
    }
}

#[async_trait]
impl AccessStore for Face {
    async fn create_token(&self, new: &NewToken, admins: Admins) -> Result<Created, StoreError> {
        self.store
            .within(access::create(&self.store, new, admins))
            .await
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.store.within(access::all(&self.store)).await
    }

    async fn token(&self, digest: &Digest) -> Result<Option<Token>, StoreError> {
        self.store.within(access::live(&self.store, digest)).await
    }

    async fn has_tokens(&self) -> Result<bool, StoreError> {
        self.store.within(access::any(&self.store)).await
    }

    async fn token_used(&self, id: &str) -> Result<(), StoreError> {
        self.store.within(access::used(&self.store, id)).await
    }

    async fn revoke_token(&self, id: &str, admins: Admins) -> Result<Revoked, StoreError> {
        self.store
            .within(access::revoke(&self.store, id, admins))
            .await
    }

    async fn put_session(&self, digest: &Digest, session: &Session) -> Result<(), StoreError> {
        self.store
            .within(access::put_session(&self.store, digest, session))
            .await
    }

    async fn session(&self, digest: &Digest) -> Result<Option<Session>, StoreError> {
        self.store
            .within(access::session(&self.store, digest))
            .await
    }

    async fn delete_session(&self, digest: &Digest) -> Result<(), StoreError> {
        self.store
            .within(access::delete_session(&self.store, digest))
            .await
    }
}

#[async_trait]
impl PluginStore for Face {
    async fn accepted(&self, file: &str, pin: &PluginPin, bytes: &[u8]) -> Result<(), StoreError> {
        self.store
            .within(plugins::accepted(&self.store, file, pin, bytes))
            .await
    }

    async fn held_by(&self, file: &str) -> Result<Vec<PluginGeneration>, StoreError> {
        self.store.within(plugins::held_by(&self.store, file)).await
    }

    async fn forget_file(&self, file: &str) -> Result<(), StoreError> {
        self.store
            .within(plugins::forget_file(&self.store, file))
            .await
    }

    async fn faulted(
        &self,
        fault: &Faulted,
        rule: &BlameRule,
    ) -> Result<Option<PluginHold>, StoreError> {
        self.store
            .within(plugins::faulted(&self.store, fault, rule))
            .await
    }

    async fn roll_back(&self, pin: &PluginPin, message: &str) -> Result<RolledBack, StoreError> {
        self.store
            .within(plugins::roll_back(&self.store, pin, message))
            .await
    }

    async fn release(&self, name: &str) -> Result<Vec<Digest>, StoreError> {
        self.store.within(plugins::release(&self.store, name)).await
    }

    async fn holds(&self) -> Result<Vec<PluginHold>, StoreError> {
        self.store.within(plugins::holds(&self.store)).await
    }

    async fn record(&self, call: &RecordedCall) -> Result<(), StoreError> {
        self.store.within(plugins::record(&self.store, call)).await
    }

    async fn recorded(&self, name: &str, limit: u32) -> Result<Vec<RecordedCall>, StoreError> {
        self.store
            .within(plugins::recorded(&self.store, name, limit))
            .await
    }
}
