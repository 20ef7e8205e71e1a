//! Taking jobs: how many at once, when to ask, and who is told what while they run.
//! How a job goes on is `hold`'s matter.

use crate::signal::Signal;
use crate::{Driver, hold};
use pipeline::{Boundary, JobId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::{Ask, Hold, TakeOver, Wake};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

/// The jobs that this host holds, and the gate of `MAX_CONCURRENT`.
#[derive(Debug)]
pub(crate) struct Slots {
    most: usize,
    held: Mutex<HashMap<JobId, (Hold, watch::Sender<Signal>)>>,
    freed: Notify,
    /// Whether a job was let go of that is still this host's by the store.
    let_go: AtomicBool,
}

impl Slots {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            held: Mutex::default(),
            freed: Notify::new(),
            let_go: AtomicBool::new(false),
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<JobId, (Hold, watch::Sender<Signal>)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn free(&self) -> usize {
        self.most.saturating_sub(self.held().len())
    }

    pub(crate) fn holds(&self) -> Vec<Hold> {
        self.held().values().map(|(hold, _)| hold.clone()).collect()
    }

    /// Takes a slot. None where this host holds the job already under a newer lease.
    fn take(&self, hold: &Hold) -> Option<watch::Receiver<Signal>> {
        let mut held = self.held();
        if let Some((older, signal)) = held.get(&hold.job) {
            if older.lease >= hold.lease {
                return None;
            }
            raise(signal, Signal::Lost);
        }
        let (sender, receiver) = watch::channel(Signal::Go);
        held.insert(hold.job, (hold.clone(), sender));
        Some(receiver)
    }

    fn leave(&self, hold: &Hold) {
        let mut held = self.held();
        if held.get(&hold.job).is_some_and(|(now, _)| now == hold) {
            held.remove(&hold.job);
        }
        drop(held);
        self.freed.notify_one();
    }

    /// Tells the holder of a job, under whichever lease.
    pub(crate) fn tell(&self, job: JobId, signal: Signal) {
        if let Some((_, sender)) = self.held().get(&job) {
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

    /// Has the next claim take back what this host let go of.
    pub(crate) fn let_go(&self) {
        self.let_go.store(true, Ordering::Relaxed);
        self.freed.notify_one();
    }

    /// Tells the holder under just this lease that it is lost.
    pub(crate) fn lose(&self, hold: &Hold) {
        if let Some((now, sender)) = self.held().get(&hold.job)
            && now == hold
        {
            raise(sender, Signal::Lost);
        }
    }

    /// Tells everybody to give back.
    pub(crate) fn drain(&self) {
        for (_, sender) in self.held().values() {
            raise(sender, Signal::GiveBack);
        }
    }
}

fn raise(sender: &watch::Sender<Signal>, signal: Signal) {
    sender.send_if_modified(|now| {
        let heavier = signal > *now;
        *now = signal.max(*now);
        heavier
    });
}

/// Between two looks at what has become due or was left by others; a claim in between asks only
/// for what is ready.
const LOOK: Duration = Duration::from_millis(100);

/// The longest time without such a look, whatever the store says.
const LOOK_AT_LEAST: Duration = Duration::from_secs(30);

/// Where somebody else is about to take what is there.
const A_MOMENT: Duration = Duration::from_millis(50);

/// Claims until `shutdown`.
pub(crate) async fn run(driver: &Arc<Driver>, shutdown: &CancellationToken) {
    // Registered before the first question, so that no wake-up is lost in between.
    let mut wakes = driver.parts.store.wakes();
    let mut pause = Duration::ZERO;
    let mut looked: Option<Instant> = None;
    let mut woken = true;
    while !shutdown.is_cancelled() {
        let mut rest = jittered(driver.config.poll);
        if driver.slots.free() > 0 && driver.fence.holds(Instant::now()) {
            let within = |time| looked.is_some_and(|at| at.elapsed() < time);
            let let_go = driver.slots.let_go.swap(false, Ordering::Relaxed);
            // Woken by the clock alone it asks the cheap question first.
            let asks_first = !woken && !let_go && within(LOOK_AT_LEAST);
            let look = !woken || let_go || !within(LOOK);
            match turn(driver, asks_first, look).await {
                Ok(turn) => {
                    pause = Duration::ZERO;
                    if turn.looked {
                        looked = Some(Instant::now());
                    }
                    rest = rest.min(turn.idle.unwrap_or(rest));
                }
                Err(error) => {
                    driver.slots.let_go.fetch_or(let_go, Ordering::Relaxed);
                    pause = (pause * 2).clamp(Duration::from_millis(100), driver.config.poll);
                    tracing::warn!(%error, retry_ms = pause.as_millis(), "jobs couldn't be claimed");
                    rest = pause;
                }
            }
        }
        woken = tokio::select! {
            () = shutdown.cancelled() => false,
            () = driver.slots.freed.notified() => true,
            () = tokio::time::sleep(rest) => false,
            () = ready(&mut wakes, driver) => true,
            () = opened(driver) => true,
        };
    }
}

/// What came of a look at the queue.
struct Turn {
    /// Whether it saw also what is due or was left.
    looked: bool,
    /// For how long there will be nothing more; none where nobody knows.
    idle: Option<Duration>,
}

/// Takes what is there.
async fn turn(
    driver: &Arc<Driver>,
    asks_first: bool,
    look: bool,
) -> Result<Turn, store::StoreError> {
    let store = &driver.parts.store;
    if asks_first {
        let idle = store.idle_for(&ask(driver, true)).await?;
        if idle != Some(Duration::ZERO) {
            let looked = false;
            return Ok(Turn { looked, idle });
        }
    }
    let mut turn = Turn {
        looked: look,
        idle: None,
    };
    if claim(driver, &ask(driver, look)).await? && driver.slots.free() == 0 {
        // A slot that comes free wakes.
        return Ok(turn);
    }
    let idle = store.idle_for(&ask(driver, true)).await?;
    turn.idle = idle.map(|idle| idle.max(A_MOMENT));
    Ok(turn)
}

fn ask(driver: &Driver, look: bool) -> Ask {
    // What is this host's own by the store and held by nobody here was let go of: by a process
    // before this one, or when a commit's answer was lost.
    let take_over = match driver.fence.may_take_over(Instant::now()) {
        _ if !look => TakeOver::None,
        true => TakeOver::Expired,
        false => TakeOver::Own,
    };
    Ask {
        host: driver.config.host.clone(),
        roots: driver.roots(),
        engines: driver.parts.runner.engine().into_iter().collect(),
        look,
        limit: u32::try_from(driver.slots.free()).unwrap_or(u32::MAX),
        lease_time: driver.config.lease_time,
        held: driver.slots.holds(),
        take_over,
    }
}

/// Whether at least one job was claimed.
async fn claim(driver: &Arc<Driver>, ask: &Ask) -> Result<bool, store::StoreError> {
    let claimed = driver.parts.store.claim(ask).await?;
    let any = !claimed.is_empty();
    if any {
        driver.at(Boundary::Claimed);
    }
    for claimed in claimed {
        let host = driver.config.host.clone();
        let hold = Hold {
            job: claimed.job.id,
            lease: claimed.lease,
            host,
        };
        let Some(signal) = driver.slots.take(&hold) else {
            continue;
        };
        let driver = Arc::clone(driver);
        let tracker = driver.tasks.clone();
        tracker.spawn(async move {
            let mut leave = Leave {
                driver: &driver,
                hold,
                rests: false,
            };
            leave.rests = hold::run(&driver, claimed, signal).await;
        });
    }
    Ok(any)
}

/// Leaves the slot however the job's task ends, a panic included.
struct Leave<'a> {
    driver: &'a Driver,
    hold: Hold,
    rests: bool,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let slots = &self.driver.slots;
        slots.leave(&self.hold);
        // Only now: what this host holds isn't taken back.
        if !self.rests {
            slots.let_go();
        }
    }
}

/// Resolves when there may be work; passes on what concerns single jobs.
async fn ready(wakes: &mut broadcast::Receiver<Wake>, driver: &Driver) {
    loop {
        match wakes.recv().await {
            Ok(Wake::Ready) => return,
            Ok(Wake::Cancel(job)) => driver.slots.tell(job, Signal::Cancel),
            Ok(_) => {}
            // Too many to count: there may be work, and heartbeats tell of cancels.
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// Resolves when the fence opens: at start, and when the database is back.
async fn opened(driver: &Driver) {
    let mut closed = driver.fence.watch();
    if !*closed.borrow_and_update() {
        return std::future::pending().await;
    }
    let _ = closed.wait_for(|closed| !closed).await;
}

/// Between three quarters and all of it, so that many hosts don't ask at once.
fn jittered(poll: Duration) -> Duration {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    poll.mul_f64(0.75 + f64::from(nanos % 1_000) / 4_000.0)
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
    fn a_heavier_signal_stays() {
        let slots = Slots::new(1);
        let signal = slots.take(&hold(1)).unwrap();
        slots.tell(hold(1).job, Signal::Cancel);
        slots.drain();
        assert_eq!(*signal.borrow(), Signal::Cancel);
    }
}
