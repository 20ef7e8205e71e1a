//! Stored events as server-sent events, of one job or of all. Pieces of an agent's text
//! (`agent.delta`) aren't stored, and so aren't here.

use crate::caller::Caller;
use crate::problem::{Code, Problem};
use crate::query::{Params, wrong};
use crate::{Shared, host, jobs};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use pipeline::{JobId, StoredEvent};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use store::{Position, StoreError, Wake};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// Open streams at most: each asks the store now and then.
pub(crate) const STREAMS: usize = 256;

/// Between comments, so that proxies and clients see that the stream lives.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// The fallback behind wake-ups.
const POLL_EVERY: Duration = Duration::from_secs(2);

/// Events of one read.
const BATCH: u32 = 200;

/// Where a stream is.
enum Feed {
    Job {
        id: JobId,
        after: i64,
        until_final: bool,
    },
    All {
        after: Position,
        /// None: of every job, and of plugins.
        only: Option<Only>,
    },
}

/// The jobs that a token which is bound to groups hears of.
struct Only {
    groups: BTreeSet<String>,
    /// Whether a job is one of them: it never changes its group.
    known: HashMap<JobId, bool>,
}

/// Jobs that a stream remembers before it asks anew.
const KNOWN: usize = 10_000;

/// What a look at the store came to.
enum News {
    None,
    /// There was some, of others' jobs only, and there may be more.
    Passed,
    Events(Vec<StoredEvent>),
    /// All was sent, and no more is asked for.
    Over,
}

struct Stream {
    shared: Arc<Shared>,
    caller: Caller,
    feed: Feed,
    wakes: Receiver<Wake>,
    comment_at: Instant,
    _permit: OwnedSemaphorePermit,
}

pub(crate) async fn of_job(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let until_final = match params.text("until").as_deref() {
        None => false,
        Some("final") => true,
        Some(_) => return Err(wrong("`until` must be `final`, or left out")),
    };
    let place = place(&headers, &mut params)?;
    params.done("after and until")?;
    let after = match &place {
        None => 0,
        Some(place) => place
            .parse()
            .ok()
            .filter(|after| *after >= 0)
            .ok_or_else(bad_place)?,
    };
    let id = jobs::find(&shared, &caller, &id).await?.id;
    let feed = Feed::Job {
        id,
        after,
        until_final,
    };
    open(&shared, caller, feed)
}

pub(crate) async fn of_all(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let place = place(&headers, &mut params)?;
    params.done("after")?;
    let after = match &place {
        None => shared.store.stream_end().await?,
        Some(place) => position(place).ok_or_else(bad_place)?,
    };
    let only = caller.groups().map(|groups| Only {
        groups: groups.clone(),
        known: HashMap::new(),
    });
    open(&shared, caller, Feed::All { after, only })
}

/// The id of the last event that the client has; the header rules, as it is newer.
fn place(headers: &HeaderMap, params: &mut Params) -> Result<Option<String>, Problem> {
    let after = params.text("after");
    let name = HeaderName::from_static("last-event-id");
    let last = host::one(headers, name).map_err(|()| bad_place())?;
    Ok(last
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .or(after))
}

fn bad_place() -> Problem {
    wrong(
        "`Last-Event-ID` or `after` isn't the `id` of an event of this stream: leave it out to begin anew",
    )
}

fn position(text: &str) -> Option<Position> {
    let (a, b) = text.split_once('-')?;
    let part = |text: &str| text.parse().ok().filter(|n: &i64| *n >= 0);
    Some((part(a)?, part(b)?))
}

fn open(shared: &Arc<Shared>, caller: Caller, feed: Feed) -> Result<Response, Problem> {
    let permit = Arc::clone(&shared.streams)
        .try_acquire_owned()
        .map_err(|_| {
            Problem::new(
                Code::TooManyStreams,
                format!("{STREAMS} streams are open: try again later"),
            )
        })?;
    let stream = Stream {
        shared: Arc::clone(shared),
        caller,
        feed,
        // Before the first read, or a hint is lost.
        wakes: shared.store.wakes(),
        comment_at: Instant::now(),
        _permit: permit,
    };
    let chunks = stream::unfold(stream, |mut stream| async {
        let chunk = stream.next().await?;
        Some((Ok::<_, Infallible>(chunk), stream))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    Ok((headers, Body::from_stream(chunks)).into_response())
}

impl Stream {
    /// The next piece of the answer; none at its end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.shared.stopping.is_cancelled() {
                return None;
            }
            let mut rests = true;
            match self.news().await {
                Ok(News::Events(events)) => return Some(self.written(&events)),
                Ok(News::Over) => return None,
                Ok(News::Passed) => rests = false,
                Ok(News::None) => {}
                // The client comes back with its last id; what it missed is still there.
                Err(error) => {
                    tracing::warn!(error = %error, "a stream of events ends: the store doesn't answer");
                    return None;
                }
            }
            let now = Instant::now();
            if now >= self.comment_at {
                self.comment_at = now + COMMENT_EVERY;
                return self.is_wanted().await.then(|| self.comment());
            }
            if rests {
                self.sleep().await;
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
            Feed::Job { id, after, .. } => self.shared.store.job_events(id, after, BATCH).await,
            Feed::All { after, .. } => self.shared.store.stream(after, BATCH).await,
        }
    }

    /// Until there may be more, or a comment is due.
    async fn sleep(&mut self) {
        let poll = tokio::time::sleep_until((Instant::now() + POLL_EVERY).min(self.comment_at));
        tokio::pin!(poll);
        loop {
            tokio::select! {
                () = self.shared.stopping.cancelled() => return,
                () = &mut poll => return,
                wake = self.wakes.recv() => match wake {
                    Ok(Wake::Events(job)) if self.feed.hears(job) => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => return (&mut poll).await,
                },
            }
        }
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

impl Feed {
    fn hears(&self, of: Option<JobId>) -> bool {
        match (self, of) {
            (Self::Job { id, .. }, Some(of)) => *id == of,
            _ => true,
        }
    }
}
