//! Signing in on the page: a token for a cookie that no script can read. The store knows the
//! digests of the cookie's id and of the token; a session ends with its token.

use crate::access::Access;
use crate::caller::Caller;
use crate::problem::Problem;
use crate::{Shared, auth, body};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use pipeline::Digest;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::Session;

const LASTS: Duration = Duration::from_secs(30 * 86_400);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    token: String,
}

pub(crate) async fn begin(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let secure = is_https(request.headers());
    let (SignIn { token: given }, _) = body::json(&shared, request).await?;
    check(&shared.access, &given).await?;
    let id = hex::encode((shared.config.entropy)().map_err(Problem::internal)?);
    let session = Session {
        token: Digest::of(given.as_bytes()),
        expires: (shared.config.now)().after(LASTS),
    };
    let store = &shared.access.store;
    store
        .put_session(&auth::session_digest(&id), &session)
        .await?;
    let name = auth::COOKIES[usize::from(!secure)];
    let cookie = cookie(name, &id, LASTS.as_secs());
    let value = HeaderValue::from_str(&cookie).map_err(Problem::internal)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, value)]).into_response())
}

async fn check(access: &Access, given: &str) -> Result<(), Problem> {
    if access.by_text(given).await?.is_some() {
        return Ok(());
    }
    Err(auth::unauthorized(match access.open().await? {
        None => "this token isn't known, or it was revoked",
        Some(_) => {
            "this host has no token yet, and asks for none: there is nothing to sign in with"
        }
    }))
}

/// Who is signed in, for the page: what it can offer.
pub(crate) async fn read(caller: Caller) -> Response {
    Json(json!({
        "name": caller.name(),
        "scopes": caller.scopes(),
        "groups": caller.groups(),
    }))
    .into_response()
}

pub(crate) async fn end(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    for id in auth::session_ids(&headers) {
        let store = &shared.access.store;
        store.delete_session(&auth::session_digest(id)).await?;
    }
    let gone = auth::COOKIES.map(|name| (header::SET_COOKIE, cookie(name, "", 0)));
    Ok((StatusCode::NO_CONTENT, AppendHeaders(gone)).into_response())
}

fn cookie(name: &str, value: &str, seconds: u64) -> String {
    let secure = if name.starts_with("__Host-") {
        "; Secure"
    } else {
        ""
    };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// Where the page came over HTTPS, as the browser or the proxy says. Who lies gets a cookie that
/// its own browser won't send back.
fn is_https(headers: &HeaderMap) -> bool {
    let says = |name, what: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with(what))
    };
    says(header::ORIGIN, "https://")
        || says(
            header::HeaderName::from_static("x-forwarded-proto"),
            "https",
        )
}
