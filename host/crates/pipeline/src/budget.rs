//! Budgets by name: whose they are, and what a job does that has met one. What is left of one,
//! the store knows.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Whose money a request of an agent spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetKind {
    /// A phase's, in one revision of its job.
    Phase,
    /// A job's, over all its revisions.
    Job,
    /// A group's, of one day.
    Group,
    /// Everybody's, of one day.
    Day,
}

impl BudgetKind {
    /// Every kind, the narrowest first.
    pub const ALL: [Self; 4] = [Self::Phase, Self::Job, Self::Group, Self::Day];

    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Job => "job",
            Self::Group => "group",
            Self::Day => "day",
        }
    }

    /// The kind of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether there is a new one each day, in UTC.
    pub const fn is_daily(self) -> bool {
        matches!(self, Self::Group | Self::Day)
    }
}

impl fmt::Display for BudgetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// For what a job waits that has met a day's budget. One that has met its own waits for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetWait {
    /// The next day, in UTC: then it goes on by itself.
    #[default]
    Day,
    /// A person who says that it may go on.
    Person,
}
