//! One open stream of events: what the store has, and between that what isn't kept. It reads no
//! request.

use super::{BATCH, COMMENT_EVERY, Feed, KNOWN, POLL_EVERY};
use crate::Shared;
use crate::caller::Caller;
use bytes::Bytes;
use pipeline::{Event, JobId, StoredEvent};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use store::{StoreError, Wake, Watching};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// What a look at the store came to.
enum News {
    None,
    /// There was some, of others' jobs only, and there may be more.
    Passed,
    Events(Vec<StoredEvent>),
    /// All was sent, and no more is asked for.
    Over,
}

/// Why a stream that rested goes on.
enum Woken {
    /// The store may have more.
    Look,
    /// What isn't stored.
    Said(Bytes),
}

pub(super) struct Stream {
    shared: Arc<Shared>,
    caller: Caller,
    feed: Feed,
    wakes: Receiver<Wake>,
    /// Of one job.
    live: Option<Watching>,
    /// Whether the store is to be asked before anything else.
    looks: bool,
    /// The fallback behind wake-ups.
    look_at: Instant,
    comment_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    pub(super) fn new(
        shared: &Arc<Shared>,
        caller: Caller,
        feed: Feed,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let live = match feed {
            Feed::Job { id, .. } => Some(shared.store.watch(id)),
            Feed::All { .. } => None,
        };
        Self {
            shared: Arc::clone(shared),
            caller,
            feed,
            // Before the first read, or a hint is lost.
            wakes: shared.store.wakes(),
            live,
            looks: true,
            look_at: Instant::now(),
            comment_at: Instant::now(),
            _permit: permit,
        }
    }

