//! Who may call: a token, a session's cookie or, on loopback without a token, a request that no
//! other site's page can have sent. It knows no scopes, and never logs a token.

use crate::Shared;
use crate::host::{Authority, one};
use crate::problem::{Code, Problem};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use pipeline::Digest;
use sha2::{Digest as _, Sha256};

/// The session's cookie; the first name where the page came over HTTPS.
pub(crate) const COOKIES: [&str; 2] = ["__Host-gantry_session", "gantry_session"];

/// Cookies of these names that are looked at: a page of a site below could add some.
const COOKIES_TRIED: usize = 4;

/// SHA-256 of the configured token: what is compared has one length, whatever was sent.
pub(crate) struct Token([u8; 32]);

impl Token {
    pub(crate) fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// In the same time, wherever they differ.
    pub(crate) fn is(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        let differ = self
            .0
            .iter()
            .zip(given)
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(differ) == 0
    }
}

/// Whose a request's jobs are: the token's, by a word that doesn't give it away.
pub(crate) fn submitter(token: Option<&str>) -> String {
    match token {
        None => "local".to_owned(),
        Some(token) => format!("token:{:.12}", Digest::of(token.as_bytes()).0),
    }
}

pub(crate) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Whether this address of the main host is for everybody.
fn is_public(path: &str) -> bool {
    (!is_api(path) && path != "/metrics") || path == "/api/session"
}

/// Lets a request pass, or says why not. `/api/session` looks at its token itself.
pub(crate) async fn admit(
    shared: &Shared,
    parts: &Parts,
    authority: Option<&Authority>,
) -> Result<(), Problem> {
    let path = parts.uri.path();
    if is_probe(path) {
        return Ok(());
    }
    if shared.is_open() {
        check_own_host(authority, shared.config.port)?;
    }
    let unsafe_method = !parts.method.is_safe();
    if is_public(path) {
        return if unsafe_method {
            check_origin(parts, authority, false)
        } else {
            Ok(())
        };
    }
    if shared.is_open() {
        return if unsafe_method {
            check_origin(parts, authority, false)
        } else {
            Ok(())
        };
    }
    if let Some(given) = bearer(&parts.headers) {
        return match &shared.token {
            Some(token) if token.is(given) => Ok(()),
            _ => Err(unauthorized("this token isn't known")),
        };
    }
    for id in session_ids(&parts.headers) {
        if shared.store.session(&session_digest(id)).await?.is_some() {
            return if unsafe_method {
                check_origin(parts, authority, true)
            } else {
                Ok(())
            };
        }
    }
    Err(unauthorized(
        "send `Authorization: Bearer TOKEN`, or sign in on the page; the token is the host's API_TOKEN",
    ))
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
            "without API_TOKEN only localhost:{port}, 127.0.0.1:{port} and [::1]:{port} are answered: \
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

/// What the store knows of a session.
pub(crate) fn session_digest(id: &str) -> Digest {
    Digest::of(id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_only() {
        let token = Token::new("correct horse");
        assert!(token.is("correct horse"));
        for other in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!token.is(other), "{other}");
        }
    }

    #[test]
    fn what_is_guarded() {
        for path in [
            "/api",
            "/api/",
            "/api/jobs",
            "/api/sessions",
            "/metrics",
            "/api/session/x",
        ] {
            assert!(!is_public(path), "{path}");
        }
        for path in [
            "/",
            "/gallery/app.js",
            "/sites/x/",
            "/apidocs",
            "/api/session",
        ] {
            assert!(is_public(path), "{path}");
        }
    }
}
