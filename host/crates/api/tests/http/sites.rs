//! Sites as a browser meets them: on an origin of their own, and with nothing else on it.

use crate::setup::{Host, plan};
use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

const FILES: [(&str, &str); 4] = [
    ("index.html", "<h1>Keeper</h1>"),
    ("js/game.js", "play()"),
    ("about/index.html", "about"),
    ("odd name.txt", "odd"),
];

#[tokio::test]
async fn a_site_is_served_from_its_own_origin() {
    let host = Host::start().await;
    let slug = host.publish(plan("index.html", false), &FILES).await;
    let name = format!("{slug}.localhost:{}", host.port);
    for (path, mime, body) in [
        ("/", "text/html; charset=utf-8", "<h1>Keeper</h1>"),
        ("/index.html", "text/html; charset=utf-8", "<h1>Keeper</h1>"),
        (
            "/js/game.js?v=1",
            "text/javascript; charset=utf-8",
            "play()",
        ),
        ("/about/", "text/html; charset=utf-8", "about"),
        ("/odd%20name.txt", "text/plain; charset=utf-8", "odd"),
    ] {
        let answer = host.site(&name, path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (200, body.as_bytes()),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), mime, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'self'",
            "connect-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
    }
    let folder = host.site(&name, "/about?x=1").await;
    assert_eq!(
        (folder.status.as_u16(), folder.header("location")),
        (307, "/about/?x=1")
    );
    for path in ["/none", "/js", "/js/", "/index.html/x"] {
        let answer = host.site(&name, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.header("content-type").starts_with("text/html"));
    }
}

#[tokio::test]
async fn nothing_leads_out_of_a_site() {
    let host = Host::start().await;
    let slug = host.publish(plan("index.html", true), &FILES).await;
    let name = format!("{slug}.localhost");
    for path in [
        "/..%2f..%2fstore.db",
        "/%2e%2e/%2e%2e/store.db",
        "/../../store.db",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/%00",
        "/index.html%00.js",
        "/js/..%5c..%5cstore.db",
        "/js//game.js",
        "/%ff",
        "/%zz",
        "/.",
        "/./index.html",
    ] {
        assert_eq!(host.site(&name, path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_sites_origin_has_no_api_and_no_gallery() {
    let host = Host::start().await;
    let slug = host.publish(plan("index.html", false), &FILES).await;
    for name in [
        format!("{slug}.localhost:{}", host.port),
        "other.localhost".into(),
        "a.b.localhost".into(),
        ".localhost".into(),
    ] {
        for path in [
            "/api/jobs",
            "/api/stats",
            "/health",
            "/metrics",
            "/gallery/app.js",
            "/api/session",
        ] {
            let answer = host.site(&name, path).await;
            assert_eq!(answer.status, 404, "{name}{path}");
            assert!(answer.header("content-type").starts_with("text/html"));
        }
        let post = Request::post("/api/jobs")
            .header("host", &name)
            .body(Body::from("{}"))
            .unwrap();
        let answer = host.send(post).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, "GET, HEAD")
        );
    }
}

#[tokio::test]
async fn a_page_that_a_browser_has_isnt_sent_again() {
    let host = Host::start().await;
    let slug = host.publish(plan("index.html", false), &FILES).await;
    let name = format!("{slug}.localhost");
    let first = host.site(&name, "/").await;
    let tag = first.header("etag").to_owned();
    let ask = async |method: Method, tag: &str| {
        let request = Request::builder()
            .method(method)
            .uri("/")
            .header("host", &name)
            .header("if-none-match", tag);
        host.send(request.body(Body::empty()).unwrap()).await
    };
    let same = ask(Method::GET, &format!("\"x\", W/{tag}")).await;
    assert_eq!(
        (same.status.as_u16(), same.body.len(), same.header("etag")),
        (304, 0, tag.as_str())
    );
    assert_eq!(ask(Method::GET, "\"x\"").await.status, 200);
    let head = ask(Method::HEAD, "\"x\"").await;
    assert_eq!((head.header("content-length"), head.body.len()), ("15", 0));
}

#[tokio::test]
async fn a_single_page_answers_unknown_paths() {
    let host = Host::start().await;
    let slug = host.publish(plan("index.html", true), &FILES).await;
    let name = format!("{slug}.localhost");
    for path in ["/level/3", "/js", "/none/"] {
        assert_eq!(
            host.site(&name, path).await.body,
            "<h1>Keeper</h1>",
            "{path}"
        );
    }
    assert_eq!(host.site(&name, "/none.js").await.status, 404);
}

#[tokio::test]
async fn an_entry_in_a_folder_is_led_to() {
    let host = Host::start().await;
    let slug = host.publish(plan("js/game.js", false), &FILES).await;
    let answer = host.site(&format!("{slug}.localhost"), "/?a=b").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (307, "/js/game.js?a=b")
    );
}

#[tokio::test]
async fn the_api_lists_sites_and_takes_them_back() {
    let host = Host::start().await;
    let slug = host.publish(plan("index.html", false), &FILES).await;
    let url = format!("http://{slug}.localhost:{}/", host.port);
    let list = host.get("/api/sites").await.json();
    let site = &list["items"][0];
    for (key, value) in [
        ("slug", slug.as_str()),
        ("url", &url),
        ("title", "Keeper"),
        ("summary", "Keep the light"),
    ] {
        assert_eq!(site[key], value, "{key}");
    }
    let job = host
        .get(&format!("/api/jobs/{}", site["job"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(job["status"], "succeeded");
    assert_eq!(
        job["site"],
        json!({ "slug": slug, "title": "Keeper", "url": url })
    );
    let lead = host.get(&format!("/sites/{slug}/js/a%20b.js?x=%2f")).await;
    assert_eq!(
        (lead.status.as_u16(), lead.header("location")),
        (307, format!("{url}js/a%20b.js?x=%2f").as_str())
    );
    assert_eq!(host.delete(&format!("/api/sites/{slug}")).await.status, 204);
    assert_eq!(
        host.delete(&format!("/api/sites/{slug}")).await.problem().0,
        404
    );
    assert_eq!(
        host.site(&format!("{slug}.localhost"), "/").await.status,
        404
    );
}

#[tokio::test]
async fn with_a_domain_sites_are_below_it() {
    let host = Host::start_with(|config| config.domain = Some("games.example".into())).await;
    let slug = host.publish(plan("index.html", false), &FILES).await;
    assert_eq!(
        host.site(&format!("{slug}.games.example"), "/")
            .await
            .status,
        200
    );
    assert_eq!(
        host.get("/api/sites").await.json()["items"][0]["url"],
        format!("https://{slug}.games.example/")
    );
}
