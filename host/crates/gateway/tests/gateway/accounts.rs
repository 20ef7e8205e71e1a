//! Accounts in memory, with one budget for everybody, which can be away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gateway::{Accounts, AccountsError, Budget, Room, Spent, Turn, Turned};
use pipeline::BudgetKind;

#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) limit: Option<u64>,
    pub(crate) spent: u64,
    pub(crate) assumed: u64,
    pub(crate) reserved: u64,
    pub(crate) requests: u64,
    /// The most that was ever spent and set aside together.
    pub(crate) peak: u64,
    /// Turns that are still to be left unanswered: before they are done, and after.
    pub(crate) lost_before: u32,
    pub(crate) lost_after: u32,
}

/// What one run sees of the book: it remembers which turns were done.
#[derive(Debug)]
pub(crate) struct TestAccounts {
    pub(crate) book: Arc<Mutex<Book>>,
    done: Mutex<BTreeMap<u64, Turned>>,
}

impl TestAccounts {
    pub(crate) fn of(book: &Arc<Mutex<Book>>) -> Arc<Self> {
        Arc::new(Self {
            book: Arc::clone(book),
            done: Mutex::default(),
        })
    }

    pub(crate) fn unlimited() -> Arc<Self> {
        Self::of(&Arc::default())
    }
}

pub(crate) fn with_limit(limit: u64) -> Arc<Mutex<Book>> {
    Arc::new(Mutex::new(Book {
        limit: Some(limit),
        ..Book::default()
    }))
}

#[async_trait]
impl Accounts for TestAccounts {
    async fn turn(&self, turn: &Turn) -> Result<Turned, AccountsError> {
        // As slow as a database is.
        tokio::task::yield_now().await;
        let mut book = self.book.lock().unwrap();
        let away = || Err(AccountsError::Away("no answer".to_owned()));
        if book.lost_before > 0 {
            book.lost_before -= 1;
            return away();
        }
        let mut done = self.done.lock().unwrap();
        let turned = done
            .entry(turn.number)
            .or_insert_with(|| book.turn(turn))
            .clone();
        if book.lost_after > 0 {
            book.lost_after -= 1;
            return away();
        }
        Ok(turned)
    }
}

impl Book {
    fn turn(&mut self, turn: &Turn) -> Turned {
        let Spent {
            requests,
            micro_usd,
            assumed_micro_usd,
            ..
        } = turn.spent;
        assert!(turn.freed <= self.reserved, "{turn:?} {self:?}");
        self.reserved -= turn.freed;
        self.requests += requests;
        self.spent += micro_usd;
        self.assumed += assumed_micro_usd;
        let left = |book: &Self, limit: u64| limit.saturating_sub(book.spent + book.reserved);
        let granted = match self.limit.map(|limit| left(self, limit).min(turn.want)) {
            None => turn.want,
            Some(most) if most < turn.least => 0,
            Some(most) => most,
        };
        self.reserved += granted;
        self.peak = self.peak.max(self.spent + self.reserved);
        let room = self.limit.map(|limit| Room {
            left: left(self, limit),
            could: limit.saturating_sub(self.spent),
            tightest: Budget {
                of: "the job".to_owned(),
                kind: BudgetKind::Job,
                limit_micro_usd: limit,
                spent_micro_usd: self.spent,
            },
        });
        Turned {
            day: "2026-11-30".to_owned(),
            granted,
            room,
        }
    }
}
