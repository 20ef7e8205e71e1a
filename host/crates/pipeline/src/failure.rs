//! Why something went wrong: one list of words for jobs, attempts and agent runs.
//! What to do about each is decided in `step`, not here.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The closed list of failures that people and programs see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A plugin found that the job asks for something impossible.
    InvalidJob,
    /// The last attempt of a phase was sent back.
    NotAccepted,
    /// A plugin rejected what the agent left.
    Rejected,
    /// The agent ended with an exit status other than 0.
    AgentFailed,
    /// The agent ran longer than its phase allows.
    AgentTimeout,
    /// The agent was silent for too long.
    AgentIdle,
    /// The agent was killed for want of memory.
    OutOfMemory,
    /// The workspace or the output grew past its limit.
    OutOfDisk,
    /// A budget is used up.
    Budget,
    /// The model's provider is overloaded or away.
    Provider,
    /// The container engine is away, or lacks the image.
    Engine,
    /// A fault of a plugin: a trap, a limit, an answer that makes no sense.
    Plugin,
    /// The run was cut off by a crash or a restart.
    Interrupted,
    /// A person asked for it.
    Cancelled,
    /// A fault of Gantry itself.
    Internal,
}

impl FailureKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::InvalidJob,
        Self::NotAccepted,
        Self::Rejected,
        Self::AgentFailed,
        Self::AgentTimeout,
        Self::AgentIdle,
        Self::OutOfMemory,
        Self::OutOfDisk,
        Self::Budget,
        Self::Provider,
        Self::Engine,
        Self::Plugin,
        Self::Interrupted,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InvalidJob => "invalid-job",
            Self::NotAccepted => "not-accepted",
            Self::Rejected => "rejected",
            Self::AgentFailed => "agent-failed",
            Self::AgentTimeout => "agent-timeout",
            Self::AgentIdle => "agent-idle",
            Self::OutOfMemory => "out-of-memory",
            Self::OutOfDisk => "out-of-disk",
            Self::Budget => "budget",
            Self::Provider => "provider",
            Self::Engine => "engine",
            Self::Plugin => "plugin",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// Whether the same run is worth repeating after a pause, without using up an attempt.
    pub const fn passes(self) -> bool {
        matches!(self, Self::Provider | Self::Engine | Self::Interrupted)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What went wrong, and how a person would say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable word.
    pub kind: FailureKind,
    /// What is wrong and, where there is one, the mend.
    pub message: String,
}

impl Failure {
    /// Of this kind, with this message.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_json_says() {
        for kind in FailureKind::ALL {
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.word());
        }
    }
}
