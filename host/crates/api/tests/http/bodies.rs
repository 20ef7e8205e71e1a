//! What a client may send wrongly, and how each is refused. Who may send at all is in `access`.

use crate::setup::{Host, full};
use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use serde_json::json;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_job_that_cant_be_taken_says_why() {
    let host = Host::start().await;
    let long = "x".repeat(501);
    let params = json!({ "x": "y".repeat(65_536) });
    for (body, status, code, said) in [
        (json!({}), 422, "invalid-body", "name"),
        (json!([]), 422, "invalid-body", ""),
        (json!({ "name": 1 }), 422, "invalid-body", ""),
        (
            json!({ "name": "a", "colour": 1 }),
            422,
            "invalid-body",
            "colour",
        ),
        (
            json!({ "name": "a", "params": [] }),
            422,
            "invalid-body",
            "",
        ),
        (
            json!({ "name": "a", "priority": 1.5 }),
            422,
            "invalid-body",
            "",
        ),
        (
            json!({ "name": "a", "priority": 1_u64 << 40 }),
            422,
            "invalid-body",
            "",
        ),
        (json!({ "name": " " }), 422, "invalid-job", "name"),
        (json!({ "name": long }), 422, "invalid-job", "501"),
        (json!({ "name": "a\u{0}b" }), 422, "invalid-job", "U+0000"),
        (
            json!({ "name": "a", "group": "" }),
            422,
            "invalid-job",
            "group",
        ),
        (
            json!({ "name": "a", "group": "g".repeat(101) }),
            422,
            "invalid-job",
            "group",
        ),
        (
            json!({ "name": "a", "params": params }),
            422,
            "invalid-job",
            "params",
        ),
        (
            json!({ "name": "a", "priority": 1001 }),
            422,
            "invalid-job",
            "1001",
        ),
        (
            json!({ "name": "a", "priority": -1001 }),
            422,
            "invalid-job",
            "-1001",
        ),
        (
            json!({ "name": "a", "run_at": "tomorrow" }),
            422,
            "invalid-job",
            "RFC 3339",
        ),
        (
            json!({ "name": "a", "run_at": "9999-12-31T23:59:59-23:00" }),
            422,
            "invalid-job",
            "run_at",
        ),
        (
            json!({ "name": "a", "run_at": "0000-01-01T00:00:00+23:00" }),
            422,
            "invalid-job",
            "run_at",
        ),
        (
            json!({ "name": "a", "pipeline": "gaem" }),
            422,
            "unknown-pipeline",
            "game",
        ),
        (
            json!({ "name": "a", "pipeline": "odd" }),
            422,
            "unknown-pipeline",
            "phase: is missing",
        ),
    ] {
        let answer = host.post("/api/jobs", &body).await;
        assert_eq!(
            answer.problem(),
            refused(status, code),
            "{body} {:?}",
            answer.body
        );
        assert!(
            answer.detail().contains(said),
            "{body}: {}",
            answer.detail()
        );
    }
    assert_eq!(host.get("/api/jobs").await.json()["items"], json!([]));
    for body in [
        json!({ "name": "x".repeat(500), "priority": 1000 }),
        json!({ "name": "b", "priority": -1000, "params": { "n": "\u{0}" } }),
    ] {
        assert_eq!(host.post("/api/jobs", &body).await.status, 201, "{body}");
    }
}

