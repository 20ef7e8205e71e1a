//! The jobs that this host holds, and how many more it takes. It claims none itself.

use crate::signal::Signal;
use pipeline::JobId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::Hold;
use tokio::sync::{Notify, watch};

/// The jobs that this host holds, and the gate of `MAX_CONCURRENT`.
#[derive(Debug)]
pub(crate) struct Slots {
    most: usize,
    held: Mutex<Held>,
    freed: Notify,
    settled: Notify,
    /// Whether a job was let go of that is still this host's by the store.
    let_go: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    jobs: HashMap<JobId, (Hold, watch::Sender<Signal>)>,
    /// Room for jobs that the store is asked for.
    reserved: usize,
    /// Transactions that may be giving jobs to this host now.
    standing_by: usize,
    /// Whether somebody looks for jobs that are this host's by the store alone.
    looking: bool,
}

impl Slots {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            held: Mutex::default(),
            freed: Notify::new(),
            settled: Notify::new(),
            let_go: AtomicBool::new(false),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Jobs that it could take now.
    pub(crate) fn free(&self) -> usize {
        self.held().free(self.most)
    }

    /// Keeps room for at most `most` jobs; for how many. It is to be released.
    pub(crate) fn reserve(&self, most: usize) -> usize {
        let mut held = self.held();
        let room = held.free(self.most).min(most);
        held.reserved += room;
        room
    }

    /// Gives back room that was kept, once the jobs that came of it are taken.
    pub(crate) fn release(&self, room: usize) {
        self.held().reserved -= room;
    }

    /// The same for a transaction that gives jobs of itself; none while somebody looks.
    pub(crate) fn stand_by(&self, most: usize) -> usize {
        let mut held = self.held();
        if held.looking {
            return 0;
        }
        let room = held.free(self.most).min(most);
        held.reserved += room;
        held.standing_by += usize::from(room > 0);
        room
    }

    /// That transaction has ended, and what it gave is taken.
    pub(crate) fn stood_by(&self, room: usize) {
        let mut held = self.held();
        held.reserved -= room;
        held.standing_by -= 1;
        drop(held);
        self.settled.notify_one();
    }

    /// From now on, until what is returned goes, nothing is given to this host but by its own
    /// claim: what is its by the store and isn't held here was let go of.
    pub(crate) async fn look(&self) -> Looking<'_> {
        self.held().looking = true;
        let looking = Looking(self);
        while self.held().standing_by > 0 {
            self.settled.notified().await;
        }
        looking
    }

    /// Has the next claim ask for what room there is.
    pub(crate) fn ask_again(&self) {
        self.freed.notify_one();
    }

    pub(crate) fn holds(&self) -> Vec<Hold> {
        let held = self.held();
        held.jobs.values().map(|(hold, _)| hold.clone()).collect()
    }

    /// Takes a slot. None where this host holds the job already under a newer lease.
    pub(crate) fn take(&self, hold: &Hold) -> Option<watch::Receiver<Signal>> {
        let mut held = self.held();
        if let Some((older, signal)) = held.jobs.get(&hold.job) {
            if older.lease >= hold.lease {
                return None;
            }
            raise(signal, Signal::Lost);
        }
        let (sender, receiver) = watch::channel(Signal::Go);
        held.jobs.insert(hold.job, (hold.clone(), sender));
        Some(receiver)
    }

    pub(crate) fn leave(&self, hold: &Hold) {
        let mut held = self.held();
        let was_full = held.free(self.most) == 0;
        if held.jobs.get(&hold.job).is_some_and(|(now, _)| now == hold) {
            held.jobs.remove(&hold.job);
        }
        drop(held);
        // Else there was room before, and nothing to put into it.
        if was_full {
            self.freed.notify_one();
        }
    }

    /// Tells the holder of a job, under whichever lease.
    pub(crate) fn tell(&self, job: JobId, signal: Signal) {
        if let Some((_, sender)) = self.held().jobs.get(&job) {
            raise(sender, signal);
        }
    }

    /// Asks for jobs again once this one's pause has passed, rather than at the next poll. A
    /// hint: another host may have taken it by then.
    pub(crate) fn ask_after(self: &Arc<Self>, pause: Duration) {
        let slots = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(slots) = slots.upgrade() {
                slots.freed.notify_one();
            }
        });
    }

    /// Resolves once room has come free, or what was let go of is to be taken back.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Whether the next claim is to take back what was let go of; asked once.
    pub(crate) fn take_let_go(&self) -> bool {
        self.let_go.swap(false, Ordering::Relaxed)
    }

    /// Has the next claim take back what this host let go of.
    pub(crate) fn let_go(&self) {
        self.let_go.store(true, Ordering::Relaxed);
        self.freed.notify_one();
    }

    /// Tells the holder under just this lease that it is lost.
    pub(crate) fn lose(&self, hold: &Hold) {
        if let Some((now, sender)) = self.held().jobs.get(&hold.job)
            && now == hold
        {
            raise(sender, Signal::Lost);
        }
    }

    /// Tells everybody to give back.
    pub(crate) fn drain(&self) {
        for (_, sender) in self.held().jobs.values() {
            raise(sender, Signal::GiveBack);
        }
    }
}

