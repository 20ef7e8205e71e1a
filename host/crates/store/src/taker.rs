//! A driver that stands by: a transaction of its process that brings jobs gives them to it in the
//! same breath, if it has room. It saves a job that comes to an idle host a commit and a wake-up;
//! who isn't given a job that way asks for it as ever.

use crate::{Ask, Change, Claimed};
use std::sync::{Arc, OnceLock, Weak};

/// Who takes jobs, in the process of the store.
pub trait Taker: Send + Sync {
    /// Keeps room for at most so many jobs, until [`Taker::given`] says what came of it. None
    /// where it takes none now.
    fn reserve(&self, most: usize) -> Option<Ask>;

    /// What it makes of a job that it is given, as [`Begin`](crate::Begin).
    fn begin(&self, claimed: &Claimed) -> Option<Change>;

    /// These are its jobs now, of those that it `asked` for. None: nobody knows what it was given.
    fn given(&self, asked: u32, claimed: Option<Vec<Claimed>>);
}

/// Where a store finds it.
#[derive(Debug, Default)]
pub(crate) struct Stand(OnceLock<Weak<dyn Taker>>);

impl Stand {
    /// The first one stays.
    pub(crate) fn by(&self, taker: Weak<dyn Taker>) {
        let _ = self.0.set(taker);
    }

    /// Room for at most so many, if there is any.
    pub(crate) fn reserve(&self, most: usize) -> Option<Room> {
        let taker = self.0.get()?.upgrade()?;
        let ask = taker.reserve(most)?;
        Some(Room {
            taker,
            ask,
            given: None,
        })
    }
}

/// Room that is kept for jobs, and given back whatever happens.
pub(crate) struct Room {
    pub(crate) taker: Arc<dyn Taker>,
    pub(crate) ask: Ask,
    /// What was given, once that is committed.
    given: Option<Vec<Claimed>>,
}

impl Room {
    /// The transaction is committed.
    pub(crate) fn committed(mut self, claimed: Vec<Claimed>) {
        self.given = Some(claimed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taker.given(self.ask.limit, self.given.take());
    }
}
