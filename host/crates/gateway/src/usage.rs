//! What passes, counted: requests, refusals, and tokens. It reads no answer itself.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::accounts::Budget;

/// Tokens as the provider counts them. The five don't overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read by the model, and neither from nor into the cache.
    pub input: u64,
    /// Written by the model, its thinking included.
    pub output: u64,
    /// Read from the cache.
    pub cache_read: u64,
    /// Read, and written to the cache for five minutes.
    pub cache_creation: u64,
    /// Read, and written to the cache for an hour.
    pub cache_creation_hour: u64,
}

impl Tokens {
    /// All that was read.
    pub(crate) fn prompt(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_creation)
            .saturating_add(self.cache_creation_hour)
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_creation = self.cache_creation.saturating_add(other.cache_creation);
        self.cache_creation_hour = self
            .cache_creation_hour
            .saturating_add(other.cache_creation_hour);
    }
}

/// What one run has used so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests that were sent to the provider, whatever it answered.
    pub requests: u64,
    /// Requests that were not sent.
    pub refused: u64,
    /// Requests that the provider answered as asked.
    pub answered: u64,
    /// For how long the provider asked to be left alone, where its last answer did.
    pub retry_after: Option<Duration>,
    /// The budget that the last request found used up, where it did.
    pub over: Option<Over>,
    /// Whether the provider's last answer broke off, or never came.
    pub broken_off: bool,
    /// By the model that was asked for.
    pub models: BTreeMap<String, Tokens>,
}

/// A budget that was found used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// As it stood then.
    pub budget: Budget,
    /// Whether there was more to spend when the run ended.
    pub has_more: bool,
}

impl Usage {
    /// The tokens of all models.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        let mut sum = Tokens::default();
        for tokens in self.models.values() {
            sum += *tokens;
        }
        sum
    }
}

/// A run's usage, while it grows.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Usage>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> Usage {
        self.lock().clone()
    }

    pub(crate) fn refused(&self) {
        self.lock().refused += 1;
    }

    pub(crate) fn sent(&self) {
        let mut usage = self.lock();
        usage.requests += 1;
        usage.over = None;
        usage.broken_off = false;
    }

    /// The answer that is under way doesn't come to its end.
    pub(crate) fn broke_off(&self) {
        self.lock().broken_off = true;
    }

    /// A request wasn't sent, since this budget is used up.
    pub(crate) fn over(&self, budget: Budget) {
        let has_more = false;
        self.lock().over = Some(Over { budget, has_more });
    }

    /// The head of an answer came: `good`, or with the time that it asks for.
    pub(crate) fn answered(&self, good: bool, retry_after: Option<Duration>) {
        let mut usage = self.lock();
        usage.answered += u64::from(good);
        usage.retry_after = retry_after.filter(|_| !good);
    }

    pub(crate) fn add(&self, model: &str, tokens: Tokens) {
        let mut usage = self.lock();
        if let Some(sum) = usage.models.get_mut(model) {
            *sum += tokens;
        } else {
            usage.models.insert(model.to_owned(), tokens);
        }
    }
}