    /// The next piece of the answer; none at its end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.shared.stopping.is_cancelled() {
                return None;
            }
            if self.looks {
                match self.news().await {
                    Ok(News::Events(events)) => return Some(self.written(&events)),
                    Ok(News::Over) => return None,
                    Ok(News::Passed) => {}
                    Ok(News::None) => {
                        self.looks = false;
                        self.look_at = Instant::now() + POLL_EVERY;
                    }
                    // The client comes back with its last id; what it missed is still there.
                    Err(error) => {
                        tracing::warn!(error = %error, "a stream of events ends: the store doesn't answer");
                        return None;
                    }
                }
            }
            let now = Instant::now();
            if now >= self.comment_at {
                self.comment_at = now + COMMENT_EVERY;
                return self.is_wanted().await.then(|| self.comment());
            }
            if !self.looks {
                match self.sleep().await {
                    Woken::Look => self.looks = true,
                    Woken::Said(said) => return Some(said),
                }
            }
        }
    }

    /// What there is to say now.
    async fn news(&mut self) -> Result<News, StoreError> {
        // Its token may have been revoked since.
        if !self.shared.access.holds(&self.caller).await? {
            return Ok(News::Over);
        }
        let mut events = self.read().await?;
        if events.is_empty() && self.is_final().await? {
            // Read again: what came before the job was final may have come after the first look.
            events = self.read().await?;
            if events.is_empty() {
                return Ok(News::Over);
            }
        }
        let read = events.len();
        let events = self.own(events).await?;
        Ok(match (events.is_empty(), read) {
            (true, 0) => News::None,
            (true, _) => News::Passed,
            (false, _) => News::Events(events),
        })
    }

    /// Those of them that the caller may hear of; the stream moves on past all of them.
    async fn own(&mut self, mut events: Vec<StoredEvent>) -> Result<Vec<StoredEvent>, StoreError> {
        let Feed::All {
            after,
            only: Some(only),
        } = &mut self.feed
        else {
            return Ok(events);
        };
        if only.known.len() > KNOWN {
            only.known.clear();
        }
        let of_jobs = events.iter().filter_map(|event| event.job);
        let new: BTreeSet<JobId> = of_jobs
            .filter(|job| !only.known.contains_key(job))
            .collect();
        if !new.is_empty() {
            let new: Vec<JobId> = new.into_iter().collect();
            let own = self.shared.store.in_groups(&new, &only.groups).await?;
            only.known
                .extend(new.into_iter().map(|job| (job, own.contains(&job))));
        }
        if let Some(last) = events.last() {
            *after = last.position;
        }
        events.retain(|event| {
            event
                .job
                .is_some_and(|job| only.known.get(&job) == Some(&true))
        });
        Ok(events)
    }

    /// That the stream lives. Where it was silent about others' events, it also says past which: a
    /// client that comes back needn't pass them once more.
    fn comment(&self) -> Bytes {
        match &self.feed {
            Feed::All {
                after,
                only: Some(_),
            } => format!(": alive\nid: {}-{}\n\n", after.0, after.1).into(),
            _ => Bytes::from_static(b": alive\n\n"),
        }
    }

    /// Whether the stream is to end with its job, and the job is final now. A final event says
    /// less: a retry may have come after it.
    async fn is_final(&self) -> Result<bool, StoreError> {
        let Feed::Job {
            id,
            until_final: true,
            ..
        } = self.feed
        else {
            return Ok(false);
        };
        let job = self.shared.store.job(id).await?;
        Ok(job.is_none_or(|job| job.status.is_final()))
    }

    async fn read(&self) -> Result<Vec<StoredEvent>, StoreError> {
        match self.feed {
            Feed::Job {
                only_live: true, ..
            } => Ok(Vec::new()),
            Feed::Job { id, after, .. } => self.shared.store.job_events(id, after, BATCH).await,
            Feed::All { after, .. } => self.shared.store.stream(after, BATCH).await,
        }
    }

    /// Until there may be more, or a comment is due.
    async fn sleep(&mut self) -> Woken {
        let poll = tokio::time::sleep_until(self.look_at.min(self.comment_at));
        tokio::pin!(poll);
        loop {
            tokio::select! {
                () = self.shared.stopping.cancelled() => return Woken::Look,
                () = &mut poll => return Woken::Look,
                wake = self.wakes.recv() => match wake {
                    Ok(Wake::Events(job)) if self.feed.hears(job) => return Woken::Look,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return Woken::Look,
                    Err(RecvError::Closed) => {
                        (&mut poll).await;
                        return Woken::Look;
                    }
                },
                event = said(&mut self.live) => return Woken::Said(self.said(&event)),
            }
        }
    }

    /// What isn't stored, and all of it that is there by now.
    fn said(&mut self, first: &Event) -> Bytes {
        self.comment_at = Instant::now() + COMMENT_EVERY;
        let Feed::Job { id, .. } = self.feed else {
            return Bytes::new();
        };
        let mut text = unstored(id, first);
        while let Some(more) = self.live.as_mut().and_then(Watching::now) {
            text.push_str(&unstored(id, &more));
        }
        text.into()
    }

    /// Whether its job is still there.
    async fn is_wanted(&self) -> bool {
        match self.feed {
            Feed::All { .. } => true,
            Feed::Job { id, .. } => !matches!(self.shared.store.job(id).await, Ok(None)),
        }
    }

    fn written(&mut self, events: &[StoredEvent]) -> Bytes {
        self.comment_at = Instant::now() + COMMENT_EVERY;
        let mut text = String::new();
        for event in events {
            let id = match &mut self.feed {
                Feed::Job { after, .. } => {
                    *after = event.seq;
                    event.seq.to_string()
                }
                Feed::All { after, .. } => {
                    *after = event.position;
                    format!("{}-{}", after.0, after.1)
                }
            };
            let data = json!({
                "seq": event.seq,
                "job": event.job,
                "type": event.kind,
                "at": event.at,
                "phase": event.phase,
                "attempt": event.attempt,
                "data": event.data,
            });
            let kind = event.kind.word();
            // JSON has no line ends of its own; writing to a String can't fail.
            let _ = write!(text, "id: {id}\nevent: {kind}\ndata: {data}\n\n");
        }
        text.into()
    }
}

/// The next event of a watched job; never one where none is.
async fn said(live: &mut Option<Watching>) -> Arc<Event> {
    match live {
        Some(watching) => watching.next().await,
        None => std::future::pending().await,
    }
}

/// It has no `id`: a client that comes back begins after the last one that is stored.
fn unstored(job: JobId, event: &Event) -> String {
    let data = json!({
        "job": job,
        "type": event.kind,
        "phase": event.phase,
        "attempt": event.attempt,
        "data": event.data,
    });
    format!("event: {}\ndata: {data}\n\n", event.kind.word())
}

impl Feed {
    fn hears(&self, of: Option<JobId>) -> bool {
        match (self, of) {
            (Self::Job { id, .. }, Some(of)) => *id == of,
            _ => true,
        }
    }
}
