//! What a driver needs of a store. It doesn't say how: see `postgres` and `sqlite`.

use crate::{
    Appended, Ask, Beat, Begin, Change, Claimed, Committed, Hold, HostReport, JobState, Piece,
    PipelineEntry, Site, StoreError, Taker, Wake,
};
use async_trait::async_trait;
use pipeline::{Breaker, BreakerGate, BreakerRule, Digest, Event, HostId, JobId, LogLine};
use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;
use tokio::sync::broadcast;

/// A driver's store.
///
/// A call that ends in [`StoreError::Away`] may have been done or not. Of a commit that ended so,
/// let go of the job: a claim with `TakeOver::Own` gives it back as the database has it.
#[async_trait]
pub trait DriverStore: Send + Sync + std::fmt::Debug {
    /// Takes jobs: those to take over first, then by priority and age. Each is given to one host
    /// only, under a lease higher than any before, and what `begin` makes of it is committed with
    /// that: one transaction from a job that waits to one that has begun.
    async fn claim_and_begin(
        &self,
        ask: &Ask,
        begin: &Begin<'_>,
    ) -> Result<Vec<Claimed>, StoreError>;

    /// The same for who begins them afterwards.
    async fn claim(&self, ask: &Ask) -> Result<Vec<Claimed>, StoreError> {
        self.claim_and_begin(ask, &|_| None).await
    }

    /// From now on what this process submits is given to this driver in the same transaction, as
    /// far as it has room. The first one that stands by stays.
    fn stand_by(&self, taker: Weak<dyn Taker>);

    /// How long there will be nothing to claim, unless somebody wakes; none where nothing is in
    /// sight. Cheap: what an idle host asks.
    async fn idle_for(&self, ask: &Ask) -> Result<Option<Duration>, StoreError>;

    /// Has every line looked at by the next claim, should somebody's turn have been missed.
    async fn sweep(&self) -> Result<(), StoreError>;

    /// Extends claims by `lease_time` from the database's now, and says that the host is alive.
    /// A hold that isn't in the answer is lost.
    async fn heartbeat(
        &self,
        host: &HostId,
        holds: &[Hold],
        lease_time: Duration,
    ) -> Result<Vec<Beat>, StoreError>;

    /// Changes a job, all at once or not at all: state, blobs, events, and what is published.
    /// A job that doesn't run any more is let go of.
    ///
    /// # Errors
    /// [`StoreError::SlugTaken`] where a publication's address is another job's.
    async fn commit(&self, hold: &Hold, change: &Change) -> Result<Committed, StoreError>;

    /// Adds events and lines of a running job; false where the lease is lost. `seq` and `at` of
    /// the lines are given here; an `agent.delta` is left out, since none is stored.
    async fn append(
        &self,
        hold: &Hold,
        events: &[Event],
        lines: &[LogLine],
    ) -> Result<bool, StoreError>;

    /// Adds what came of a piece of an agent's output, once: only where the piece begins at the
    /// run's offset, which it moves to the piece's end in the same transaction. Else it changes
    /// nothing and says where the offset stands.
    async fn append_output(
        &self,
        hold: &Hold,
        piece: &Piece,
        events: &[Event],
        lines: &[LogLine],
    ) -> Result<Appended, StoreError>;

    /// Up to which byte the output of this run was told: where a new holder's reader begins.
    async fn output_at(&self, job: JobId, run: &str) -> Result<u64, StoreError>;

    /// Bytes by digest.
    async fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps bytes that are no job's, such as a plugin's.
    async fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError>;

    /// An address for the job's site of this index, as near to the wish as can be had. It stays
    /// the job's until the site or the job is deleted. None where the lease is lost.
    async fn reserve_slug(
        &self,
        hold: &Hold,
        wish: &str,
        index: u32,
    ) -> Result<Option<String>, StoreError>;

    /// Whether a run of this job may ask the provider now, by the breaker that all hosts share.
    async fn ask_breaker(
        &self,
        provider: &str,
        job: JobId,
        rule: &BreakerRule,
    ) -> Result<BreakerGate, StoreError>;

    /// Notes that the provider failed this job, and judges it together with what others noted, in
    /// one transaction. The breaker, where that opened it. The same note twice is one.
    async fn provider_failed(
        &self,
        provider: &str,
        job: JobId,
        rule: &BreakerRule,
    ) -> Result<Option<Breaker>, StoreError>;

    /// Notes that the provider answered well; whether it was away until now.
    async fn provider_answered(&self, provider: &str) -> Result<bool, StoreError>;

    /// Where these jobs stand; one that isn't there is missing.
    async fn states(&self, jobs: &[JobId]) -> Result<HashMap<JobId, JobState>, StoreError>;

    /// Every published site.
    async fn published(&self) -> Result<Vec<Site>, StoreError>;

    /// Says what this host is and has. Hosts that weren't heard of for a week are forgotten.
    async fn report_host(&self, report: &HostReport) -> Result<(), StoreError>;

    /// The pipelines that there are, in place of those before.
    async fn put_pipelines(&self, pipelines: &[PipelineEntry]) -> Result<(), StoreError>;

    /// Adds events of no job.
    async fn tell(&self, events: &[Event]) -> Result<(), StoreError>;

    /// Which store this is: twelve hex digits, made up once.
    async fn installation(&self) -> Result<String, StoreError>;

    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Hints from now on. Listen first, then ask, or one is lost.
    fn wakes(&self) -> broadcast::Receiver<Wake>;

    /// Whether hints of other hosts arrive. Where they don't, whoever waits polls.
    fn hears(&self) -> bool;

    /// Whether somebody watches this job, here or on another host.
    fn is_watched(&self, job: JobId) -> bool;

    /// Tells whoever watches a job what isn't kept, as an `agent.delta`. It waits for nothing, and
    /// may be lost.
    fn say(&self, job: JobId, event: Event);
}