#[tokio::test]
async fn params_are_nested_only_so_deep() {
    let host = Host::start().await;
    let nested = |levels: usize| {
        let value = format!("{}1{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        format!("{{\"name\":\"a\",\"params\":{{\"x\":{value}}}}}")
    };
    assert_eq!(host.post("/api/jobs", nested(32)).await.status, 201);
    let answer = host.post("/api/jobs", nested(33)).await;
    assert_eq!(answer.problem(), refused(422, "invalid-job"));
}

#[tokio::test]
async fn an_array_is_no_job() {
    let host = Host::start().await;
    let answer = host
        .post("/api/jobs", json!(["a", null, null, null, null, null]))
        .await;
    assert_eq!(answer.problem(), refused(422, "invalid-body"));
}

#[tokio::test]
async fn a_body_that_isnt_json_is_refused() {
    let host = Host::start().await;
    let deep = "[".repeat(100_000);
    for body in [
        "",
        "{",
        "nonsense",
        "{\"name\":\"\u{1}\"}",
        "{\"name\":\"\\ud800\"}",
        "{\"name\":\"a\"} x",
        &deep,
    ] {
        let answer = host.post("/api/jobs", body).await;
        assert_eq!(answer.problem(), refused(400, "bad-json"));
    }
    let request = host
        .request(Method::POST, "/api/jobs")
        .header("content-type", "application/json");
    let answer = host
        .send(request.body(full(&b"{\"name\":\"\xff\"}"[..])).unwrap())
        .await;
    assert_eq!(answer.problem(), refused(400, "bad-json"));
    for mime in [
        None,
        Some("text/plain"),
        Some("application/jsonx"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let mut request = host.request(Method::POST, "/api/jobs");
        if let Some(mime) = mime {
            request = request.header("content-type", mime);
        }
        let answer = host
            .send(request.body(full("{\"name\":\"a\"}")).unwrap())
            .await;
        assert_eq!(
            answer.problem(),
            refused(415, "unsupported-media-type"),
            "{mime:?}"
        );
    }
    let request = host
        .request(Method::POST, "/api/jobs")
        .header("content-type", "Application/JSON ; charset=utf-8");
    assert_eq!(
        host.send(request.body(full("{\"name\":\"a\"}")).unwrap())
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_body_at_its_limit_is_read_and_one_past_it_is_not() {
    let host = Host::start_with(|config| config.body_bytes = 1_000).await;
    let sized = |bytes: usize| {
        let body = json!({ "name": "a" }).to_string();
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    assert_eq!(host.post("/api/jobs", sized(1_000)).await.status, 201);
    assert_eq!(
        host.post("/api/jobs", sized(1_001)).await.problem(),
        refused(413, "too-large")
    );
    // Without a length it is found out while reading.
    let chunks = futures_util::stream::iter(
        (0..100).map(|_| Ok::<_, Infallible>(Bytes::from_static(&[b' '; 1_000]))),
    );
    let request = host
        .request(Method::POST, "/api/jobs")
        .header("content-type", "application/json");
    let answer = host
        .send(request.body(Body::from_stream(chunks)).unwrap())
        .await;
    assert_eq!(answer.problem(), refused(413, "too-large"));
}

#[tokio::test]
async fn a_hundred_megabytes_are_refused_and_the_client_sees_it() {
    let host = Host::start().await;
    let answer = host.post("/api/jobs", " ".repeat(100_000_000)).await;
    assert_eq!(answer.problem(), refused(413, "too-large"));
    // At once: nothing of the body is sent here.
    let mut raw = host.connect().await;
    let head = format!(
        "POST /api/jobs HTTP/1.1\r\nhost: localhost:{}\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n",
        host.port
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    raw.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 413");
}

#[tokio::test]
async fn queries_and_ids_are_named_where_they_are_wrong() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    for (path, said) in [
        ("/api/jobs?limit=abc".to_owned(), "limit"),
        ("/api/jobs?limit=0".to_owned(), "limit"),
        ("/api/jobs?limit=201".to_owned(), "limit"),
        ("/api/jobs?limit=99999999999999999999".to_owned(), "limit"),
        ("/api/jobs?status=done".to_owned(), "succeeded"),
        ("/api/jobs?cursor=-1".to_owned(), "cursor"),
        ("/api/jobs?cursor=x".to_owned(), "cursor"),
        ("/api/jobs?staus=failed".to_owned(), "staus"),
        ("/api/jobs?q=a&q=b".to_owned(), "twice"),
        ("/api/jobs?q=%00".to_owned(), "NUL"),
        (format!("/api/jobs/{id}/logs?after=x"), "after"),
        (format!("/api/jobs/{id}/logs?limit=1001"), "limit"),
        (format!("/api/jobs/{id}/events?until=end"), "until"),
        (format!("/api/jobs/{id}/events?after=x"), "Last-Event-ID"),
        ("/api/events?after=5".to_owned(), "Last-Event-ID"),
        ("/api/sites?limit=x".to_owned(), "limit"),
    ] {
        let answer = host.get(&path).await;
        assert_eq!(answer.problem(), refused(400, "bad-query"), "{path}");
        assert!(
            answer.detail().contains(said),
            "{path}: {}",
            answer.detail()
        );
    }
    for path in [
        "/api/jobs/1",
        "/api/jobs/%00",
        "/api/jobs/%ff",
        "/api/jobs/0198c0de000070008000000000000001",
        "/api/jobs/x/logs",
    ] {
        assert_eq!(host.get(path).await.status, 400, "{path}");
    }
    assert_eq!(
        host.get("/api/jobs/1").await.problem(),
        refused(400, "bad-id")
    );
    let missing = "/api/jobs/0198c0de-0000-7000-8000-000000000001";
    for path in ["", "/logs", "/events", "/files", "/files/a"] {
        let answer = host.get(&format!("{missing}{path}")).await;
        assert_eq!(answer.problem(), refused(404, "not-found"), "{path}");
    }
}

#[tokio::test]
async fn what_isnt_there_and_what_isnt_allowed() {
    let host = Host::start().await;
    for path in [
        "/api",
        "/api/",
        "/api/job",
        "/nothing",
        "/gallery/none.js",
        "/sites/A_b/",
    ] {
        assert_eq!(
            host.get(path).await.problem(),
            refused(404, "not-found"),
            "{path}"
        );
    }
    for (method, path, allow) in [
        (Method::PUT, "/api/jobs", "POST,GET,HEAD"),
        (Method::POST, "/api/stats", "GET,HEAD"),
        (Method::OPTIONS, "/api/jobs", "POST,GET,HEAD"),
        (Method::POST, "/", "GET,HEAD"),
    ] {
        let answer = host
            .send(host.request(method, path).body(Body::empty()).unwrap())
            .await;
        assert_eq!(
            answer.problem(),
            refused(405, "method-not-allowed"),
            "{path}"
        );
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
}

#[tokio::test]
async fn requests_that_no_client_makes() {
    let host = Host::start().await;
    for head in [
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n",
        "CONNECT localhost:1 HTTP/1.1\r\nhost: localhost:1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET http://localhost/api/jobs HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET nonsense HTTP/1.1\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let mut raw = host.connect().await;
        raw.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Who closes its side before the answer has come isn't waited for.
        while !answer.ends_with(b"\r\n\r\n") {
            match raw.read_u8().await {
                Ok(byte) => answer.push(byte),
                Err(_) => break,
            }
        }
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 4"), "{head:?}: {text}");
    }
    assert_eq!(host.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let host = Host::start().await;
    let with = |id: &str| {
        host.request(Method::GET, "/api/jobs/1")
            .header("x-request-id", id)
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(
        host.send(with("abc-1")).await.header("x-request-id"),
        "abc-1"
    );
    for id in ["a b", &"x".repeat(129)] {
        let answer = host.send(with(id)).await;
        assert_eq!(answer.header("x-request-id").len(), 36);
        answer.problem();
    }
}
