//! The stand-in over HTTP, as a test relies on it. What the real CLI makes of it
//! is tested beside it.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tests::standin::{Asked, Gate, Reply, ReplyUsage, Standin, script};
use tokio::net::TcpStream;

async fn send(api: &Standin, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let address = api.url().strip_prefix("http://").unwrap();
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

async fn ask(api: &Standin, streams: bool) -> Response<Incoming> {
    let body =
        json!({"model": "m", "stream": streams, "messages": [{"role": "user", "content": "hi"}]});
    let request = Request::post("/v1/messages?beta=true").header("host", "localhost");
    send(api, request.body(Full::from(body.to_string())).unwrap()).await
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_stream_has_the_events_in_order() {
    let usage = ReplyUsage {
        input: 11,
        output: 22,
        ..ReplyUsage::default()
    };
    let reply = Reply::write_file("/w/a", "é".repeat(5000)).usage(usage);
    let api = Standin::start(script::sequence([reply])).await.unwrap();
    let stream = text(ask(&api, true).await).await;
    let events: Vec<(&str, Value)> = stream
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            (name.strip_prefix("event: ").unwrap(), data)
        })
        .collect();
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    let deltas = ["content_block_delta"; 2];
    let expected = [
        &["message_start", "content_block_start"][..],
        &deltas,
        &["content_block_stop", "message_delta", "message_stop"],
    ];
    assert_eq!(names, expected.concat());
    assert_eq!(events[0].1["message"]["usage"]["input_tokens"], 11);
    assert_eq!(events[1].1["content_block"]["input"], json!({}));
    let input: String = events[2..4]
        .iter()
        .map(|(_, data)| data["delta"]["partial_json"].as_str().unwrap())
        .collect();
    let input: Value = serde_json::from_str(&input).unwrap();
    assert_eq!(input["content"], "é".repeat(5000));
    assert_eq!(events[5].1["delta"]["stop_reason"], "tool_use");
    assert_eq!(events[5].1["usage"]["output_tokens"], 22);
}

#[tokio::test]
async fn a_whole_message_says_the_same() {
    let api = Standin::start(|_: &Asked| Reply::text("hello"))
        .await
        .unwrap();
    let message: Value = serde_json::from_str(&text(ask(&api, false).await).await).unwrap();
    assert_eq!(message["content"][0]["text"], "hello");
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(message["usage"]["output_tokens"], 20);
}

#[tokio::test]
async fn errors_cuts_and_other_paths() {
    let error = Reply::error(429, "rate_limit_error", Some(3));
    let cut = Reply::text("hello").cut_stream();
    let api = Standin::start(script::sequence([error, cut.clone(), cut]))
        .await
        .unwrap();
    let response = ask(&api, true).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "3");
    assert!(text(response).await.contains("rate_limit_error"));
    for streams in [true, false] {
        let response = ask(&api, streams).await;
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.into_body();
        assert!(
            !body
                .frame()
                .await
                .unwrap()
                .unwrap()
                .data_ref()
                .unwrap()
                .is_empty()
        );
        assert!(body.collect().await.is_err());
    }
    let probe = Request::head("/api/hello").header("host", "localhost");
    let response = send(&api, probe.body(Full::default()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(api.asked().len(), 4);
}

#[tokio::test]
async fn a_gate_holds_a_reply_back_and_silence_passes() {
    let gate = Gate::default();
    let behind = gate.clone();
    let api = Standin::start(move |_: &Asked| {
        Reply::text("hello")
            .behind(&behind)
            .silence(Duration::from_millis(10))
            .slow(Duration::from_millis(1))
    })
    .await
    .unwrap();
    let opener = async {
        let asked = api.asked_times(1, Duration::from_secs(10)).await.unwrap();
        assert_eq!(asked[0].prompt(), "hi");
        gate.open();
    };
    let (response, ()) = tokio::join!(ask(&api, true), opener);
    assert!(text(response).await.contains("hello"));
    let late = api.asked_times(2, Duration::from_millis(10)).await;
    assert!(late.unwrap_err().to_string().contains("asked 1 times"));
}
