//! What the API needs of a store. It holds no lease and never writes to a running job, but for
//! the request to end it.

use crate::{
    Acted, Deleted, Filter, Gate, GateChange, GateKind, HostState, NewJob, Page, PipelineEntry,
    Position, Site, StoreError, Submitted, Wake, Watching,
};
use async_trait::async_trait;
use pipeline::{Breaker, Input, Job, JobId, Limits, LogLine, Status, StoredEvent, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::broadcast;

/// The API's store.
#[async_trait]
pub trait ApiStore: Send + Sync + std::fmt::Debug {
    /// Adds a job, once a key.
    async fn submit(&self, new: &NewJob) -> Result<Submitted, StoreError>;

    /// A job.
    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Jobs, newest first.
    async fn jobs(&self, filter: &Filter) -> Result<Page<Job>, StoreError>;

    /// Gives a job that no host holds an input: `Retry`, `Feedback` or `Cancel`. `Cancel` of a
    /// running job asks its holder, and may be asked again; another input is illegal then.
    async fn act(
        &self,
        id: JobId,
        input: Input,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Acted, StoreError>;

    /// [`ApiStore::act`] with `Cancel`.
    async fn cancel(
        &self,
        id: JobId,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Acted, StoreError> {
        self.act(id, Input::Cancel, limits, now).await
    }

    /// Sets a limit or a pause. What runs goes on; what would be over a new limit waits.
    async fn set_gate(
        &self,
        kind: GateKind,
        name: &str,
        change: &GateChange,
    ) -> Result<(), StoreError>;

    /// Every limit and pause there is, by kind and name.
    async fn gates(&self) -> Result<Vec<Gate>, StoreError>;

    /// Deletes a job that doesn't run, and all that is its: events, lines, blobs, sites, addresses.
    async fn delete(&self, id: JobId) -> Result<Deleted, StoreError>;

    /// Events of a job after number `after`, in order.
    async fn job_events(
        &self,
        id: JobId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// Events of all jobs and plugins after `after`. None is skipped: one that was written before
    /// another but is committed later comes in its place, and what comes after it waits for it: an
    /// event may come a little later than its wake-up, so ask again after a moment.
    async fn stream(&self, after: Position, limit: u32) -> Result<Vec<StoredEvent>, StoreError>;

    /// A place in the stream that what is written from now on comes after.
    async fn stream_end(&self) -> Result<Position, StoreError>;

    /// Lines of a job after number `after`, in order.
    async fn logs(&self, id: JobId, after: i64, limit: u32) -> Result<Vec<LogLine>, StoreError>;

    /// Which of these jobs are of one of these groups.
    async fn in_groups(
        &self,
        jobs: &[JobId],
        groups: &BTreeSet<String>,
    ) -> Result<BTreeSet<JobId>, StoreError>;

    /// Sites, newest first; `cursor` is the number of the last one seen. With `groups` only those
    /// of their jobs.
    async fn sites(
        &self,
        limit: u32,
        cursor: Option<i64>,
        groups: Option<&BTreeSet<String>>,
    ) -> Result<Page<Site>, StoreError>;

    /// The site at this address.
    async fn site(&self, slug: &str) -> Result<Option<Site>, StoreError>;

    /// Takes a site back and frees its address; whether it was there.
    async fn delete_site(&self, slug: &str) -> Result<bool, StoreError>;

    /// The hosts that were heard of lately.
    async fn hosts(&self) -> Result<Vec<HostState>, StoreError>;

    /// The pipelines, by name.
    async fn pipelines(&self) -> Result<Vec<PipelineEntry>, StoreError>;

    /// What is known of each provider.
    async fn breakers(&self) -> Result<BTreeMap<String, Breaker>, StoreError>;

    /// How many jobs stand where, of these groups or of all; a status without a job is 0.
    async fn counts(
        &self,
        groups: Option<&BTreeSet<String>>,
    ) -> Result<BTreeMap<Status, u64>, StoreError>;

    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Hints from now on. Listen first, then ask, or one is lost.
    fn wakes(&self) -> broadcast::Receiver<Wake>;

    /// Whether hints of other hosts arrive. Where they don't, whoever waits polls.
    fn hears(&self) -> bool;

    /// What isn't kept of a job, from now on: as it comes, or not at all.
    fn watch(&self, job: JobId) -> Watching;
}
