//! What doesn't pass: nothing of it reaches the provider. The shapes of bodies
//! are tested where they are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, future, stream};
use gateway::Limits;
use http_body_util::{Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::client::{ask, hello, message, post, send};
use crate::provider::{TestProvider, whole};
use crate::{TOKEN, open, open_with};

#[tokio::test]
async fn other_calls_are_not_found_and_the_answer_says_what_is() {
    let provider = TestProvider::plain().await;
    let opened = open(&provider).await;
    for (method, target) in [
        (Method::GET, "/v1/messages"),
        (Method::POST, "/v1/messages/"),
        (Method::POST, "/v1/messages/batches"),
        (Method::POST, "//v1/messages"),
        (Method::POST, "/v1/%6dessages"),
        (Method::POST, "/v1/files"),
        (Method::GET, "/v1/models"),
        (Method::POST, "http://elsewhere/v1/complete"),
        (Method::CONNECT, "elsewhere:443"),
    ] {
        let mut request = post("/", hello().to_string());
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.parse().unwrap();
        let (status, body) = ask(opened.run.socket_path(), request).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {target}");
        assert_eq!(body["type"], "error");
        assert_eq!(body["error"]["type"], "not_found_error");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("POST /v1/messages "), "{message}");
    }
    let probe = Request::head("/api/hello").header("host", "localhost");
    let response = send(opened.run.socket_path(), probe.body(Empty::new()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(provider.seen().is_empty());
    assert_eq!(opened.run.usage().refused, 10);
}

#[tokio::test]
async fn only_the_runs_token_opens() {
    let provider = TestProvider::plain().await;
    let opened = open(&provider).await;
    let request = |name: &str, value: String| {
        Request::post("/v1/messages")
            .header("host", "localhost")
            .header(name, value)
            .body(Full::from(hello().to_string()))
            .unwrap()
    };
    for (name, value) in [
        ("x-none", String::new()),
        ("authorization", TOKEN.into()),
        ("authorization", format!("Basic {TOKEN}")),
        ("authorization", format!("Bearer {TOKEN}x")),
        ("authorization", "Bearer ".into()),
        ("x-api-key", "run-toke".into()),
        ("x-api-key", String::new()),
    ] {
        let (status, body) = ask(opened.run.socket_path(), request(name, value.clone())).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}: {value}");
        assert_eq!(body["error"]["type"], "authentication_error");
    }
    assert!(provider.seen().is_empty());
    for (name, value) in [
        ("x-api-key", TOKEN.to_owned()),
        ("authorization", format!("bearer {TOKEN}")),
    ] {
        let (status, _) = ask(opened.run.socket_path(), request(name, value)).await;
        assert_eq!(status, StatusCode::OK, "{name}");
    }
}

async fn invalid(body: impl Into<Bytes>) -> String {
    let provider = TestProvider::plain().await;
    let opened = open(&provider).await;
    let (status, answer) = ask(opened.run.socket_path(), post("/v1/messages", body)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["error"]["type"], "invalid_request_error");
    assert!(provider.seen().is_empty());
    answer["error"]["message"].as_str().unwrap().to_owned()
}

fn with(field: &str, value: Value) -> String {
    let mut body = hello();
    body[field] = value;
    body.to_string()
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    assert!(invalid("{\"model\":").await.contains("line 1"));
    assert!(invalid("").await.contains("EOF"));
    assert!(
        invalid(hello().to_string() + "{}")
            .await
            .contains("trailing")
    );
}

#[tokio::test]
async fn another_model_is_refused_by_name() {
    let message = invalid(with("model", "huge".into())).await;
    assert_eq!(
        message,
        "model \"huge\" is not one of this run's; those are: big, small"
    );
    assert!(invalid("{\"messages\":[]}").await.contains("`model`"));
}

#[tokio::test]
async fn what_would_make_the_provider_reach_out_is_refused() {
    let tools = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    assert!(
        invalid(with("tools", tools))
            .await
            .contains("web_search_20250305")
    );
    let servers = json!([{"type": "url", "url": "https://a"}]);
    assert!(
        invalid(with("mcp_servers", servers))
            .await
            .contains("`mcp_servers`")
    );
    let image = json!([{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": "https://a"}}]}]);
    assert!(invalid(with("messages", image)).await.contains("\"url\""));
}

#[tokio::test]
async fn a_reason_does_not_quote_everything() {
    let message = invalid(with("messages", "x".repeat(100_000).into())).await;
    assert!(message.len() < 2000, "{}", message.len());
}

#[tokio::test]
async fn a_body_has_a_limit_announced_or_not() {
    let provider = TestProvider::plain().await;
    let body = hello().to_string();
    for (limit, expected) in [
        (body.len(), StatusCode::OK),
        (body.len() - 1, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let limits = Limits {
            request_bytes: limit,
            ..Limits::default()
        };
        let opened = open_with(provider.url(), limits).await;
        let socket = opened.run.socket_path();
        let (status, _) = ask(socket, message()).await;
        assert_eq!(status, expected);

        let (first, second) = body.split_at(10);
        let pieces = [first.to_owned(), second.to_owned()]
            .map(|piece| Ok::<_, hyper::Error>(Frame::data(Bytes::from(piece))));
        let (head, _) = message().into_parts();
        let chunked = Request::from_parts(head, StreamBody::new(stream::iter(pieces)));
        assert_eq!(send(socket, chunked).await.status(), expected);
    }
    assert_eq!(provider.seen().len(), 2);
}

#[tokio::test]
async fn connections_have_a_limit_and_one_more_waits() {
    const LIMIT: usize = 2;
    let active = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    // Each answer waits for another request that is there at the same time.
    let both = Arc::new(Barrier::new(LIMIT));
    let counted = (Arc::clone(&active), Arc::clone(&most));
    let provider = TestProvider::start(move |_| {
        let (active, most) = counted.clone();
        let both = Arc::clone(&both);
        async move {
            most.fetch_max(active.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            both.wait().await;
            active.fetch_sub(1, Ordering::SeqCst);
            whole("{}")
        }
    })
    .await;
    let limits = Limits {
        connections: LIMIT,
        ..Limits::default()
    };
    let opened = open_with(provider.url(), limits).await;
    let asked = (0..3 * LIMIT).map(|_| ask(opened.run.socket_path(), message()));
    for (status, _) in future::join_all(asked).await {
        assert_eq!(status, StatusCode::OK);
    }
    assert_eq!(most.load(Ordering::SeqCst), LIMIT);
}

/// As many as a socket's queue and a process's descriptors take are there at once; of all of them
/// only so many are read, and the others wait where they cost this host nothing.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_requests_at_once_are_all_answered_and_few_are_under_way() {
    const ALL: usize = 10_000;
    const THERE: usize = 100;
    let (active, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counted = (Arc::clone(&active), Arc::clone(&most));
    let provider = TestProvider::start(move |_| {
        let (active, most) = counted.clone();
        async move {
            most.fetch_max(active.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            active.fetch_sub(1, Ordering::SeqCst);
            whole("{}")
        }
    })
    .await;
    let opened = open(&provider).await;
    let asked = stream::iter(0..ALL).map(|_| ask(opened.run.socket_path(), message()));
    let answered: Vec<_> = asked.buffer_unordered(THERE).collect().await;
    assert_eq!(answered.len(), ALL);
    assert!(answered.iter().all(|(status, _)| *status == StatusCode::OK));
    assert!(most.load(Ordering::SeqCst) <= Limits::default().connections);
    let usage = opened.run.usage();
    assert_eq!((usage.requests, usage.refused), (ALL as u64, 0));
}