/// See [`Slots::look`].
pub(crate) struct Looking<'a>(&'a Slots);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.held().looking = false;
    }
}

impl Held {
    fn free(&self, most: usize) -> usize {
        most.saturating_sub(self.jobs.len() + self.reserved)
    }
}

fn raise(sender: &watch::Sender<Signal>, signal: Signal) {
    sender.send_if_modified(|now| {
        let heavier = signal > *now;
        *now = signal.max(*now);
        heavier
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::{HostId, Lease};

    fn hold(lease: i64) -> Hold {
        let job = "018f0000-0000-7000-8000-000000000001".parse().unwrap();
        Hold {
            job,
            lease: Lease(lease),
            host: HostId("h".into()),
        }
    }

    #[test]
    fn a_newer_lease_of_the_same_job_tells_the_older_holder_that_it_lost() {
        let slots = Slots::new(2);
        let older = slots.take(&hold(1)).unwrap();
        assert!(slots.take(&hold(1)).is_none());
        let newer = slots.take(&hold(2)).unwrap();
        assert_eq!(
            (*older.borrow(), *newer.borrow()),
            (Signal::Lost, Signal::Go)
        );
        slots.leave(&hold(1));
        assert_eq!(
            slots.free(),
            1,
            "the older one leaves nothing that is the newer one's"
        );
        slots.leave(&hold(2));
        assert_eq!(slots.free(), 2);
    }

    #[test]
    fn room_that_is_kept_is_nobody_elses() {
        let slots = Slots::new(3);
        let _first = slots.take(&hold(1));
        assert_eq!(
            (slots.reserve(5), slots.stand_by(1), slots.free()),
            (2, 0, 0)
        );
        slots.release(2);
        assert_eq!(slots.free(), 2);
    }

    #[tokio::test]
    async fn who_looks_for_what_was_let_go_of_knows_all_that_was_given() {
        let slots = Slots::new(3);
        assert_eq!(slots.stand_by(1), 1);
        let mut look = std::pin::pin!(slots.look());
        let early = futures_util::poll!(&mut look);
        assert!(early.is_pending(), "a job may be on its way");
        assert_eq!(slots.stand_by(1), 0, "no other is until it has looked");
        let _given = slots.take(&hold(1));
        slots.stood_by(1);
        let looking = look.await;
        assert_eq!(slots.holds(), [hold(1)]);
        drop(looking);
        assert_eq!(slots.stand_by(1), 1);
    }

    #[test]
    fn a_heavier_signal_stays() {
        let slots = Slots::new(1);
        let signal = slots.take(&hold(1)).unwrap();
        slots.tell(hold(1).job, Signal::Cancel);
        slots.drain();
        assert_eq!(*signal.borrow(), Signal::Cancel);
    }
}
