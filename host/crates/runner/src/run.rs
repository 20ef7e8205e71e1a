//! The interface: what is started, what is known of it, and how it ended.
//! No engine and no process is named here.

use crate::RunnerError;
use async_trait::async_trait;
use pipeline::{JobId, RunKey, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How long an agent has after `SIGTERM` when its time is up; then it is killed.
pub(crate) const TIME_UP_GRACE: Duration = Duration::from_secs(10);

/// Where agents run.
#[async_trait]
pub trait Runner: Send + Sync {
    /// What it is, and whether it isolates. Asks nothing of the outside.
    fn about(&self) -> About;

    /// Which engine its runs stand in, where only who reaches it can go on with them; none
    /// before it was asked, and where every host that has the workspace reaches them.
    fn engine(&self) -> Option<String> {
        None
    }

    /// What is asked of its engine for each run and isn't enforced there, each with its mend; as
    /// far as the engine was asked.
    fn unenforced(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether it could start a run now; the error names the mend.
    async fn check(&self) -> Result<Checked, RunnerError>;

    /// The paths that the agent sees, for the variables that the driver gives it.
    fn places(&self, spec: &RunSpec) -> Places;

    /// Starts the run, or adopts what stands under its name, running or ended. A name is
    /// started at most once: where it was started and nothing stands there any more, the
    /// answer is [`RunnerError::Vanished`].
    async fn start(&self, spec: &RunSpec) -> Result<Box<dyn Run>, RunnerError>;

    /// Every run of this installation that stands, running or ended. Whether a job wants
    /// it, the store says.
    async fn list(&self) -> Result<Vec<Found>, RunnerError>;

    /// Ends what stands under the name at once, and removes it. Gone already is fine.
    async fn remove(&self, name: &str) -> Result<(), RunnerError>;

    /// The last `bytes` of what the agent wrote to its standard output and standard error,
    /// for people. Empty where nothing stands under the name.
    async fn tail(&self, name: &str, bytes: usize) -> Result<String, RunnerError>;
}

/// A run that stands. Dropping it stops nothing.
#[async_trait]
pub trait Run: Send + Sync {
    /// Whether it stood there before `start`.
    fn adopted(&self) -> bool;

    /// Until it has ended, at the latest shortly after its time limit. Can be dropped and
    /// called again; once it has ended, each call gives the same answer until the run is
    /// removed. An error says nothing about the run: ask again later.
    async fn wait(&mut self) -> Result<Ended, RunnerError>;

    /// `SIGTERM`, and after `grace` `SIGKILL` to whatever is left. Returns when the run has
    /// ended; ended already is fine.
    async fn stop(&self, grace: Duration) -> Result<(), RunnerError>;
}

/// What a runner is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// `docker` or `process`.
    pub name: &'static str,
    /// Whether the agent is kept from the machine.
    pub isolates: bool,
    /// What it means for people, in a sentence.
    pub note: String,
}

/// A runner that could start a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The engine and its version, or the command that would be started.
    pub engine: String,
    /// The engine's API version, where there is one.
    pub api: Option<String>,
    /// `1` or `2`, where the runner uses cgroups.
    pub cgroup: Option<String>,
    /// What limits don't hold, and how to mend that.
    pub warnings: Vec<String>,
}

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Unique over installations, as [`RunKey::name`] makes it.
    pub name: String,
    /// Whose it is: kept beside it, for [`Runner::list`].
    pub key: RunKey,
    /// All that the agent sees of the environment, but for `PATH`, `HOME` and the like.
    pub env: BTreeMap<String, String>,
    /// The folder that the agent works in, as this host sees it, like the next three.
    pub workspace: PathBuf,
    /// Prompt and socket; read-only for the agent. Holds the marker of the start too, so it
    /// must be kept for as long as `start` may be called.
    pub run_dir: PathBuf,
    /// For the agent's raw output.
    pub out_dir: PathBuf,
    /// For what the agent carries from run to run.
    pub session_dir: PathBuf,
    /// Whom the agent runs as.
    pub owner: Owner,
    /// What it may use.
    pub limits: RunLimits,
    /// From the run's own start, so that an adopted run keeps its deadline.
    pub time_limit: Duration,
}

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// What a run may use. `process` keeps `log_bytes` and `file_bytes` only.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunLimits {
    /// Memory, swap included.
    pub memory_bytes: u64,
    /// Processors, in fractions.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u32,
    /// Of `/tmp` and of `HOME` each; both are memory.
    pub tmp_bytes: u64,
    /// Kept of what it writes to standard output and standard error.
    pub log_bytes: u64,
    /// Of any one file.
    pub file_bytes: u64,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            cpus: 1.0,
            pids: 512,
            tmp_bytes: 256 << 20,
            log_bytes: 1 << 20,
            file_bytes: 1 << 30,
        }
    }
}

/// The four folders as the agent sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `WORKSPACE_DIR`.
    pub workspace: PathBuf,
    /// Where prompt and socket are.
    pub run: PathBuf,
    /// `OUT_DIR`.
    pub out: PathBuf,
    /// `SESSION_DIR`.
    pub session: PathBuf,
}

/// A run that stands, as [`Runner::list`] sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// For [`Runner::remove`].
    pub name: String,
    /// The key's job.
    pub job: JobId,
    /// As it was given at the start.
    pub key: RunKey,
    /// Whether it goes on.
    pub running: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How a run ended, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub how: How,
    /// The exit status, 128 and the signal where one ended it; none where it is unknown.
    pub exit_code: Option<i32>,
    /// Whether one of its processes was killed for want of memory, also where the rest went on.
    pub starved: bool,
    /// By the clock that ran it.
    pub started_at: Timestamp,
    /// By the clock that ran it.
    pub finished_at: Timestamp,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By itself, or because it was stopped.
    Exited {
        /// The exit status, 128 and the signal where one ended it.
        code: i32,
    },
    /// It was stopped because its time was up.
    TimedOut,
    /// It was killed for want of memory.
    OutOfMemory,
    /// It was cut off, as by a crash of the engine or the machine, or removed.
    Vanished,
}
