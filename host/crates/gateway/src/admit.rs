//! What may pass, step by step: the call, the token, the headers, the body. It
//! sends nothing.

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Uri};
use sha2::{Digest as _, Sha256};

use crate::beta::Words;
use crate::refusal::Refusal;
use crate::request::{self, Asked};
use crate::run::Door;

/// Request headers that are sent on as they are. The client's credentials are
/// never among them.
const HEADERS: &[&str] = &["accept", "anthropic-version", "user-agent", "x-app"];

pub(crate) const BETA: &str = "anthropic-beta";

/// The provider's path and query of its token counting.
pub(crate) const COUNT: &str = "/v1/messages/count_tokens?beta=true";

/// A call that may pass.
#[derive(Debug)]
pub(crate) struct Call {
    /// Path and query.
    pub(crate) target: &'static str,
    /// Whether it only counts tokens, which costs nothing.
    pub(crate) counts: bool,
    /// Without the provider's credential.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) asked: Asked,
}

/// The provider's path and query for a call that may pass. Of the query only
/// `beta=true` is kept.
pub(crate) fn route(method: &Method, uri: &Uri) -> Result<&'static str, Refusal> {
    let beta = uri
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "beta=true"));
    match (method, uri.path(), beta) {
        (&Method::POST, "/v1/messages", false) => Ok("/v1/messages"),
        (&Method::POST, "/v1/messages", true) => Ok("/v1/messages?beta=true"),
        (&Method::POST, "/v1/messages/count_tokens", false) => Ok("/v1/messages/count_tokens"),
        (&Method::POST, "/v1/messages/count_tokens", true) => Ok(COUNT),
        (method, path, _) => Err(Refusal::not_found(method.as_str(), path)),
    }
}

/// Whether the request carries the run's token, as the one header or the other.
pub(crate) fn token(door: &Door, headers: &HeaderMap) -> Result<(), Refusal> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    });
    let key = headers.get("x-api-key").map(HeaderValue::as_bytes);
    // Digests are compared: neither the time nor an early end tells about the token.
    let matches = |given: &[u8]| {
        let digest: [u8; 32] = Sha256::digest(given).into();
        let differing = digest
            .iter()
            .zip(&door.token_digest)
            .fold(0, |differing, (a, b)| differing | (a ^ b));
        differing == 0
    };
    if bearer.into_iter().chain(key).any(matches) {
        Ok(())
    } else {
        Err(Refusal::unauthorized())
    }
}

/// The headers that go to the provider, without its credential.
pub(crate) fn headers(door: &Door, given: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in HEADERS {
        if let Some(value) = given.get(*name) {
            passed.insert(*name, value.clone());
        }
    }
    passed.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut words = Words::default();
    for header in given.get_all(BETA) {
        words.add(header.to_str().unwrap_or_default());
    }
    for word in &words.stripped {
        door.log_stripped(word);
    }
    if let Ok(value) = HeaderValue::try_from(words.passed.join(","))
        && !value.is_empty()
    {
        passed.insert(BETA, value);
    }
    passed
}

/// Checks the body and answers with what it asks for.
pub(crate) fn body(door: &Door, body: &[u8]) -> Result<Asked, Refusal> {
    let asked =
        request::check(body).map_err(|reason| Refusal::invalid(format!("the body: {reason}")))?;
    if door.models.contains(&asked.model) {
        return Ok(asked);
    }
    Err(Refusal::invalid(format!(
        "model {:?} is not one of this run's; those are: {}",
        asked.model,
        door.models.join(", ")
    )))
}
