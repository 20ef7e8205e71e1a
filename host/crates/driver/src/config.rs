//! What a driver is told at start. It reads no environment and no file.

use pipeline::{
    BlameRule, Boundaries, BreakerRule, BudgetKind, HostId, Limits, Redactor, Retention,
};
use runner::RunLimits;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use workspace::{Owner, TreeLimits};

/// How this host drives jobs.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Who this host is: the same after a restart.
    pub host: HostId,
    /// `all` or `driver`.
    pub role: String,
    /// Which store this is: part of every run's name.
    pub installation: String,
    /// Jobs at once.
    pub max_concurrent: usize,
    /// The fallback behind wake-ups.
    pub poll: Duration,
    /// How long a lease holds without a heartbeat.
    pub lease_time: Duration,
    /// Sockets, prompts and output of runs.
    pub run_dir: PathBuf,
    /// Of an agent that says nothing else, and the most that a pipeline may ask for.
    pub run_limits: RunLimits,
    /// What a job's agents may leave on the disk where the pipeline says nothing else, in bytes.
    pub disk_bytes: u64,
    /// The most that a pipeline may ask for.
    pub most: MostLimits,
    /// How long an agent may print nothing; none where that is for ever.
    pub idle: Option<Duration>,
    /// What nobody is told of what agents and plugins print.
    pub secrets: Redactor,
    /// Who owns a workspace.
    pub owners: Owners,
    /// The agent as people call it.
    pub agent: AgentAbout,
    /// On everything that isn't trusted.
    pub limits: Limits,
    /// Who answers agents, as people call it; none where no agent asks anybody.
    pub provider: Option<String>,
    /// When the provider counts as away.
    pub breaker: BreakerRule,
    /// The most that may be spent, whatever a pipeline or a person says, in micro-dollars.
    pub budgets: BTreeMap<BudgetKind, u64>,
    /// When a plugin's faults count against it.
    pub blame: BlameRule,
    /// Whether calls of plugins are recorded, where their pipeline allows it.
    pub record: bool,
    /// What is kept of jobs that have ended, and for how long.
    pub retention: Retention,
    /// On trees that agents left.
    pub trees: TreeLimits,
    /// On what agents keep as sessions, of one job.
    pub sessions: TreeLimits,
    /// For the agent beside the contract's own, such as a test's pace.
    pub agent_env: Vec<(String, String)>,
    /// A container or folder younger than this is never taken for an orphan.
    pub orphan_age: Duration,
    /// Who is told how far a job has got, for tests.
    pub boundaries: Boundaries,
    /// How far this host's clock is ahead of the machine's, for tests.
    pub clock_ahead: Duration,
}

/// The most that a pipeline may ask for.
#[derive(Clone, Copy, Debug)]
pub struct MostLimits {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processors.
    pub cpus: f64,
    /// Bytes on the disk.
    pub disk_bytes: u64,
}

/// The agent as people call it, and how to get another.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AgentAbout {
    /// `demo agent` or `Claude Code`.
    pub name: String,
    /// Whether it works without a model.
    pub demo: bool,
    /// How to switch to Claude Code; empty where that is what runs.
    pub hint: String,
}

/// Who owns a job's workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The host's own user, whom the agent runs as.
    Own(Owner),
    /// A uid of its own for each job, from a range; for a host that is root.
    Range {
        /// The first uid.
        first: u32,
        /// How many.
        count: u32,
    },
}

impl Owners {
    /// Who owns the workspace of the job with this number, and whether it must be given to them.
    pub(crate) fn of(self, number: i64) -> (Owner, Option<Owner>) {
        match self {
            Self::Own(owner) => (owner, None),
            Self::Range { first, count } => {
                let offset = number.rem_euclid(i64::from(count.max(1)));
                let uid = first + u32::try_from(offset).unwrap_or(0);
                let owner = Owner { uid, gid: uid };
                (owner, Some(owner))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_of_a_root_host_has_a_uid_of_the_range() {
        let owners = Owners::Range {
            first: 200_000,
            count: 3,
        };
        let uids: Vec<u32> = (1..=4).map(|number| owners.of(number).0.uid).collect();
        assert_eq!(uids, [200_001, 200_002, 200_000, 200_001]);
        let own = Owners::Own(Owner {
            uid: 1000,
            gid: 1000,
        });
        assert_eq!(own.of(7).1, None);
    }
}
