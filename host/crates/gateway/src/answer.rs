//! One request from its head to the last byte of its answer. What may pass is
//! said elsewhere ([`crate::admit`]); here is only the order of the steps.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::time::timeout;

use crate::admit::{self, Call};
use crate::afford::afford;
use crate::bill::Bill;
use crate::meter::Meter;
use crate::refusal::Refusal;
use crate::run::Door;

/// An answer's body: the provider's, as it comes, or our own.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The provider's headers that the agent's client can use.
const HEADERS: &[&str] = &[
    "content-type",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
];

/// Of these there are many.
const RATE_LIMITS: &str = "anthropic-ratelimit-";

pub(crate) async fn answer(door: &Arc<Door>, request: Request<Incoming>) -> Response<Body> {
    match forward(door, request).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::debug!(socket.path = %door.socket_path.display(), status = refusal.status.as_u16(), kind = refusal.kind, "a model request was refused");
            refusal.into_response()
        }
    }
}

async fn forward(door: &Arc<Door>, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let paid = async {
        let call = admit(door, request).await?;
        let paid = afford(door, call).await?;
        // Both took their time.
        refuse_while_fenced(door)?;
        Ok(paid)
    };
    let (call, bill) = paid
        .await
        .inspect_err(|_: &Refusal| door.ledger.refused())?;
    door.ledger.sent();
    let model = call.asked.model.clone();
    let (response, bill) = send(door, call, bill).await.inspect_err(|_| {
        door.ledger.answered(false, None);
        door.ledger.broke_off();
    })?;
    let status = response.status();
    door.ledger
        .answered(status.is_success(), retry_after(response.headers()));
    let bill = match bill {
        Some(bill) if !status.is_success() => {
            bill.refused();
            None
        }
        bill => bill,
    };
    if status.is_redirection() {
        tracing::warn!(
            status = status.as_u16(),
            "the provider answered with a redirect"
        );
        return Err(Refusal::redirected());
    }
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        tracing::warn!(
            status = status.as_u16(),
            "the provider refused the host's key"
        );
    }
    Ok(relay(door, response, model, bill))
}

async fn admit(door: &Door, request: Request<Incoming>) -> Result<Call, Refusal> {
    let target = admit::route(request.method(), request.uri())?;
    admit::token(door, request.headers())?;
    refuse_while_fenced(door)?;
    let headers = admit::headers(door, request.headers());
    let limits = &door.shared.limits;
    let body = timeout(limits.body, read(request.into_body(), limits.request_bytes))
        .await
        .map_err(|_| Refusal::late_body())??;
    let asked = admit::body(door, &body)?;
    Ok(Call {
        target,
        counts: target.contains("count_tokens"),
        headers,
        body,
        asked,
    })
}

fn refuse_while_fenced(door: &Door) -> Result<(), Refusal> {
    if *door.fence.borrow() {
        Err(Refusal::fenced())
    } else {
        Ok(())
    }
}

async fn read(mut body: Incoming, limit_bytes: usize) -> Result<Bytes, Refusal> {
    let hint = body.size_hint();
    if hint.lower() > limit_bytes as u64 {
        return Err(Refusal::too_large(limit_bytes));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::invalid("the body broke off"))?;
        let Ok(data) = frame.into_data() else {
            continue; // Trailers: nothing of them is sent on.
        };
        if bytes.len() + data.len() > limit_bytes {
            return Err(Refusal::too_large(limit_bytes));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

/// Sends to the provider, unless the fence goes up before its answer begins.
async fn send(
    door: &Door,
    call: Call,
    bill: Option<Bill>,
) -> Result<(reqwest::Response, Option<Bill>), Refusal> {
    let mut fence = door.fence.clone();
    let fenced = async {
        if fence.wait_for(|fenced| *fenced).await.is_err() {
            // Whoever could have raised it is gone.
            future::pending::<()>().await;
        }
    };
    let sent = timeout(
        door.shared.limits.answer,
        door.shared
            .upstream
            .send(call.target, call.headers, call.body),
    );
    let sent = tokio::select! {
        biased;
        () = fenced => return Err(Refusal::fenced()),
        sent = sent => sent,
    };
    match sent {
        Ok(Ok(response)) => Ok((response, bill)),
        Ok(Err(error)) => {
            let reason = chain(&error);
            tracing::warn!(reason, "the provider could not be reached");
            if let Some(bill) = bill
                && error.is_connect()
            {
                bill.free();
            }
            Err(Refusal::unreachable())
        }
        Err(_) => {
            tracing::warn!("the provider did not answer in time");
            Err(Refusal::late_answer())
        }
    }
}

/// Hands the answer on, piece by piece as it comes.
fn relay(
    door: &Door,
    response: reqwest::Response,
    model: String,
    bill: Option<Bill>,
) -> Response<Body> {
    let status = response.status();
    let headers = pass(response.headers(), door.shared.limits.retry_after);
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let meter = Meter::new(Arc::clone(&door.ledger), model, content_type, bill);
    let idle = door.shared.limits.idle;
    let pieces = stream::try_unfold((response, meter), move |(response, meter)| {
        next(response, meter, idle)
    });
    let mut answer = Response::new(StreamBody::new(pieces).boxed_unsync());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

type Piece = Option<(Frame<Bytes>, (reqwest::Response, Meter))>;

async fn next(
    mut response: reqwest::Response,
    mut meter: Meter,
    idle: Duration,
) -> Result<Piece, Box<dyn std::error::Error + Send + Sync>> {
    let chunk = match timeout(idle, response.chunk()).await {
        Ok(Ok(chunk)) => chunk,
        Ok(Err(error)) => {
            let error = error.without_url();
            let reason = chain(&error);
            tracing::warn!(reason, "the provider's answer broke off");
            meter.broke_off();
            return Err(error.into());
        }
        Err(silence) => {
            tracing::warn!(idle_ms = idle.as_millis(), "the provider fell silent");
            meter.broke_off();
            return Err(silence.into());
        }
    };
    let Some(chunk) = chunk else {
        meter.end();
        return Ok(None);
    };
    meter.take(&chunk);
    Ok(Some((Frame::data(chunk), (response, meter))))
}

/// For how long the provider asks to be left alone, in either of its forms. A date isn't one of
/// them: it would want a clock.
fn retry_after(given: &HeaderMap) -> Option<Duration> {
    let number = |name| given.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms")
        .map(|ms| ms / 1_000.0)
        .or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The headers that the agent's client can use. A provider that wants to be left alone for longer
/// than `patience` isn't waited for by a client in its container: the job waits, without one.
fn pass(given: &HeaderMap, patience: Duration) -> HeaderMap {
    let passes = |name: &HeaderName| {
        HEADERS.contains(&name.as_str()) || name.as_str().starts_with(RATE_LIMITS)
    };
    let mut passed: HeaderMap = given
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if retry_after(given).is_some_and(|asked| asked > patience) {
        passed.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    passed
}

/// The error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
