//! Taking jobs: when to ask, and who is told what while they run. How many there may be is
//! `slots`' matter, how a job goes on `hold`'s.

use crate::signal::Signal;
use crate::{Driver, follow, hold};
use pipeline::Boundary;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Ask, Change, Claimed, Hold, TakeOver, Taker, Wake};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Between two looks at what has become due or was left by others; a claim in between asks only
/// for what is ready.
const LOOK: Duration = Duration::from_millis(100);

/// The longest time without such a look, whatever the store says.
const LOOK_AT_LEAST: Duration = Duration::from_secs(30);

/// Between two questions at most while wake-ups of other hosts don't arrive.
const DEAF_POLL: Duration = Duration::from_secs(1);

/// Where somebody else is about to take what is there.
const A_MOMENT: Duration = Duration::from_millis(50);

/// Claims until `shutdown`.
pub(crate) async fn run(driver: &Arc<Driver>, shutdown: &CancellationToken) {
    // Registered before the first question, so that no wake-up is lost in between.
    let mut wakes = driver.parts.store.wakes();
    // It stands by for as long as this runs.
    let stands_by = Arc::new(StandBy {
        driver: Arc::clone(driver),
        shutdown: shutdown.clone(),
    });
    let stands_by: Arc<dyn Taker> = stands_by;
    driver.parts.store.stand_by(Arc::downgrade(&stands_by));
    let mut pause = Duration::ZERO;
    let mut looked: Option<Instant> = None;
    let mut woken = true;
    while !shutdown.is_cancelled() {
        let mut rest = jittered(match driver.parts.store.hears() {
            true => driver.config.poll,
            false => driver.config.poll.min(DEAF_POLL),
        });
        if driver.slots.free() > 0 && driver.fence.holds(Instant::now()) {
            let within = |time| looked.is_some_and(|at| at.elapsed() < time);
            let let_go = driver.slots.take_let_go();
            // Woken by the clock alone it asks the cheap question first.
            let asks_first = !woken && !let_go && within(LOOK_AT_LEAST);
            let look = !woken || let_go || !within(LOOK);
            match turn(driver, asks_first, look, shutdown).await {
                Ok(turn) => {
                    pause = Duration::ZERO;
                    if turn.looked {
                        looked = Some(Instant::now());
                    }
                    rest = rest.min(turn.idle.unwrap_or(rest));
                }
                Err(error) => {
                    if let_go {
                        driver.slots.let_go();
                    }
                    pause = (pause * 2).clamp(Duration::from_millis(100), driver.config.poll);
                    tracing::warn!(%error, retry_ms = pause.as_millis(), "jobs couldn't be claimed");
                    rest = pause;
                }
            }
        }
        woken = tokio::select! {
            () = shutdown.cancelled() => false,
            () = driver.slots.freed() => true,
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
    shutdown: &CancellationToken,
) -> Result<Turn, store::StoreError> {
    let store = &driver.parts.store;
    if asks_first {
        let idle = store.idle_for(&ask(driver, true)).await?;
        if idle != Some(Duration::ZERO) {
            let looked = false;
            return Ok(Turn { looked, idle });
        }
    }
    let mut more = claim(driver, Room::keep(driver, usize::MAX), look, shutdown).await?;
    if more {
        more = rush(driver, shutdown).await?;
    }
    let idle = match (more, driver.slots.free()) {
        // A slot that comes free wakes.
        (_, 0) => None,
        (true, _) => Some(Duration::ZERO),
        (false, _) => store
            .idle_for(&ask(driver, true))
            .await?
            .map(|idle| idle.max(A_MOMENT)),
    };
    Ok(Turn { looked: look, idle })
}

/// Takes of a queue that has more than was asked for, until it is time for another look: two
/// claims at once, so that one is made while the other waits for the disk. Whether there may be
/// more yet.
async fn rush(
    driver: &Arc<Driver>,
    shutdown: &CancellationToken,
) -> Result<bool, store::StoreError> {
    let end = Instant::now() + LOOK;
    let lane = async || {
        while Instant::now() < end && !shutdown.is_cancelled() {
            let room = Room::keep(driver, driver.config.max_concurrent.div_ceil(2));
            if room.jobs == 0 || !driver.fence.holds(Instant::now()) {
                return Ok(true);
            }
            if !claim(driver, room, false, shutdown).await? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    // Both to their end: what is given by a claim that is dropped would be let go of.
    let (one, other) = tokio::join!(lane(), lane());
    Ok(one? && other?)
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
        limit: 0,
        lease_time: driver.config.lease_time,
        held: match look {
            true => driver.slots.holds(),
            false => Vec::new(),
        },
        take_over,
    }
}

/// Whether it took as many as it asked for.
async fn claim(
    driver: &Arc<Driver>,
    room: Room<'_>,
    look: bool,
    shutdown: &CancellationToken,
) -> Result<bool, store::StoreError> {
    // Before it says what it holds, or what is just being given would look as if let go of.
    let _looking = match look {
        true => Some(driver.slots.look().await),
        false => None,
    };
    let ask = Ask {
        limit: u32::try_from(room.jobs).unwrap_or(u32::MAX),
        ..ask(driver, look)
    };
    let begin = |claimed: &Claimed| Some(follow::begun(driver, claimed));
    let claimed = driver.parts.store.claim_and_begin(&ask, &begin).await?;
    let full = room.jobs > 0 && claimed.len() == room.jobs;
    hold_all(driver, claimed, shutdown);
    Ok(full)
}

/// Room that is kept while the store is asked, and given back however that ends.
struct Room<'a> {
    driver: &'a Driver,
    jobs: usize,
}

impl<'a> Room<'a> {
    fn keep(driver: &'a Driver, most: usize) -> Self {
        let jobs = driver.slots.reserve(most);
        Self { driver, jobs }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.driver.slots.release(self.jobs);
    }
}

/// Takes what jobs of this process are given to this host by the transaction that brings them.
struct StandBy {
    driver: Arc<Driver>,
    shutdown: CancellationToken,
}

impl Taker for StandBy {
    fn reserve(&self, most: usize) -> Option<Ask> {
        let driver = &self.driver;
        if self.shutdown.is_cancelled() || !driver.fence.holds(Instant::now()) {
            return None;
        }
        match driver.slots.stand_by(most) {
            0 => None,
            jobs => Some(Ask {
                limit: u32::try_from(jobs).unwrap_or(u32::MAX),
                ..ask(driver, false)
            }),
        }
    }

    fn begin(&self, claimed: &Claimed) -> Option<Change> {
        Some(follow::begun(&self.driver, claimed))
    }

    fn given(&self, asked: u32, claimed: Option<Vec<Claimed>>) {
        let slots = &self.driver.slots;
        let room = usize::try_from(asked).unwrap_or(usize::MAX);
        let used = claimed.as_ref().map_or(0, Vec::len);
        match claimed {
            Some(claimed) => hold_all(&self.driver, claimed, &self.shutdown),
            // It may have been given some: the next claim takes them back.
            None => slots.let_go(),
        }
        slots.stood_by(room);
        if used < room {
            // Nobody else could use it meanwhile.
            slots.ask_again();
        }
    }
}

/// Works on jobs that are this host's now, each in a task of its own.
fn hold_all(driver: &Arc<Driver>, claimed: Vec<Claimed>, shutdown: &CancellationToken) {
    if !claimed.is_empty() {
        driver.at(Boundary::Claimed);
    }
    for claimed in claimed {
        if claimed.begun && pipeline::resume(&claimed.job).is_none() {
            // Its first commit was its last.
            hold::rests(driver, &claimed.job);
            continue;
        }
        let host = driver.config.host.clone();
        let hold = Hold {
            job: claimed.job.id,
            lease: claimed.lease,
            host,
        };
        let Some(signal) = driver.slots.take(&hold) else {
            continue;
        };
        if shutdown.is_cancelled() {
            // Asked for before, and given only now: it goes back as it came.
            driver.slots.tell(hold.job, Signal::GiveBack);
        }
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
            // Deaf from now on: the next rest is a shorter one.
            Ok(Wake::Ready | Wake::Deaf) => return,
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
