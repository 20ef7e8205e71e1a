//! What a call of a plugin is given, and what comes back. It reads no files itself: who calls
//! brings them as [`Files`].

use crate::Recording;
use pipeline::{FileEntry, JobId, Level, Outcome, PluginLimits, StepError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The job that a call works on, as a plugin may see it.
#[derive(Clone)]
pub struct CallContext {
    /// The job.
    pub job: JobId,
    /// What to make.
    pub name: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The group given at submit.
    pub group: Option<String>,
    /// The phase's id; `deploy` in that step.
    pub phase: String,
    /// From 1.
    pub attempt: u32,
    /// From 1.
    pub revision: u32,
    /// A JSON object: what was given at submit.
    pub params: String,
    /// A JSON object: what the pipeline gives this phase.
    pub settings: String,
    /// Why the last attempt was sent back, or what a person asked for.
    pub feedback: Option<String>,
    /// When the call began, ms since 1970; the same on replay.
    pub now_ms: u64,
    /// Random bits; the same on replay.
    pub seed: u64,
    /// What this attempt's tasks left, each with the agent's last message.
    pub outcomes: Vec<(Outcome, String)>,
    /// The workspace.
    pub files: Arc<dyn Files>,
    /// Whether the call is recorded.
    pub record: bool,
    /// What the pipeline says in place of the host's own limits.
    pub limits: PluginLimits,
}

/// A workspace, as a plugin may read it. Called from blocking threads; every call must end by
/// itself within moments, since a deadline can't interrupt it.
pub trait Files: Send + Sync {
    /// Regular files at and below `dir` (empty: all), sorted by path, after `after`, at most
    /// `limit`; an empty list is the end.
    fn list(&self, dir: &str, after: Option<&str>, limit: u32)
    -> Result<Vec<FileEntry>, ReadError>;
    /// One regular file.
    fn stat(&self, path: &str) -> Result<FileEntry, ReadError>;
    /// At most `length` bytes from `offset`; fewer only at the end.
    fn read(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, ReadError>;
}

/// Why a file couldn't be read, in the words of `wit/phase.wit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadError {
    /// Nothing has this name.
    NotFound,
    /// A folder, a link, a socket or a device.
    NotAFile,
    /// Absolute, with `..`, empty or too long; why.
    InvalidPath(String),
    /// The host may not or will not read it; why.
    Denied(String),
    /// More than one call may read; the limit in bytes.
    TooLarge(u64),
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Called<T> {
    /// The checked answer, or why there is none.
    pub result: Result<T, StepError>,
    /// What the plugin logged, in order, within the limits.
    pub logs: Vec<(Level, String)>,
    /// How long the call itself took, without the wait for its turn.
    pub took: Duration,
    /// The most that all its memories had together.
    pub memory_bytes: usize,
    /// The call with all that it depended on, where it was to be recorded.
    pub recording: Option<Box<Recording>>,
}
