//! The accounts that a run's requests are paid from: the gateway's questions in the store's words.

use crate::Driver;
use async_trait::async_trait;
use gateway::{Accounts, AccountsError, Budget, Room, Turn, Turned};
use pipeline::{BudgetKind, Event, EventKind, Job, PhaseSpec, Usage, micro_usd, usd};
use serde_json::Map;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Booked, Booking, BudgetOf, BudgetState, Hold, MoneyStore, Payer, Spending};

/// A run's accounts in a store, as its holder sees them.
#[derive(Debug)]
pub struct RunAccounts {
    store: Arc<dyn MoneyStore>,
    payer: Payer,
    near: Mutex<Near>,
    /// What was booked through this, in micro-dollars.
    booked: AtomicU64,
}

/// Budgets that are nearly used up.
#[derive(Debug, Default)]
struct Near {
    seen: BTreeSet<BudgetKind>,
    /// Those that nobody was told of.
    news: Vec<BudgetState>,
}

impl RunAccounts {
    /// Of whoever pays.
    pub fn new(store: Arc<dyn MoneyStore>, payer: Payer) -> Self {
        Self {
            store,
            payer,
            near: Mutex::default(),
            booked: AtomicU64::default(),
        }
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

    /// What the run has cost since this host has it, as far as it is booked, in micro-dollars.
    pub(super) fn booked(&self) -> u64 {
        self.booked.load(Ordering::Relaxed)
    }

    /// An event for each budget that is nearly used up, once each.
    pub(super) fn near(&self) -> Vec<Event> {
        let news = std::mem::take(&mut self.lock().news);
        let event = |state: BudgetState| Event {
            kind: EventKind::BudgetNear,
            phase: Some(self.payer.phase.clone()),
            attempt: None,
            data: Map::from_iter([
                ("budget".to_owned(), state.kind.word().into()),
                ("limit_usd".to_owned(), usd(state.limit).into()),
                ("spent_usd".to_owned(), usd(state.spent).into()),
            ]),
        };
        news.into_iter().map(event).collect()
    }

    fn look(&self, budgets: &[BudgetState]) {
        let near = &mut *self.lock();
        for budget in budgets.iter().filter(|budget| budget.is_near()) {
            if near.seen.insert(budget.kind) {
                near.news.push(*budget);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Near> {
        self.near.lock().unwrap_or_else(PoisonError::into_inner)
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
            }) => {
                self.look(&budgets);
                self.booked
                    .fetch_add(turn.spent.micro_usd, Ordering::Relaxed);
                Ok(Turned {
                    day,
                    granted,
                    room: self.room(&budgets),
                })
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;

    const LIMIT: u64 = 1_000_000;

    /// Of a run with a budget of a dollar for its phase, and of two for its job.
    fn accounts(bed: &Bed, hold: Hold) -> RunAccounts {
        let of = |micro_usd| BudgetOf {
            planned: Some(micro_usd),
            ceiling: None,
        };
        let payer = Payer {
            hold,
            run: "a run".to_owned(),
            revision: 1,
            phase: "idea".to_owned(),
            group: None,
            budgets: [
                (BudgetKind::Phase, of(LIMIT)),
                (BudgetKind::Job, of(2 * LIMIT)),
            ]
            .into(),
        };
        RunAccounts::new(Arc::clone(&bed.store) as _, payer)
    }

    fn spends(number: u64, micro_usd: u64) -> Turn {
        let spent = gateway::Spent {
            requests: 1,
            micro_usd,
            ..gateway::Spent::default()
        };
        Turn {
            number,
            spent,
            ..Turn::default()
        }
    }

    #[tokio::test]
    async fn a_budget_that_is_nearly_used_up_is_told_of_once() {
        let (bed, hold) = Bed::new().await;
        let accounts = accounts(&bed, hold);
        accounts.turn(&spends(1, LIMIT / 2)).await.unwrap();
        assert_eq!(accounts.near(), []);
        let turned = accounts.turn(&spends(2, LIMIT / 5 * 2)).await.unwrap();
        let room = turned.room.unwrap();
        assert_eq!(room.tightest.of, "the phase `idea`");
        assert_eq!((room.left, room.could), (LIMIT / 10, LIMIT / 10));
        let told = accounts.near();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].kind, EventKind::BudgetNear);
        assert_eq!(told[0].data["budget"], "phase");
        assert_eq!(told[0].data["spent_usd"], "0.90");
        assert_eq!(told[0].data["limit_usd"], "1.00");
        accounts.turn(&spends(3, 1)).await.unwrap();
        assert_eq!(accounts.near(), []);
        assert_eq!(accounts.booked(), LIMIT / 10 * 9 + 1);
    }

    #[tokio::test]
    async fn a_run_that_is_anothers_by_now_books_nothing() {
        let (bed, hold) = Bed::new().await;
        let accounts = accounts(&bed, hold);
        bed.claim().await;
        let lost = accounts.turn(&spends(1, 5)).await;
        assert_eq!(lost, Err(AccountsError::Lost));
        assert_eq!(accounts.booked(), 0);
    }
}
