//! What the gateway itself answers, in the provider's own form of an error, so
//! that any client of the provider understands it. It never tells an agent
//! about the host's insides.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use pipeline::usd;
use serde_json::json;

use crate::accounts::Budget;
use crate::answer::Body;

/// Whose budget it is, what may be spent and what was, in dollars.
fn shown(budget: &Budget) -> (&str, String, String) {
    (
        &budget.of,
        usd(budget.limit_micro_usd),
        usd(budget.spent_micro_usd),
    )
}

/// An answer in place of the provider's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// One of the provider's words: `invalid_request_error`, …
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    retry_after_seconds: Option<u32>,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            retry_after_seconds: None,
        }
    }

    pub(crate) fn not_found(method: &str, path: &str) -> Self {
        let path: String = path.chars().take(200).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found_error",
            format!(
                "{method} {path} is not forwarded: this gateway takes POST /v1/messages and POST /v1/messages/count_tokens"
            ),
        )
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "authentication_error",
            "the request must carry this run's token, as `authorization: Bearer …` or `x-api-key`",
        )
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!("a request may have {limit_bytes} bytes"),
        )
    }

    pub(crate) fn late_body() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "invalid_request_error",
            "the request's body did not arrive in time",
        )
    }

    pub(crate) fn fenced() -> Self {
        let mut refusal = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded_error",
            "the host forwards nothing at the moment; ask again",
        );
        refusal.retry_after_seconds = Some(1);
        refusal
    }

    /// For good: the CLI shows the words and doesn't try again.
    pub(crate) fn over(budget: &Budget) -> Self {
        let (of, limit, spent) = shown(budget);
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request_error",
            format!(
                "the budget of {of} is used up: {spent} of {limit} dollars are spent, and this request could cost more than what is left"
            ),
        )
    }

    /// For now.
    pub(crate) fn busy(budget: &Budget) -> Self {
        let (of, limit, spent) = shown(budget);
        let mut refusal = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded_error",
            format!(
                "what is left of the budget of {of} ({spent} of {limit} dollars are spent) is set aside for other requests; ask again"
            ),
        );
        refusal.retry_after_seconds = Some(5);
        refusal
    }

    pub(crate) fn unreachable() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "api_error",
            "the model's provider could not be reached",
        )
    }

    pub(crate) fn redirected() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "api_error",
            "the model's provider answered with a redirect, which is not followed",
        )
    }

    pub(crate) fn late_answer() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout_error",
            "the model's provider did not answer in time",
        )
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let error = json!({"type": "error", "error": {"type": self.kind, "message": self.message}});
        let body = Full::new(Bytes::from(error.to_string()));
        let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
