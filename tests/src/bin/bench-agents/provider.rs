//! A provider on loopback that streams an answer of as many events as it is asked for, at a pace.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What it answers.
#[derive(Clone, Copy)]
pub(crate) enum Plan {
    /// So many events, so long after one another.
    Stream { events: usize, gap: Duration },
    /// A whole answer; how long, the request's `metadata` says.
    Whole,
}

/// Its address.
pub(crate) async fn start(plan: Plan) -> String {
    start_counted(plan).await.0
}

/// The same, and how many requests it has answered.
pub(crate) async fn start_counted(plan: Plan) -> (String, watch::Receiver<usize>) {
    let count = watch::Sender::new(0);
    let counted = count.subscribe();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let count = count.clone();
            let service = service_fn(move |request| {
                let count = count.clone();
                async move {
                    let answer = answer(plan, request).await;
                    count.send_modify(|count| *count += 1);
                    Ok::<_, Infallible>(answer)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, counted)
}

/// Four bytes a token, as good as any.
pub(crate) fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes / 4).unwrap()
}

async fn answer(plan: Plan, request: Request<Incoming>) -> Response<Body> {
    let counts = request.uri().path().ends_with("count_tokens");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if counts {
        return whole(&json!({ "input_tokens": tokens(body.len()) }));
    }
    match plan {
        Plan::Stream { events, gap } => streamed(events, gap),
        Plan::Whole => whole(&message(&body)),
    }
}

/// All of the prompt read anew or from the cache, and of what may be written as much as the
/// request's own `metadata` asks for.
fn message(body: &[u8]) -> Value {
    let asked: Value = serde_json::from_slice(body).unwrap();
    let wish: u64 = asked["metadata"]["user_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let prompt = tokens(body.len());
    let cached = prompt * (wish % 10) / 10;
    let output = asked["max_tokens"].as_u64().unwrap().min(wish);
    json!({ "type": "message", "usage": { "input_tokens": prompt - cached,
        "cache_read_input_tokens": cached, "output_tokens": output } })
}

fn whole(answer: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(answer.to_string())).boxed_unsync();
    with_type(Response::new(body), "application/json")
}

fn streamed(events: usize, gap: Duration) -> Response<Body> {
    let start = json!({ "type": "message_start", "message": { "usage":
        { "input_tokens": 1_000, "output_tokens": 1 } } });
    let text = json!({ "type": "content_block_delta", "index": 0,
        "delta": { "type": "text_delta", "text": "as long as a word or two is" } });
    let end = json!({ "type": "message_delta", "usage": { "output_tokens": events } });
    let event = |data: &Value| {
        let kind = data["type"].as_str().unwrap();
        Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))
    };
    let (start, text, end) = (event(&start), event(&text), event(&end));
    let frames = stream::unfold(0, move |number| {
        let piece = match number {
            0 => start.clone(),
            number if number <= events => text.clone(),
            _ => end.clone(),
        };
        async move {
            if number > events + 1 {
                return None;
            }
            if number > 0 && !gap.is_zero() {
                tokio::time::sleep(gap).await;
            }
            Some((Ok(Frame::data(piece)), number + 1))
        }
    });
    let response = Response::new(StreamBody::new(frames).boxed_unsync());
    with_type(response, "text/event-stream")
}

fn with_type(mut response: Response<Body>, kind: &'static str) -> Response<Body> {
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
