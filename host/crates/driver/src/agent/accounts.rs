//! The accounts that a run's requests are paid from: the gateway's questions in the store's words.

use crate::Driver;
use async_trait::async_trait;
use gateway::{Accounts, AccountsError, Budget, Room, Turn, Turned};
use pipeline::{BudgetKind, Job, PhaseSpec, Usage, micro_usd};
use std::sync::Arc;
use store::{Booked, Booking, BudgetOf, BudgetState, Hold, MoneyStore, Payer, Spending};

/// A run's accounts in a store, as its holder sees them.
#[derive(Debug)]
pub struct RunAccounts {
    store: Arc<dyn MoneyStore>,
    payer: Payer,
}

impl RunAccounts {
    /// Of whoever pays.
    pub fn new(store: Arc<dyn MoneyStore>, payer: Payer) -> Self {
        Self { store, payer }
    }

    /// Of a run of this name, in this phase of the job.
    pub(super) fn of(driver: &Driver, hold: &Hold, job: &Job, spec: &PhaseSpec, run: &str) -> Self {
        let planned = |kind| match kind {
            BudgetKind::Phase => spec.budget_usd.as_deref(),
            BudgetKind::Job => job.spec.budget_usd.as_deref(),
            BudgetKind::Group | BudgetKind::Day => None,
        };
        let budget = |kind| {
            let of = BudgetOf {
                // The pipeline's check has seen it.
                planned: planned(kind).and_then(|usd| micro_usd(usd).ok()),
                ceiling: driver.config.budgets.get(&kind).copied(),
            };
            (kind, of)
        };
        let payer = Payer {
            hold: hold.clone(),
            run: run.to_owned(),
            revision: job.revision,
            phase: spec.id.clone(),
            group: job.group.clone(),
            budgets: BudgetKind::ALL.into_iter().map(budget).collect(),
        };
        Self::new(Arc::clone(&driver.parts.money), payer)
    }

    /// A budget's owner, as a person would say it.
    fn owner(&self, kind: BudgetKind) -> String {
        match kind {
            BudgetKind::Phase => format!("the phase `{}`", self.payer.phase),
            BudgetKind::Job => "the job".to_owned(),
            BudgetKind::Group => format!(
                "the group `{}` for today",
                self.payer.group.as_deref().unwrap_or_default()
            ),
            BudgetKind::Day => "all jobs for today".to_owned(),
        }
    }

    /// What is left in all of them.
    fn room(&self, budgets: &[BudgetState]) -> Option<Room> {
        let tightest = budgets.iter().min_by_key(|budget| budget.could())?;
        Some(Room {
            left: budgets.iter().map(BudgetState::left).min()?,
            could: tightest.could(),
            tightest: Budget {
                of: self.owner(tightest.kind),
                kind: tightest.kind,
                limit_micro_usd: tightest.limit,
                spent_micro_usd: tightest.spent,
            },
        })
    }
}

#[async_trait]
impl Accounts for RunAccounts {
    async fn turn(&self, turn: &Turn) -> Result<Turned, AccountsError> {
        let booking = Booking {
            turn: turn.number,
            day: turn.day.clone(),
            spent: spending(&turn.spent),
            freed: turn.freed,
            want: turn.want,
            least: turn.least,
        };
        match self.store.book(&self.payer, &booking).await {
            Ok(Booked::Done {
                day,
                granted,
                budgets,
            }) => Ok(Turned {
                day,
                granted,
                room: self.room(&budgets),
            }),
            Ok(Booked::LeaseLost) => Err(AccountsError::Lost),
            Err(error) => Err(AccountsError::Away(error.to_string())),
        }
    }
}

fn spending(spent: &gateway::Spent) -> Spending {
    Spending {
        requests: spent.requests,
        usage: Usage {
            cost_micro_usd: spent.micro_usd,
            input_tokens: spent.tokens.input,
            cache_read_tokens: spent.tokens.cache_read,
            cache_write_tokens: spent.tokens.cache_creation + spent.tokens.cache_creation_hour,
            output_tokens: spent.tokens.output,
        },
        assumed_micro_usd: spent.assumed_micro_usd,
    }
}
