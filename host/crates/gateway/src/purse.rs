//! A run's purse: money that its budgets have set aside for its requests. While the budgets' end
//! is far, the next request's money lies ready, so that no request waits for the accounts; near
//! the end each request asks. What a request comes to is told behind its back.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turns, Notify};
use tokio::time::Instant;

use crate::accounts::{Accounts, AccountsError, Budget, Spent, Turn};
use state::{Need, State, Taken};

/// How long a request waits for money that others have set aside and may not need.
const WAIT: Duration = Duration::from_secs(60);
/// How often it looks whether another host gave some back.
const LOOK: Duration = Duration::from_secs(1);
/// Before accounts that were away are told again.
const TELL_AGAIN: Duration = Duration::from_millis(500);

/// A run's purse.
#[derive(Debug)]
pub(crate) struct Purse {
    accounts: Arc<dyn Accounts>,
    state: Mutex<State>,
    /// One turn at a time; the one that wasn't answered is done again before any other.
    turns: Turns<Teller>,
    /// Something is to be told.
    news: Notify,
    /// Somebody gave something back.
    settled: Notify,
}

#[derive(Debug, Default)]
struct Teller {
    number: u64,
    unanswered: Option<Turn>,
}

/// Why a request gets no money.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoMoney {
    /// There isn't enough, and won't be.
    Over(Budget),
    /// Others have it, for the time being.
    Busy(Budget),
    /// The accounts don't answer, or aren't this host's any more.
    Away(AccountsError),
}

/// Money for one request. Dropped as it is, it goes back; once the request is on its way, it is
/// spent in full unless somebody says what it came to.
#[derive(Debug)]
pub(crate) struct Promise {
    purse: Arc<Purse>,
    taken: Taken,
    /// What is booked where nobody says more.
    otherwise: Spent,
}

impl Purse {
    pub(crate) fn new(accounts: Arc<dyn Accounts>) -> Arc<Self> {
        Arc::new(Self {
            accounts,
            state: Mutex::default(),
            turns: Turns::default(),
            news: Notify::new(),
            settled: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the budgets' end is so far away that a rough worst case will do.
    pub(crate) async fn is_far(&self, most: u64) -> Result<bool, NoMoney> {
        if let Some(far) = self.state().is_far(most) {
            return Ok(far);
        }
        self.turn(&mut *self.turns.lock().await, None, false)
            .await?;
        Ok(self.state().is_far(most).unwrap_or(false))
    }

    /// Money for a request that needs `most`, and can do with `least`.
    pub(crate) async fn promise(
        self: &Arc<Self>,
        least: u64,
        most: u64,
    ) -> Result<Promise, NoMoney> {
        let end = Instant::now() + WAIT;
        loop {
            let gives_back = self.settled.notified();
            if let Some(promise) = self.take(most, most) {
                return Ok(promise);
            }
            let mut turns = self.turns.lock().await;
            // Whoever had the turn before may have brought it.
            if let Some(promise) = self.take(most, most) {
                return Ok(promise);
            }
            let need = Need { least, most };
            self.turn(&mut turns, Some(need), false).await?;
            drop(turns);
            if let Some(promise) = self.take(least, most) {
                return Ok(promise);
            }
            let Some(room) = self.state().room().flatten().cloned() else {
                continue;
            };
            if room.could < least {
                return Err(NoMoney::Over(room.tightest));
            }
            if Instant::now() >= end {
                return Err(NoMoney::Busy(room.tightest));
            }
            let _ = tokio::time::timeout(LOOK, gives_back).await;
        }
    }

    fn take(self: &Arc<Self>, least: u64, most: u64) -> Option<Promise> {
        let taken = self.state().take(least, most)?;
        // The next one's is fetched while this one's is under way.
        self.news.notify_one();
        Some(Promise {
            purse: Arc::clone(self),
            taken,
            otherwise: Spent::default(),
        })
    }

    /// Tells what is to be told, for as long as it is polled.
    pub(crate) async fn tend(&self) {
        loop {
            let told = self.turn(&mut *self.turns.lock().await, None, false).await;
            match told {
                Ok(true) => {}
                Ok(false) => self.news.notified().await,
                Err(NoMoney::Away(AccountsError::Lost)) => return,
                Err(_) => tokio::time::sleep(TELL_AGAIN).await,
            }
        }
    }

    /// Tells the rest and gives back what is left. Nobody may spend any more.
    pub(crate) async fn close(&self) -> Result<(), AccountsError> {
        let mut turns = self.turns.lock().await;
        loop {
            match self.turn(&mut turns, None, true).await {
                Ok(true) => {}
                Err(NoMoney::Away(error)) => return Err(error),
                Ok(false) | Err(_) => return Ok(()),
            }
        }
    }

    /// Whether there is more to spend by now than when this budget was used up. After the last
    /// turn: it asks by one that tells nothing.
    pub(crate) async fn has_more(&self, than: &Budget) -> Result<bool, AccountsError> {
        let mut turns = self.turns.lock().await;
        turns.number += 1;
        let turn = Turn {
            number: turns.number,
            ..Turn::default()
        };
        let room = self.accounts.turn(&turn).await?.room;
        Ok(room.is_none_or(|room| room.could > than.could()))
    }

    /// One turn; whether there was one to do.
    async fn turn(
        &self,
        teller: &mut Teller,
        need: Option<Need>,
        last: bool,
    ) -> Result<bool, NoMoney> {
        if teller.unanswered.is_none() {
            let Some(next) = self.state().next(need, last) else {
                return Ok(false);
            };
            teller.number += 1;
            teller.unanswered = Some(Turn {
                number: teller.number,
                ..next
            });
        }
        let Some(turn) = &teller.unanswered else {
            return Ok(false);
        };
        let turned = self.accounts.turn(turn).await.map_err(NoMoney::Away)?;
        teller.unanswered = None;
        self.state().turned(turned);
        Ok(true)
    }
}

impl Promise {
    /// What may be spent, in micro-dollars; none where no budget holds.
    pub(crate) fn amount(&self) -> Option<u64> {
        self.taken.amount
    }

    /// What is booked if nobody says what it came to: from now on the provider may be at work.
    pub(crate) fn otherwise(&mut self, spent: Spent) {
        self.otherwise = spent;
    }

    /// It came to this.
    pub(crate) fn settle(mut self, spent: Spent) {
        self.otherwise = spent;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.purse.state().settle(&self.taken, &self.otherwise);
        self.purse.settled.notify_waiters();
        self.purse.news.notify_one();
    }
}
