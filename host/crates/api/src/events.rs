//! Stored events as server-sent events, of one job or of all; and of one job what isn't stored, as
//! pieces of an agent's text (`agent.delta`), which have no `id` and come as they can.

mod stream;

use crate::caller::Caller;
use crate::problem::{Code, Problem};
use crate::query::{Params, wrong};
use crate::{Shared, host, jobs};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use pipeline::JobId;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use store::Position;
use stream::Stream;

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
        /// Nothing that is stored.
        only_live: bool,
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
    let only_live = match params.text("live").as_deref() {
        None => false,
        Some("only") => true,
        Some(_) => return Err(wrong("`live` must be `only`, or left out")),
    };
    let place = place(&headers, &mut params)?;
    params.done("after, until and live")?;
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
        only_live,
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
    let stream = Stream::new(shared, caller, feed, permit);
    let chunks = futures_util::stream::unfold(stream, |mut stream| async {
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
