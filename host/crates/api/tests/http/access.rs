//! Who may call: the configured token, sessions, and pages of other origins. Tokens that are created
//! are `tokens`' matter, and what is theirs to see is `bound`'s.

use crate::setup::{Answer, Host, full};
use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

const TOKEN: &str = "a token of some length";

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

async fn with(host: &Host, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = host.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    host.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn without_a_token_only_the_public_part_answers() {
    let host = Host::with_token(TOKEN).await;
    for path in [
        "/api/jobs",
        "/api/stats",
        "/api/events",
        "/api/nothing",
        "/api",
        "/metrics",
        "/api/jobs/x/files/y",
    ] {
        let answer = host.get(path).await;
        assert_eq!(answer.problem(), refused(401, "unauthorized"), "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"gantry\"");
    }
    for path in ["/", "/gallery/app.js", "/health", "/livez", "/readyz"] {
        assert_eq!(host.get(path).await.status, 200, "{path}");
    }
    assert_eq!(host.get("/sites/keeper/").await.status, 307);
    assert_eq!(host.site("keeper.localhost", "/").await.status, 404);
}

#[tokio::test]
async fn a_token_opens_and_another_does_not() {
    let host = Host::with_token(TOKEN).await;
    for value in [format!("Bearer {TOKEN}"), format!("bearer  {TOKEN} ")] {
        let answer = with(
            &host,
            Method::GET,
            "/api/jobs",
            &[("authorization", &value)],
        )
        .await;
        assert_eq!(answer.status, 200, "{value}");
    }
    for value in ["Bearer ", "Bearer", "Bearer x", "Basic YTpi", TOKEN] {
        let answer = with(&host, Method::GET, "/api/jobs", &[("authorization", value)]).await;
        assert_eq!(answer.problem(), refused(401, "unauthorized"), "{value}");
    }
    // A script's request has no origin, or any: the token isn't sent by itself.
    let headers = [
        ("authorization", "Bearer a token of some length"),
        ("origin", "https://elsewhere.example"),
    ];
    let id = "/api/jobs/0198c0de-0000-7000-8000-000000000001";
    assert_eq!(with(&host, Method::DELETE, id, &headers).await.status, 404);
}

#[tokio::test]
async fn no_token_and_not_on_loopback_is_shut() {
    let host = Host::start_with(|config| config.bind_is_loopback = false).await;
    assert_eq!(
        host.get("/api/jobs").await.problem(),
        refused(401, "unauthorized")
    );
    assert_eq!(
        host.post("/api/session", json!({ "token": "" }))
            .await
            .status,
        401
    );
}

async fn sign_in(host: &Host, token: &str, origin: &str) -> Answer {
    let request = host
        .request(Method::POST, "/api/session")
        .header("content-type", "application/json");
    let request = request
        .header("origin", origin)
        .body(full(json!({ "token": token }).to_string()));
    host.send(request.unwrap()).await
}

#[tokio::test]
async fn a_session_is_a_cookie_until_its_end() {
    let host = Host::with_token(TOKEN).await;
    let own = format!("http://localhost:{}", host.port);
    assert_eq!(
        sign_in(&host, "wrong", &own).await.problem(),
        refused(401, "unauthorized")
    );
    assert_eq!(
        sign_in(&host, TOKEN, "http://x.localhost").await.problem(),
        refused(403, "wrong-origin")
    );
    let answer = sign_in(&host, TOKEN, &own).await;
    assert_eq!(answer.status, 204);
    let cookie = answer.header("set-cookie").to_owned();
    for part in [
        "; Path=/",
        "; HttpOnly",
        "; SameSite=Strict",
        "; Max-Age=2592000",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(
        !cookie.contains("Secure") && !cookie.contains(TOKEN),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    let both = format!("gantry_session=tossed; other=1; {pair}");
    let read = with(&host, Method::GET, "/api/stats", &[("cookie", &both)]).await;
    assert_eq!(read.status, 200);

    let job = "/api/jobs/0198c0de-0000-7000-8000-000000000001";
    let delete = async |headers: &[(&str, &str)]| {
        let mut all = vec![("cookie", pair)];
        all.extend_from_slice(headers);
        with(&host, Method::DELETE, job, &all).await.status.as_u16()
    };
    assert_eq!(delete(&[]).await, 403);
    assert_eq!(delete(&[("origin", "null")]).await, 403);
    assert_eq!(delete(&[("origin", "http://keeper.localhost")]).await, 403);
    assert_eq!(
        delete(&[("origin", &own), ("sec-fetch-site", "cross-site")]).await,
        403
    );
    assert_eq!(
        delete(&[("origin", &own), ("sec-fetch-site", "same-origin")]).await,
        404
    );

    let end = with(
        &host,
        Method::DELETE,
        "/api/session",
        &[("cookie", pair), ("origin", &own)],
    )
    .await;
    assert_eq!(end.status, 204);
    assert!(end.header("set-cookie").contains("Max-Age=0"));
    let after = with(&host, Method::GET, "/api/stats", &[("cookie", pair)]).await;
    assert_eq!(after.problem(), refused(401, "unauthorized"));
}

#[tokio::test]
async fn a_cookie_over_https_is_bound_to_it() {
    let host = Host::with_token(TOKEN).await;
    let answer = sign_in(&host, TOKEN, &format!("https://localhost:{}", host.port)).await;
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-gantry_session=") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    let read = with(&host, Method::GET, "/api/stats", &[("cookie", pair)]).await;
    assert_eq!(read.status, 200);
}

#[tokio::test]
async fn on_loopback_only_own_names_are_answered() {
    let host = Host::start().await;
    let port = host.port;
    let named = async |name: &str| {
        let request = Request::get("/api/jobs")
            .header("host", name)
            .body(Body::empty())
            .unwrap();
        host.send(request).await
    };
    for name in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"] {
        assert_eq!(named(&format!("{name}:{port}")).await.status, 200, "{name}");
    }
    let wrong_port = format!("localhost:{}", port.wrapping_add(1));
    for name in [
        "localhost",
        "evil.example",
        "127.0.0.2",
        "localhost.evil.example",
        &wrong_port,
    ] {
        assert_eq!(
            named(name).await.problem(),
            refused(403, "wrong-host"),
            "{name}"
        );
    }
    let probe = Request::get("/readyz")
        .header("host", "10.1.2.3")
        .body(Body::empty())
        .unwrap();
    assert_eq!(host.send(probe).await.status, 200);
}

#[tokio::test]
async fn on_loopback_no_other_page_can_post() {
    let host = Host::start().await;
    let own = format!("http://localhost:{}", host.port);
    let other_port = format!("http://localhost:{}", host.port.wrapping_add(1));
    let path = "/api/jobs/0198c0de-0000-7000-8000-000000000001";
    for headers in [
        [("origin", "https://evil.example"), ("x", "")],
        [("origin", "http://keeper.localhost"), ("x", "")],
        [("origin", "null"), ("x", "")],
        [("origin", other_port.as_str()), ("x", "")],
        [("sec-fetch-site", "cross-site"), ("x", "")],
        [("sec-fetch-site", "same-site"), ("origin", own.as_str())],
    ] {
        let answer = with(&host, Method::DELETE, path, &headers).await;
        assert_eq!(
            answer.problem(),
            refused(403, "wrong-origin"),
            "{headers:?}"
        );
    }
    for headers in [
        [("x", ""), ("y", "")],
        [("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
        [("sec-fetch-site", "none"), ("y", "")],
    ] {
        assert_eq!(
            with(&host, Method::DELETE, path, &headers).await.status,
            404,
            "{headers:?}"
        );
    }
}
