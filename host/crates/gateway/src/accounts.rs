//! What the gateway asks of whoever keeps a run's budgets. It keeps none itself: it says what was
//! spent, and asks before it spends.

use std::fmt;

use async_trait::async_trait;
use pipeline::BudgetKind;

use crate::usage::Tokens;

/// The accounts that one run's money goes through: its own, and each that has a budget.
#[async_trait]
pub trait Accounts: Send + Sync + fmt::Debug {
    /// Books and sets aside, in one transaction. A turn of a number that was done before changes
    /// nothing and is answered as it was: whoever got no answer asks again.
    async fn turn(&self, turn: &Turn) -> Result<Turned, AccountsError>;
}

/// What is to be booked, given back and set aside. Money is in micro-dollars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// From 1, one more each time.
    pub number: u64,
    /// The day in whose accounts it was set aside; none where nothing is booked or given back.
    pub day: Option<String>,
    /// What was spent since the last turn.
    pub spent: Spent,
    /// Of what is set aside: no longer so, since it was spent or isn't needed.
    pub freed: u64,
    /// To set aside anew, today.
    pub want: u64,
    /// Where that can't be had: so much at least, or nothing.
    pub least: u64,
}

/// What requests came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Requests that the provider took.
    pub requests: u64,
    /// Micro-dollars.
    pub micro_usd: u64,
    /// Of these, what isn't known but taken at its dearest: answers that broke off before the
    /// provider said how long they were, and models without a price.
    pub assumed_micro_usd: u64,
    /// As the provider named them.
    pub tokens: Tokens,
}

impl Spent {
    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.micro_usd = self.micro_usd.saturating_add(other.micro_usd);
        self.assumed_micro_usd = self
            .assumed_micro_usd
            .saturating_add(other.assumed_micro_usd);
        self.tokens += other.tokens;
    }
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// Today, in UTC, as the accounts have it.
    pub day: String,
    /// What was set aside.
    pub granted: u64,
    /// What is left; none where no budget holds for the run.
    pub room: Option<Room>,
}

/// What is left in all of a run's budgets together, in micro-dollars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// What could be set aside now.
    pub left: u64,
    /// What could be, if nothing were set aside by now: more than this will never be there.
    pub could: u64,
    /// The budget that leaves the least.
    pub tightest: Budget,
}

/// A budget, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Whose, in words: `the phase "build"`.
    pub of: String,
    /// Which kind it is of.
    pub kind: BudgetKind,
    /// What may be spent, in micro-dollars.
    pub limit_micro_usd: u64,
    /// What was spent of it, in micro-dollars.
    pub spent_micro_usd: u64,
}

impl Budget {
    /// What could still be spent of it, in micro-dollars.
    pub(crate) fn could(&self) -> u64 {
        self.limit_micro_usd.saturating_sub(self.spent_micro_usd)
    }
}

/// Why there was no turn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountsError {
    /// It may have been done or not: ask again.
    #[error("the accounts are away: {0}")]
    Away(String),
    /// The run is another host's by now, which books for it.
    #[error("the run isn't this host's any more")]
    Lost,
}
