//! Whether a request may pass: by a token, a session's cookie or, on loopback without a token, where
//! no other site's page can have sent it. Which route needs what is `routes`' table; a token is
//! never logged.

use crate::Shared;
use crate::caller::Caller;
use crate::host::{Authority, one};
use crate::problem::{Code, Problem};
use crate::routes::Need;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use pipeline::Digest;

/// The session's cookie; the first name where the page came over HTTPS.
pub(crate) const COOKIES: [&str; 2] = ["__Host-gantry_session", "gantry_session"];

/// Cookies of these names that are looked at: a page of a site below could add some.
const COOKIES_TRIED: usize = 4;

pub(crate) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// What a request needs that no row of the table is about.
fn else_needed(path: &str) -> Need {
    match is_api(path) || path == "/metrics" {
        true => Need::Known,
        false => Need::Public,
    }
}

/// Lets a request to this route pass, and says who sent it; or why not. Of a public route nobody is
/// asked: `/api/session` looks at its token itself.
pub(crate) async fn admit(
    shared: &Shared,
    parts: &Parts,
    route: &str,
    authority: Option<&Authority>,
) -> Result<Option<Caller>, Problem> {
    let path = parts.uri.path();
    if is_probe(path) {
        return Ok(None);
    }
    let need = shared.needs.of(&parts.method, route);
    let need = need.unwrap_or_else(|| else_needed(path));
    let is_unsafe = !parts.method.is_safe();
    let open = match (need, shared.access.open().await) {
        // What is the same for everybody needs no store; the stricter look does no harm.
        (Need::Public, Err(_)) => {
            check_own_host(authority, shared.config.port)?;
            None
        }
        (_, open) => open?,
    };
    if open.is_some() {
        check_own_host(authority, shared.config.port)?;
    }
    if need == Need::Public || open.is_some() {
        if is_unsafe {
            check_origin(parts, authority, false)?;
        }
        return Ok(open);
    }
    let caller = match bearer(&parts.headers) {
        Some(given) => {
            let caller = shared.access.by_text(given).await?;
            caller.ok_or_else(|| unauthorized("this token isn't known, or it was revoked"))?
        }
        None => {
            let caller = by_cookie(shared, &parts.headers).await?;
            let caller = caller.ok_or_else(|| {
                unauthorized(
                    "send `Authorization: Bearer TOKEN`, or sign in on the page; the token is the \
                     host's API_TOKEN, or one that `gantry token create` has printed",
                )
            })?;
            if is_unsafe {
                check_origin(parts, authority, true)?;
            }
            caller
        }
    };
    caller.may(need)?;
    Ok(Some(caller))
}

async fn by_cookie(shared: &Shared, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    for id in session_ids(headers) {
        let session = shared.access.store.session(&session_digest(id)).await?;
        let Some(session) = session else { continue };
        if let Some(caller) = shared.access.by_digest(&session.token).await? {
            return Ok(Some(caller));
        }
    }
    Ok(None)
}

pub(crate) fn unauthorized(detail: &str) -> Problem {
    Problem::new(Code::Unauthorized, detail)
}

fn is_probe(path: &str) -> bool {
    matches!(path, "/health" | "/livez" | "/readyz")
}

/// A page elsewhere can make its own name lead to this machine; it can't choose another `Host`.
fn check_own_host(authority: Option<&Authority>, port: u16) -> Result<(), Problem> {
    let own = authority.is_some_and(|a| a.is_loopback() && a.port.unwrap_or(80) == port);
    if own {
        return Ok(());
    }
    Err(Problem::new(
        Code::WrongHost,
        format!(
            "without a token only localhost:{port}, 127.0.0.1:{port} and [::1]:{port} are answered: \
             use one of them, or set API_TOKEN"
        ),
    ))
}

/// A browser says from where a request came: it must be this host's own page.
fn check_origin(
    parts: &Parts,
    authority: Option<&Authority>,
    required: bool,
) -> Result<(), Problem> {
    let wrong = |what: &str| Err(Problem::new(Code::WrongOrigin, what));
    match one(&parts.headers, header::ORIGIN) {
        Ok(None) if required => {
            return wrong(
                "a request with the session's cookie needs an `Origin`; scripts send a token",
            );
        }
        Ok(None) => {}
        Ok(Some(origin)) if Authority::of_origin(origin).as_ref() == authority => {}
        _ => return wrong("its `Origin` isn't this host: another site's page has sent it"),
    }
    let fetch_site = header::HeaderName::from_static("sec-fetch-site");
    match one(&parts.headers, fetch_site) {
        Ok(None | Some("same-origin" | "none")) => Ok(()),
        _ => wrong("its `Sec-Fetch-Site` says that another site's page has sent it"),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The ids in the session's cookies.
pub(crate) fn session_ids(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let texts = headers.get_all(header::COOKIE).iter();
    let pairs = texts
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| COOKIES.contains(name))
        .map(|(_, id)| id)
        .take(COOKIES_TRIED)
}

/// What the store knows of a session. A host of a version without scopes, beside this one in an
/// upgrade, reckons another one: it would take any session for one that may do everything.
pub(crate) fn session_digest(id: &str) -> Digest {
    Digest::of(format!("session:{id}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_row_is_about_is_guarded_below_the_api() {
        for path in [
            "/api",
            "/api/",
            "/api/nothing",
            "/metrics",
            "/api/session/x",
        ] {
            assert_eq!(else_needed(path), Need::Known, "{path}");
        }
        for path in ["/", "/gallery/none.js", "/apidocs", "/metricsx"] {
            assert_eq!(else_needed(path), Need::Public, "{path}");
        }
    }
}
