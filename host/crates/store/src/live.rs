//! What is only worth hearing now: events that aren't kept, from the host that runs an agent to
//! whoever watches its job. Nothing waits for it and nothing is asked again: where nobody watches
//! it isn't even sent, and who is too slow misses some.

use pipeline::{Event, JobId};
use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc};

/// Events of one job that wait for a slow listener.
const WAITING: usize = 32;

/// Calls that wait to be sent to other hosts.
const UNSENT: usize = 256;

/// How often other hosts are told that somebody watches here.
pub(crate) const WATCH_EVERY: Duration = Duration::from_secs(5);

/// How long it holds: one call may be lost.
const WATCHED_FOR: Duration = Duration::from_secs(12);

/// Jobs that are watched elsewhere at most. A host has 256 open streams.
const JOBS: usize = 4_096;

/// Who watches which job, here and elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    rooms: Arc<Mutex<Rooms>>,
    /// To other hosts; none where there are none.
    out: Option<mpsc::Sender<Call>>,
}

#[derive(Debug, Default)]
struct Rooms {
    here: HashMap<JobId, broadcast::Sender<Arc<Event>>>,
    elsewhere: HashMap<JobId, Instant>,
}

/// What hosts call to each other.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Somebody watches this job here.
    Watch(JobId),
    /// Of a job that is watched elsewhere.
    Say(JobId, Arc<Event>),
}

impl Live {
    /// Within this process.
    pub(crate) fn here() -> Self {
        Self {
            rooms: Arc::default(),
            out: None,
        }
    }

    /// Also with other hosts, through whoever takes these calls.
    pub(crate) fn with_others() -> (Self, mpsc::Receiver<Call>) {
        let (out, calls) = mpsc::channel(UNSENT);
        let live = Self {
            out: Some(out),
            ..Self::here()
        };
        (live, calls)
    }

    /// From now on.
    pub(crate) fn watch(&self, job: JobId) -> Watching {
        let events = {
            let here = &mut self.lock().here;
            let room = here.entry(job);
            room.or_insert_with(|| broadcast::channel(WAITING).0)
                .subscribe()
        };
        self.call(Call::Watch(job));
        Watching {
            events: Some(events),
            job,
            live: self.clone(),
        }
    }

    pub(crate) fn is_watched(&self, job: JobId) -> bool {
        let rooms = self.lock();
        rooms.here.contains_key(&job) || rooms.is_watched_elsewhere(job)
    }

    /// To whoever watches.
    pub(crate) fn say(&self, job: JobId, event: Event) {
        let event = Arc::new(event);
        let elsewhere = self.lock().is_watched_elsewhere(job);
        self.hear(job, &event);
        if elsewhere {
            self.call(Call::Say(job, event));
        }
    }

    /// To whoever watches here.
    pub(crate) fn hear(&self, job: JobId, event: &Arc<Event>) {
        if let Some(room) = self.lock().here.get(&job) {
            // The last one may be leaving.
            let _ = room.send(Arc::clone(event));
        }
    }

    /// Another host says that somebody watches there.
    pub(crate) fn watched_elsewhere(&self, job: JobId) {
        let elsewhere = &mut self.lock().elsewhere;
        elsewhere.retain(|_, since| since.elapsed() < WATCHED_FOR);
        if elsewhere.len() < JOBS {
            elsewhere.insert(job, Instant::now());
        }
    }

    /// The jobs that are watched here.
    pub(crate) fn watched_here(&self) -> Vec<JobId> {
        self.lock().here.keys().copied().collect()
    }

    fn call(&self, call: Call) {
        if let Some(out) = &self.out {
            // Full: this one is lost.
            let _ = out.try_send(call);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    fn is_watched_elsewhere(&self, job: JobId) -> bool {
        let since = self.elsewhere.get(&job);
        since.is_some_and(|since| since.elapsed() < WATCHED_FOR)
    }
}

/// An open ear at one job's events that aren't kept. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watching {
    /// Always there, but for while it is dropped.
    events: Option<broadcast::Receiver<Arc<Event>>>,
    job: JobId,
    live: Live,
}

impl Watching {
    /// The next one. Some may be missing before it.
    pub async fn next(&mut self) -> Arc<Event> {
        while let Some(events) = &mut self.events {
            match events.recv().await {
                Ok(event) => return event,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
        }
        pending().await
    }

    /// One that is there by now.
    pub fn now(&mut self) -> Option<Arc<Event>> {
        let events = self.events.as_mut()?;
        loop {
            match events.try_recv() {
                Ok(event) => return Some(event),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let here = &mut self.live.lock().here;
        self.events = None;
        // Whoever comes meanwhile waits for the lock.
        if let Some(room) = here.get(&self.job)
            && room.receiver_count() == 0
        {
            here.remove(&self.job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::EventKind;
    use serde_json::{Map, Value};

    fn job(n: u128) -> JobId {
        JobId(uuid::Uuid::from_u128(n))
    }

    fn delta(n: usize) -> Event {
        Event {
            kind: EventKind::AgentDelta,
            phase: None,
            attempt: None,
            data: Map::from_iter([("n".to_owned(), n.into())]),
        }
    }

    fn number(event: Option<Arc<Event>>) -> Option<Value> {
        event.map(|event| event.data["n"].clone())
    }

    #[test]
    fn who_watches_hears_the_job_and_nobody_else_is_heard() {
        let live = Live::here();
        assert!(!live.is_watched(job(1)));
        live.say(job(1), delta(0));
        let (mut one, mut two) = (live.watch(job(1)), live.watch(job(1)));
        let mut other = live.watch(job(2));
        live.say(job(1), delta(1));
        assert_eq!(number(one.now()), Some(1.into()));
        assert_eq!(number(two.now()), Some(1.into()));
        assert_eq!(number(other.now()), None);
        drop(one);
        assert!(live.is_watched(job(1)));
        drop(two);
        assert!(!live.is_watched(job(1)));
        assert_eq!(live.watched_here(), [job(2)]);
    }

    #[test]
    fn a_flood_costs_the_slow_one_the_oldest_and_no_memory() {
        let live = Live::here();
        let mut slow = live.watch(job(1));
        for n in 0..100_000 {
            live.say(job(1), delta(n));
        }
        assert_eq!(number(slow.now()), Some((100_000 - WAITING).into()));
        let rest = std::iter::from_fn(|| slow.now()).count();
        assert_eq!(rest, WAITING - 1);
    }

    #[test]
    fn what_nobody_sends_is_lost_at_its_limit() {
        let (live, mut calls) = Live::with_others();
        live.say(job(1), delta(0));
        assert!(calls.try_recv().is_err(), "nobody watches elsewhere");
        live.watched_elsewhere(job(1));
        assert!(live.is_watched(job(1)));
        for n in 0..10_000 {
            live.say(job(1), delta(n));
        }
        let sent = std::iter::from_fn(|| calls.try_recv().ok()).count();
        assert_eq!(sent, UNSENT);
        for n in 0..5_000 {
            live.watched_elsewhere(job(n));
        }
        assert!(live.lock().elsewhere.len() <= JOBS);
    }
}
