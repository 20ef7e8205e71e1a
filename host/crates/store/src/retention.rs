//! What those who clear up need of a store: what has ended, and its removal in small steps. What
//! is to go, `pipeline::Retention` says.

use crate::StoreError;
use async_trait::async_trait;
use pipeline::{EndedJob, HostId, JobId, RootId};
use std::collections::HashMap;
use std::time::Duration;

/// Rows that one step looks at or removes.
pub const STEP: u32 = 500;

/// Some jobs, in the order in which they were submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedPage {
    /// Of those that were looked at, those that have ended.
    pub items: Vec<EndedJob>,
    /// The number of the last one that was looked at; none where there was none.
    pub last: Option<i64>,
    /// How long ago that one was submitted.
    pub submitted: Duration,
}

/// What a step removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Lines of this job.
    Logs(JobId),
    /// Events of this job but for the last one.
    Events(JobId),
    /// Events of no job.
    Others,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trimmed {
    /// So many rows are gone.
    Rows(u64),
    /// Another host is at it just now.
    Busy,
}

/// The part of a store for those who clear up. Ages are by the database's clock, and each call is
/// one short transaction; of those that remove rows, one at a time runs over all hosts.
#[async_trait]
pub trait RetentionStore: Send + Sync + std::fmt::Debug {
    /// Looks at the next [`STEP`] jobs after this number.
    async fn ended_after(&self, number: i64) -> Result<EndedPage, StoreError>;

    /// Of these jobs, those that have ended, and how long ago. One that isn't there is missing.
    async fn ended(&self, jobs: &[JobId]) -> Result<HashMap<JobId, Duration>, StoreError>;

    /// Removes up to [`STEP`] rows that are older than this; of a job, only where it ended longer
    /// ago than that.
    async fn trim(&self, trim: Trim, older: Duration) -> Result<Trimmed, StoreError>;

    /// Deletes a job and all that is its, where it ended longer ago than this and has no
    /// published site.
    async fn forget(&self, job: JobId, older: Duration) -> Result<Trimmed, StoreError>;

    /// Notes that this host is about to remove a job's workspace, where the job has ended and its
    /// workspace is in this root. False: it mustn't. From here on nobody sets the job going again
    /// until [`RetentionStore::workspace_removed`].
    async fn remove_workspace(
        &self,
        job: JobId,
        root: &RootId,
        host: &HostId,
    ) -> Result<bool, StoreError>;

    /// Notes that the workspace is out of the way.
    async fn workspace_removed(&self, job: JobId, host: &HostId) -> Result<(), StoreError>;
}
