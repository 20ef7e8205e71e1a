//! A request's body: JSON, capped in bytes and time. It is read nowhere else.

use crate::Shared;
use crate::problem::{Code, Problem};
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::Bytes;

use http_body_util::BodyExt as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use std::time::Duration;

/// For a whole body to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(20);

/// What is read, and thrown away, of a body that was refused: a client that is cut off while it
/// sends doesn't get to see the answer.
const DRAIN_BYTES: usize = 256 << 20;
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// A body that says itself that it is too large.
pub(crate) fn refuse_large(shared: &Shared, headers: &HeaderMap) -> Option<Problem> {
    let length = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
    let bytes: u64 = length.parse().ok()?;
    let limit = shared.config.body_bytes;
    (bytes > limit as u64).then(|| too_large(limit))
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        Code::TooLarge,
        format!("the body is larger than the {limit} bytes that are allowed"),
    )
}

/// Reads on in the background, unless the client waits for a word before it sends.
pub(crate) fn drain(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let all = async move {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            left = match left.checked_sub(bytes) {
                Some(left) => left,
                None => return,
            };
        }
    };
    tokio::spawn(tokio::time::timeout(DRAIN_WITHIN, all));
}

/// The body as JSON; where there is none, what it means to say nothing.
pub(crate) async fn json_or_none<T: DeserializeOwned + Default>(
    shared: &Shared,
    request: Request,
) -> Result<T, Problem> {
    if request.body().size_hint().exact() == Some(0) {
        return Ok(T::default());
    }
    json(shared, request).await.map(|(value, _)| value)
}

/// The body as JSON, and its bytes.
pub(crate) async fn json<T: DeserializeOwned>(
    shared: &Shared,
    request: Request,
) -> Result<(T, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    check_type(&parts.headers)?;
    let reading = read(body, &parts.headers, shared.config.body_bytes);
    let bytes = tokio::time::timeout(BODY_WITHIN, reading)
        .await
        .map_err(|_| {
            Problem::new(
                Code::BodyTimeout,
                format!("the body wasn't here after {} s", BODY_WITHIN.as_secs()),
            )
        })??;
    let refused = |error: serde_json::Error| match error.classify() {
        Category::Data => Problem::new(Code::InvalidBody, error.to_string()),
        _ => Problem::new(Code::BadJson, error.to_string()),
    };
    // serde would take an array for an object, its items in the fields' order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        serde_json::from_slice::<IgnoredAny>(&bytes).map_err(refused)?;
        let detail = "the body must be a JSON object";
        return Err(Problem::new(Code::InvalidBody, detail));
    }
    let value = serde_json::from_slice(&bytes).map_err(refused)?;
    Ok((value, bytes))
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = given
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "send the body as JSON, with `Content-Type: application/json`";
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

async fn read(mut body: Body, headers: &HeaderMap, limit: usize) -> Result<Bytes, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new(Code::BadRequest, "the body broke off"))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if bytes.len() + data.len() > limit {
            drain(headers, body);
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes.into())
}
