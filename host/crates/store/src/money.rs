//! What was spent, what is set aside and what may be spent, as drivers and people ask for it. What
//! a token costs and how much is to be set aside is the gateway's matter.

use crate::{Hold, StoreError};
use async_trait::async_trait;
use pipeline::{BudgetKind, JobId, Usage};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whose money a run spends. A run's own account has no budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payer {
    /// Who tells.
    pub hold: Hold,
    /// The run's name.
    pub run: String,
    /// Of the job.
    pub revision: u32,
    /// The phase's id.
    pub phase: String,
    /// The job's group.
    pub group: Option<String>,
    /// What may be spent, by kind, in micro-dollars.
    pub budgets: BTreeMap<BudgetKind, BudgetOf>,
}

/// What may be spent of one kind, in micro-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetOf {
    /// As the pipeline says; a person may have said otherwise.
    pub planned: Option<u64>,
    /// Whatever anybody says, no more than this.
    pub ceiling: Option<u64>,
}

impl BudgetOf {
    /// What holds, where a person gave `own`.
    pub fn limit(self, own: Option<u64>) -> Option<u64> {
        let said = own.or(self.planned);
        match (said, self.ceiling) {
            (Some(said), Some(ceiling)) => Some(said.min(ceiling)),
            (said, ceiling) => said.or(ceiling),
        }
    }
}

/// What is to be booked and set aside for a run, in micro-dollars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Booking {
    /// From 1, one more each time; one that was done isn't done again.
    pub turn: u64,
    /// In whose accounts it was set aside; today's without it.
    pub day: Option<String>,
    /// What was spent.
    pub spent: Spending,
    /// No longer set aside.
    pub freed: u64,
    /// To set aside, today.
    pub want: u64,
    /// Where not all of it can be: so much at least, or nothing.
    pub least: u64,
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// Requests that a provider took.
    pub requests: u64,
    /// Money and tokens.
    pub usage: Usage,
    /// Of the money: taken at its dearest, since nobody said what it was.
    pub assumed_micro_usd: u64,
}

/// What came of a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Booked {
    /// It is done, now or before.
    Done {
        /// Today in UTC, as `2026-11-30`.
        day: String,
        /// What was set aside, in micro-dollars.
        granted: u64,
        /// How each budget stands that holds for the run.
        budgets: Vec<BudgetState>,
    },
    /// The run is another's, who books what was set aside.
    LeaseLost,
}

/// A budget as it stands, in micro-dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetState {
    /// Whose.
    pub kind: BudgetKind,
    /// What may be spent.
    pub limit: u64,
    /// What was.
    pub spent: u64,
    /// What is set aside.
    pub reserved: u64,
}

impl BudgetState {
    /// What can be set aside now.
    pub fn left(&self) -> u64 {
        self.could().saturating_sub(self.reserved)
    }

    /// What could be, if nothing were set aside.
    pub fn could(&self) -> u64 {
        self.limit.saturating_sub(self.spent)
    }

    /// Whether nine tenths of it are spent.
    pub fn is_near(&self) -> bool {
        self.spent >= self.limit - self.limit / 10
    }
}

/// How much of what is wanted can be set aside.
pub(crate) fn grant(budgets: &[BudgetState], want: u64, least: u64) -> u64 {
    let left = budgets.iter().map(BudgetState::left).min();
    let most = left.map_or(want, |left| left.min(want));
    if most < least { 0 } else { most }
}

/// An account as people see it, in micro-dollars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// What was spent.
    pub spent: Spending,
    /// What is set aside.
    pub reserved: u64,
    /// The budget that a person gave.
    pub own: Option<u64>,
}

/// What is known of a job's money.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobMoney {
    /// The job's.
    pub job: AccountState,
    /// Each phase's in this revision, by its id.
    pub phases: BTreeMap<String, AccountState>,
}

/// What is known of a day's money.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayMoney {
    /// The day in UTC, as `2026-11-30`.
    pub day: String,
    /// Everybody's.
    pub all: AccountState,
    /// Each group's that spent something or has a budget; `*` has the budget of the others.
    pub groups: BTreeMap<String, AccountState>,
}

/// The part of a store that keeps money.
#[async_trait]
pub trait MoneyStore: Send + Sync + std::fmt::Debug {
    /// Books and sets aside in one transaction. All budgets or none: where one has no room,
    /// nothing is set aside in any.
    async fn book(&self, payer: &Payer, booking: &Booking) -> Result<Booked, StoreError>;

    /// Books in full what earlier holders of this job set aside and never told of.
    async fn book_left(&self, hold: &Hold) -> Result<(), StoreError>;

    /// The same for every run that nobody holds any more.
    async fn book_orphans(&self) -> Result<u64, StoreError>;

    /// What a run has spent, over all its holders.
    async fn spent_by(&self, run: &str) -> Result<Spending, StoreError>;

    /// What is known of a job's money.
    async fn job_money(&self, job: JobId, revision: u32) -> Result<JobMoney, StoreError>;

    /// What is known of today's money.
    async fn day_money(&self) -> Result<DayMoney, StoreError>;

    /// Forgets what was spent on days that are longer ago than this; how many accounts.
    async fn forget_days(&self, older: Duration) -> Result<u64, StoreError>;

    /// Gives a job or one of its phases a budget, in place of the pipeline's.
    async fn set_job_budget(
        &self,
        job: JobId,
        phase: Option<(u32, &str)>,
        micro_usd: Option<u64>,
    ) -> Result<(), StoreError>;

    /// Gives a group (`*`: those without their own) or, without one, everybody a budget for each day.
    async fn set_day_budget(
        &self,
        group: Option<&str>,
        micro_usd: Option<u64>,
    ) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(limit: u64, spent: u64, reserved: u64) -> BudgetState {
        BudgetState {
            kind: BudgetKind::Job,
            limit,
            spent,
            reserved,
        }
    }

    #[test]
    fn all_budgets_have_room_or_nothing_is_set_aside() {
        assert_eq!(grant(&[], 100, 10), 100);
        assert_eq!(
            grant(&[state(1_000, 0, 0), state(100, 50, 20)], 100, 10),
            30
        );
        assert_eq!(grant(&[state(1_000, 0, 0), state(100, 50, 41)], 100, 10), 0);
        // More was spent than planned: nothing is left, and nothing wraps.
        assert_eq!(grant(&[state(100, 150, 20)], 100, 0), 0);
    }

    #[test]
    fn a_budget_is_near_its_end_with_nine_tenths_spent() {
        assert!(!state(1_000, 899, 101).is_near());
        assert!(state(1_000, 900, 0).is_near());
        assert!(state(0, 0, 0).is_near());
    }

    #[test]
    fn a_ceiling_holds_whatever_anybody_says() {
        let of = |planned, ceiling| BudgetOf { planned, ceiling };
        assert_eq!(of(Some(5), None).limit(None), Some(5));
        assert_eq!(of(Some(5), None).limit(Some(9)), Some(9));
        assert_eq!(of(Some(5), Some(7)).limit(Some(9)), Some(7));
        assert_eq!(of(None, Some(7)).limit(None), Some(7));
        assert_eq!(of(None, None).limit(None), None);
    }
}
