//! Errors as `application/problem+json`: one list of codes. What is wrong inside goes to the log;
//! a 5xx never says it.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pipeline::Timestamp;
use serde_json::json;
use store::StoreError;

/// Every code that a client can see. The word is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BadRequest,
    BadJson,
    BadQuery,
    BadId,
    BadPath,
    BadIdempotencyKey,
    Unauthorized,
    WrongHost,
    WrongOrigin,
    MissingScope,
    BoundToken,
    WrongGroup,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    JobRunning,
    WrongState,
    NotUnique,
    NoAdmin,
    WorkspaceGone,
    FilesElsewhere,
    TooLarge,
    UnsupportedMediaType,
    InvalidBody,
    InvalidJob,
    UnknownPipeline,
    IdempotencyKeyReused,
    Internal,
    Unavailable,
    TooManyStreams,
}

impl Code {
    /// Status, stable word, title.
    pub(crate) const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::BadRequest => (S::BAD_REQUEST, "bad-request", "The request can't be read"),
            Self::BadJson => (S::BAD_REQUEST, "bad-json", "The body isn't JSON"),
            Self::BadQuery => (S::BAD_REQUEST, "bad-query", "The query is wrong"),
            Self::BadId => (S::BAD_REQUEST, "bad-id", "Not a job's id"),
            Self::BadPath => (S::BAD_REQUEST, "bad-path", "Not a path in a workspace"),
            Self::BadIdempotencyKey => (
                S::BAD_REQUEST,
                "bad-idempotency-key",
                "The Idempotency-Key is wrong",
            ),
            Self::Unauthorized => (S::UNAUTHORIZED, "unauthorized", "A token is needed"),
            Self::WrongHost => (S::FORBIDDEN, "wrong-host", "Not this host's name"),
            Self::WrongOrigin => (S::FORBIDDEN, "wrong-origin", "Sent by another site's page"),
            Self::MissingScope => (S::FORBIDDEN, "missing-scope", "The token lacks a scope"),
            Self::BoundToken => (
                S::FORBIDDEN,
                "bound-token",
                "Not with a token that is bound to groups",
            ),
            Self::WrongGroup => (S::FORBIDDEN, "wrong-group", "Not a group of the token's"),
            Self::NotFound => (S::NOT_FOUND, "not-found", "Not there"),
            Self::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Not with this method",
            ),
            Self::BodyTimeout => (
                S::REQUEST_TIMEOUT,
                "body-timeout",
                "The body took too long to arrive",
            ),
            Self::JobRunning => (S::CONFLICT, "job-running", "The job hasn't ended"),
            Self::WrongState => (S::CONFLICT, "wrong-state", "Not in this state"),
            Self::NotUnique => (
                S::CONFLICT,
                "not-unique",
                "The group has a job that hasn't ended",
            ),
            Self::NoAdmin => (S::CONFLICT, "no-admin", "Nobody could administer any more"),
            Self::WorkspaceGone => (S::CONFLICT, "workspace-gone", "The workspace is gone"),
            Self::FilesElsewhere => (
                S::CONFLICT,
                "files-elsewhere",
                "The files are on another host",
            ),
            Self::TooLarge => (S::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body's type is wrong",
            ),
            Self::InvalidBody => (
                S::UNPROCESSABLE_ENTITY,
                "invalid-body",
                "The body has the wrong form",
            ),
            Self::InvalidJob => (
                S::UNPROCESSABLE_ENTITY,
                "invalid-job",
                "The job can't be taken",
            ),
            Self::UnknownPipeline => (
                S::UNPROCESSABLE_ENTITY,
                "unknown-pipeline",
                "No such pipeline",
            ),
            Self::IdempotencyKeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The Idempotency-Key was used for another body",
            ),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "A fault of this host"),
            Self::Unavailable => (S::SERVICE_UNAVAILABLE, "unavailable", "Not now"),
            Self::TooManyStreams => (
                S::SERVICE_UNAVAILABLE,
                "too-many-streams",
                "Too many open streams",
            ),
        }
    }

    /// For an answer that the router made by itself.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            _ if status.is_server_error() => Self::Internal,
            _ => Self::BadRequest,
        }
    }
}

/// An error on its way to the client. `observe` writes it out, with the request's id.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    /// For people: the culprit and the mend.
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// There is no such job.
    pub(crate) fn no_job(id: impl std::fmt::Display) -> Self {
        Self::new(
            Code::NotFound,
            format!("there is no job {id}: it was deleted, or never submitted"),
        )
    }

    /// A job can't go on without the workspace that it had.
    pub(crate) fn workspace_gone(at: Timestamp, going: bool) -> Self {
        let detail = match going {
            true => {
                "the job's workspace is being removed just now: try again in a moment".to_owned()
            }
            false => format!(
                "the job's workspace was removed at {at}, and the phase that failed goes on from \
                 what was in it: send the job back with feedback, and every phase is asked again"
            ),
        };
        Self::new(Code::WorkspaceGone, detail)
    }

    /// A fault of the host: logged here, once, and told to the client without its reason.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(error = %error, "a request failed");
        Self::new(
            Code::Internal,
            "the host couldn't do it; its log has the reason under this request's id",
        )
    }

    /// As the client sees it.
    pub(crate) fn write(&self, request_id: &str) -> Response {
        let (status, code, title) = self.code.parts();
        let body = json!({
            "type": format!("urn:gantry:problem:{code}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
            "code": code,
            "request_id": request_id,
        });
        let mut answer = (status, Body::from(body.to_string())).into_response();
        let headers = answer.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"gantry\"");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        answer
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = self.code.parts().0.into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Away { .. } => {
                tracing::warn!(error = %error, "the store is away");
                let detail = "the host's database doesn't answer: try again in a moment";
                Self::new(Code::Unavailable, detail)
            }
            error => Self::internal(error),
        }
    }
}
