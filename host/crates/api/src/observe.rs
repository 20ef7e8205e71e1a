//! The outermost layer: gives each request an id, sends it to the site or the host that it names,
//! writes problems out, counts and logs. It reads no body, and logs no header but the id.

use crate::host::{Named, named};
use crate::problem::{Code, Problem};
use crate::{Shared, auth, body, pages};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::Instrument as _;
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// From a request's head to its answer's head.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Requests by method, route and status since the start. Routes are those that are registered,
/// so that a client can't make it grow.
#[derive(Default)]
pub(crate) struct Requests(Mutex<BTreeMap<(&'static str, String, u16), u64>>);

impl Requests {
    fn count(&self, method: &'static str, route: &str, status: u16) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *map.entry((method, route.to_owned(), status)).or_default() += 1;
    }

    /// In order.
    pub(crate) fn all(&self) -> BTreeMap<(&'static str, String, u16), u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub(crate) async fn observe(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers());
    let method = method_word(request.method());
    let matched = request.extensions().get::<MatchedPath>();
    let mut route = matched.map_or("-", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("http", request_id = %id);
    let answer = async {
        let answer = tokio::time::timeout(ANSWER_WITHIN, send(&shared, request, next, &mut route));
        answer.await.unwrap_or_else(|_| {
            Problem::internal(format!("no answer within {ANSWER_WITHIN:?}")).into_response()
        })
    };
    let mut answer = written(answer.instrument(span).await, &id);
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    let status = answer.status().as_u16();
    shared.requests.count(method, &route, status);
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(http.method = method, http.route = %route, http.status = status, took_ms, request_id = %id, "answered");
    answer
}

async fn send(shared: &Shared, request: Request, next: Next, route: &mut String) -> Response {
    let (mut parts, body) = request.into_parts();
    let authority = match named(&parts, shared.config.domain.as_deref()) {
        Named::Site(name) => {
            "site".clone_into(route);
            return pages::answer(shared, &name, &parts).await;
        }
        Named::Malformed => {
            let detail = "its `Host` can't be read: send one, as `name` or `name:port`";
            return Problem::new(Code::BadRequest, detail).into_response();
        }
        Named::Main(authority) => authority,
    };
    if let Some(refusal) = body::refuse_large(shared, &parts.headers) {
        body::drain(&parts.headers, body);
        return refusal.into_response();
    }
    match auth::admit(shared, &parts, route, authority.as_ref()).await {
        Ok(None) => {}
        Ok(Some(caller)) => {
            parts.extensions.insert(caller);
        }
        Err(refusal) => return refusal.into_response(),
    }
    let is_api = auth::is_api(parts.uri.path());
    let mut answer = next.run(Request::from_parts(parts, body)).await;
    let headers = answer.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if is_api {
        let policy = HeaderName::from_static("cross-origin-resource-policy");
        headers.insert(policy, HeaderValue::from_static("same-origin"));
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
    answer
}

/// Problems written out; also what the router refused by itself, as with a wrong method.
fn written(answer: Response, id: &str) -> Response {
    if let Some(problem) = answer.extensions().get::<Problem>() {
        return with_headers_of(problem.write(id), &answer);
    }
    let status = answer.status();
    if !status.is_client_error() || !is_bare(&answer) {
        return answer;
    }
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => "see `Allow` for the methods that this address takes",
        _ => "the address can't be read",
    };
    with_headers_of(
        Problem::new(Code::of_status(status), detail).write(id),
        &answer,
    )
}

fn is_bare(answer: &Response) -> bool {
    let of_type = answer.headers().get(header::CONTENT_TYPE);
    of_type.is_none_or(|value| value.as_bytes().starts_with(b"text/plain"))
}

fn with_headers_of(mut problem: Response, answer: &Response) -> Response {
    for (name, value) in answer.headers() {
        if !matches!(*name, header::CONTENT_TYPE | header::CONTENT_LENGTH) {
            problem
                .headers_mut()
                .entry(name)
                .or_insert_with(|| value.clone());
        }
    }
    problem
}

/// The client's own where it is short and visible, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    match given
        .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_graphic()))
    {
        Some(id) => id.to_owned(),
        None => Uuid::now_v7().to_string(),
    }
}

fn method_word(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
