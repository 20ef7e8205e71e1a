//! What is told about a job: events, and lines of its log. Numbers and times come from the store.

use crate::{JobId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The closed list of event types; the words are those of the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// Submitted, sent back or given back: wants only a slot.
    #[serde(rename = "job.queued")]
    JobQueued,
    /// Waits for what its `wait` says.
    #[serde(rename = "job.waiting")]
    JobWaiting,
    /// Taken for the first time in this revision.
    #[serde(rename = "job.started")]
    JobStarted,
    /// Taken again, after a pause or a crash.
    #[serde(rename = "job.resumed")]
    JobResumed,
    /// An attempt of a phase began.
    #[serde(rename = "phase.started")]
    PhaseStarted,
    /// A run of the agent is about to begin.
    #[serde(rename = "agent.started")]
    AgentStarted,
    /// A piece of the agent's text, or what it has cost so far; never stored.
    #[serde(rename = "agent.delta")]
    AgentDelta,
    /// The agent thought; what, isn't told.
    #[serde(rename = "agent.thinking")]
    AgentThinking,
    /// The agent said something.
    #[serde(rename = "agent.message")]
    AgentMessage,
    /// The agent used a tool.
    #[serde(rename = "agent.tool")]
    AgentTool,
    /// A tool gave its result to the agent.
    #[serde(rename = "agent.tool-result")]
    AgentToolResult,
    /// A run of the agent ended.
    #[serde(rename = "agent.finished")]
    AgentFinished,
    /// A host gave the job back, or its run was cut off.
    #[serde(rename = "phase.interrupted")]
    PhaseInterrupted,
    /// A phase was accepted.
    #[serde(rename = "phase.accepted")]
    PhaseAccepted,
    /// An attempt was sent back, or failed; another follows where one is left.
    #[serde(rename = "phase.revised")]
    PhaseRevised,
    /// A plugin rejected what was left.
    #[serde(rename = "phase.rejected")]
    PhaseRejected,
    /// A budget is nearly used up.
    #[serde(rename = "budget.near")]
    BudgetNear,
    /// A site was published.
    #[serde(rename = "job.deployed")]
    JobDeployed,
    /// Ended well.
    #[serde(rename = "job.succeeded")]
    JobSucceeded,
    /// Ended badly.
    #[serde(rename = "job.failed")]
    JobFailed,
    /// Ended because a person asked for it.
    #[serde(rename = "job.cancelled")]
    JobCancelled,
    /// A plugin began to serve.
    #[serde(rename = "plugin.loaded")]
    PluginLoaded,
    /// A file may not serve.
    #[serde(rename = "plugin.refused")]
    PluginRefused,
    /// A plugin was put back to an earlier generation.
    #[serde(rename = "plugin.rolled-back")]
    PluginRolledBack,
    /// A plugin that kept faulting was set aside.
    #[serde(rename = "plugin.quarantined")]
    PluginQuarantined,
}

impl EventKind {
    /// The word of the HTTP API.
    pub fn word(self) -> String {
        match serde_json::to_value(self) {
            Ok(Value::String(word)) => word,
            _ => String::new(),
        }
    }

    /// The kind of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        serde_json::from_value(Value::String(word.to_owned())).ok()
    }
}

/// An event that a step of the machine gives; the store adds number and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// In which phase.
    pub phase: Option<String>,
    /// In which attempt of it.
    pub attempt: Option<u32>,
    /// What else there is to say.
    pub data: Map<String, Value>,
}

/// An event as the store has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its number within its job, from 1, without gaps.
    pub seq: i64,
    /// Its place in the stream over all jobs: `after` of the next read.
    #[serde(skip)]
    pub position: (i64, i64),
    /// Whose; none for an event of a plugin.
    pub job: Option<JobId>,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When it was committed, by the database's clock.
    pub at: Timestamp,
    /// In which phase.
    pub phase: Option<String>,
    /// In which attempt of it.
    pub attempt: Option<u32>,
    /// What else there is to say.
    pub data: Map<String, Value>,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For authors of plugins.
    Debug,
    /// What happens.
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
}

impl Level {
    /// The word of the HTTP API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A line of a job's log. `seq` and `at` are the store's; zero until it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its number within its job, from 1, without gaps.
    pub seq: i64,
    /// When it was stored.
    pub at: Timestamp,
    /// In which phase.
    pub phase: Option<String>,
    /// In which attempt of it.
    pub attempt: Option<u32>,
    /// How much it matters.
    pub level: Level,
    /// One line, without its end.
    pub text: String,
}
