//! The gallery's files as the host gives them. What the page does with them isn't seen here.

use crate::setup::Host;
use axum::body::Body;
use axum::http::Method;

#[tokio::test]
async fn the_page_and_its_files_are_served_with_a_strict_policy() {
    let host = Host::start().await;
    for (path, mime, body) in [
        ("/", "text/html; charset=utf-8", "<title>Gantry</title>"),
        (
            "/gallery/app.js",
            "text/javascript; charset=utf-8",
            "export {};",
        ),
    ] {
        let answer = host.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (200, body.as_bytes())
        );
        assert_eq!(answer.header("content-type"), mime);
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("require-trusted-types-for 'script'")
                && policy.contains("frame-ancestors 'none'")
        );
        let tag = answer.header("etag");
        let again = host
            .request(Method::GET, path)
            .header("if-none-match", tag)
            .body(Body::empty())
            .unwrap();
        let again = host.send(again).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    }
    for path in [
        "/gallery/..%2fapp.js",
        "/gallery/%00",
        "/gallery/",
        "/app.js",
    ] {
        assert_eq!(host.get(path).await.problem().0, 404, "{path}");
    }
}
