//! What passes, and how: headers, streams, errors of the provider, usage.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::future;
use gateway::{Credential, Limits, Tokens};
use http_body_util::BodyExt as _;
use hyper::{Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::client::{ask, hello, message, post, send, within};
use crate::provider::{TestProvider, piecewise, whole};
use crate::{KEY, TOKEN, gateway, open, open_with, spec};

#[tokio::test]
async fn the_key_is_added_and_the_token_stays_here() {
    let provider = TestProvider::plain().await;
    for credential in [
        Credential::ApiKey(KEY.into()),
        Credential::AuthToken(KEY.into()),
        Credential::OAuthToken(KEY.into()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (_fence, fenced) = watch::channel(false);
        let base_url = format!("{}/prefix/", provider.url());
        let gateway = gateway(&base_url, credential, Limits::default());
        let run = gateway.open(spec(&folder, fenced)).await.unwrap();

        let mut request = post("/v1/messages?x=1&beta=true", hello().to_string());
        let headers = request.headers_mut();
        for (name, value) in [
            ("x-api-key", TOKEN),
            ("cookie", "c=1"),
            ("anthropic-version", "2023-06-01"),
            (
                "anthropic-beta",
                "mcp-client-2025-11-20,effort-2025-11-24, nobody-2031-01-01",
            ),
            ("user-agent", "cli/1"),
            ("x-stainless-lang", "js"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let (status, _) = ask(run.socket_path(), request).await;
        assert_eq!(status, StatusCode::OK);
    }

    let seen = provider.seen();
    assert_eq!(seen[0].headers["x-api-key"], KEY);
    assert!(!seen[0].headers.contains_key("authorization"));
    for bearer in &seen[1..] {
        assert_eq!(bearer.headers["authorization"], format!("Bearer {KEY}"));
        assert!(!bearer.headers.contains_key("x-api-key"));
    }
    let beta = |nth: usize| seen[nth].headers["anthropic-beta"].to_str().unwrap();
    assert_eq!(
        [beta(0), beta(1), beta(2)],
        [
            "effort-2025-11-24",
            "effort-2025-11-24",
            "effort-2025-11-24,oauth-2025-04-20"
        ]
    );
    for seen in seen {
        assert_eq!(seen.target, "/prefix/v1/messages?beta=true");
        assert_eq!(seen.body, hello().to_string());
        assert_eq!(seen.headers["anthropic-version"], "2023-06-01");
        assert_eq!(seen.headers["user-agent"], "cli/1");
        assert_eq!(seen.headers["content-type"], "application/json");
        assert!(!format!("{seen:?}").contains(TOKEN));
        assert!(!seen.headers.contains_key("cookie"));
        assert!(!seen.headers.contains_key("x-stainless-lang"));
    }
}

const START: &str = "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n";
const DELTA: &str = "event: message_delta\ndata: {\"usage\":{\"output_tokens\":5}}\n\n";

/// A provider whose one answer is a stream that the test writes.
async fn streaming() -> (TestProvider, mpsc::Sender<&'static str>) {
    let (pieces, written) = mpsc::channel(1);
    let written = Mutex::new(Some(written));
    let provider = TestProvider::start(move |_| {
        let written = written.lock().unwrap().take().unwrap();
        async { piecewise(written) }
    })
    .await;
    (provider, pieces)
}

#[tokio::test]
async fn a_stream_passes_piece_by_piece_and_is_counted_as_it_does() {
    let (provider, pieces) = streaming().await;
    let mut opened = open(&provider).await;
    let response = send(opened.run.socket_path(), message()).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();

    // The second piece is written only after the first has arrived.
    for (piece, output) in [(START, 1), (DELTA, 5)] {
        pieces.send(piece).await.unwrap();
        let frame = within(body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
        let tokens = opened.run.usage().tokens();
        assert_eq!((tokens.input, tokens.output), (10, output));
    }
    drop(pieces);
    assert!(within(body.frame()).await.is_none());

    let usage = opened.run.close().await.unwrap();
    assert_eq!((usage.requests, usage.refused), (1, 0));
    assert!(!usage.broken_off);
    assert_eq!(usage.models["big"].output, 5);
}

#[tokio::test]
async fn closing_ends_what_is_on_its_way() {
    let (provider, pieces) = streaming().await;
    let mut opened = open(&provider).await;
    let mut body = send(opened.run.socket_path(), message()).await.into_body();
    pieces.send(START).await.unwrap();
    within(body.frame()).await.unwrap().unwrap();

    let usage = opened.run.close().await.unwrap();
    assert_eq!(usage.tokens().input, 10);
    assert!(
        within(body.frame())
            .await
            .is_none_or(|frame| frame.is_err())
    );
    // The provider is let go as well: its stream's other end goes away.
    within(pieces.closed()).await;
}

#[tokio::test]
async fn a_whole_answer_is_counted_by_its_model() {
    let body = r#"{"usage":{"input_tokens":2,"output_tokens":3,"cache_read_input_tokens":4,"cache_creation_input_tokens":5}}"#;
    let provider = TestProvider::start(move |_| async move { whole(body) }).await;
    let opened = open(&provider).await;
    for model in ["big", "small", "big"] {
        let mut hello = hello();
        hello["model"] = model.into();
        let request = post("/v1/messages", hello.to_string());
        assert_eq!(
            ask(opened.run.socket_path(), request).await.1["usage"]["input_tokens"],
            2
        );
    }
    let usage = opened.run.usage();
    let once = Tokens {
        input: 2,
        output: 3,
        cache_read: 4,
        cache_creation: 5,
        cache_creation_hour: 0,
    };
    assert_eq!(usage.models["small"], once);
    assert_eq!(usage.tokens().output, 9);
    assert_eq!(usage.requests, 3);
}

#[tokio::test]
async fn counting_tokens_passes() {
    let provider = TestProvider::plain().await;
    let opened = open(&provider).await;
    let request = post("/v1/messages/count_tokens", hello().to_string());
    let (status, _) = ask(opened.run.socket_path(), request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(provider.seen()[0].target, "/v1/messages/count_tokens");
}

#[tokio::test]
async fn an_error_of_the_provider_passes_with_what_the_client_needs() {
    let provider = TestProvider::start(|_| async {
        let mut response = whole(r#"{"type":"error"}"#);
        *response.status_mut() = StatusCode::from_u16(529).unwrap();
        for (name, value) in [
            ("retry-after", "7"),
            ("request-id", "req_1"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-organization-id", "org"),
            ("set-cookie", "c=1"),
        ] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    })
    .await;
    let opened = open(&provider).await;
    let response = send(opened.run.socket_path(), message()).await;
    assert_eq!(response.status().as_u16(), 529);
    let headers = response.headers();
    assert_eq!(headers["retry-after"], "7");
    assert_eq!(headers["request-id"], "req_1");
    assert_eq!(headers["anthropic-ratelimit-requests-remaining"], "0");
    assert!(!headers.contains_key("anthropic-organization-id"));
    assert!(!headers.contains_key("set-cookie"));
    let usage = opened.run.usage();
    assert_eq!((usage.requests, usage.answered), (1, 0));
    assert_eq!(usage.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = TestProvider::plain().await;
    let target = format!("{}/v1/messages", other.url());
    let provider = TestProvider::start(move |_| {
        let mut response: Response<_> = whole("{}");
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response
            .headers_mut()
            .insert("location", target.parse().unwrap());
        future::ready(response)
    })
    .await;
    let opened = open(&provider).await;
    let (status, body) = ask(opened.run.socket_path(), message()).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(body["error"]["type"], "api_error");
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_provider_that_is_away_is_a_502_that_names_no_internals() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let opened = open_with(&format!("http://{address}"), Limits::default()).await;
    let (status, body) = ask(opened.run.socket_path(), message()).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "api_error");
    assert!(!body.to_string().contains("127.0.0.1"), "{body}");
}

#[tokio::test]
async fn a_provider_that_says_nothing_is_given_up() {
    let provider = TestProvider::start(|_| future::pending()).await;
    let limits = Limits {
        answer: Duration::from_millis(50),
        ..Limits::default()
    };
    let opened = open_with(provider.url(), limits).await;
    let (status, body) = ask(opened.run.socket_path(), message()).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(body["error"]["type"], "timeout_error");
    assert!(opened.run.usage().broken_off);
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_cut() {
    let (provider, pieces) = streaming().await;
    let limits = Limits {
        idle: Duration::from_millis(50),
        ..Limits::default()
    };
    let opened = open_with(provider.url(), limits).await;
    pieces.send(START).await.unwrap();
    let mut body = send(opened.run.socket_path(), message()).await.into_body();
    assert_eq!(
        within(body.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        START
    );
    assert!(within(body.frame()).await.unwrap().is_err());
    assert!(opened.run.usage().broken_off);
    within(pieces.closed()).await;
}

#[tokio::test]
async fn what_came_before_a_break_is_handed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let opened = open_with(&url, Limits::default()).await;
    // One chunk, and the end of the connection in place of the next.
    let provider = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 * 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked";
        let answer = format!("{head}\r\n\r\n{:x}\r\n{START}\r\n", START.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let (response, ()) = tokio::join!(send(opened.run.socket_path(), message()), provider);
    let mut body = response.into_body();
    let first = within(body.frame()).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), START);
    assert!(within(body.frame()).await.unwrap().is_err());
    let usage = opened.run.usage();
    assert_eq!((usage.tokens().input, usage.broken_off), (10, true));
}
