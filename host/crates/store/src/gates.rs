//! Limits and pauses, as people set and see them. How jobs pass them is in `sql/lines`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a limit or a pause is of. In the order in which they are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateKind {
    /// Every job: can be paused, and has no limits.
    All,
    /// A group's jobs, whatever their pipeline. The name `*` stands for groups without their own.
    Group,
    /// A pipeline's jobs.
    Pipeline,
}

impl GateKind {
    /// As in the table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Group => "group",
            Self::Pipeline => "pipeline",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::All, Self::Group, Self::Pipeline]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// How often a group's jobs may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many, from 1.
    pub jobs: u32,
    /// In this time. All of them may start at once, where none did before.
    pub per: Duration,
}

/// What keeps jobs back, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Of what.
    pub kind: GateKind,
    /// Whose; empty of all.
    pub name: String,
    /// Jobs at once, over all hosts; none where there is no limit.
    pub capacity: Option<u32>,
    /// How often jobs may start.
    pub rate: Option<Rate>,
    /// Whether none may start.
    pub paused: bool,
    /// Jobs that have a place by now: they run, or are about to.
    pub taken: u64,
    /// Jobs that it keeps back.
    pub waiting: u64,
}

/// What is to be different; what is none stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateChange {
    /// Jobs at once; an inner none takes the limit away.
    pub capacity: Option<Option<u32>>,
    /// How often jobs may start; an inner none takes the limit away.
    pub rate: Option<Option<Rate>>,
    /// Whether none may start.
    pub paused: Option<bool>,
}
