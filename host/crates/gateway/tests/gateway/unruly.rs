//! Providers that don't keep to the rules: what the agent's client gets then, and what is booked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway::{Credential, Gateway, Limits};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::accounts::with_limit;
use crate::budget::{Paying, to, wanting};
use crate::client::{ask, hello, message, send, within};
use crate::provider::{Body, TestProvider, whole};
use crate::{KEY, gateway};

/// A piece of a flood.
const PIECE: usize = 64 * 1024;

/// The most that a small request can cost: its bytes, what is around them, and 100 tokens written.
fn worst() -> u64 {
    2_000 + hello().to_string().len() as u64 + 1_000
}

/// Says these bytes to whoever connects, whatever it is asked, and ends the connection.
struct Raw {
    url: String,
    task: JoinHandle<()>,
}

impl Raw {
    async fn saying(bytes: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; PIECE];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { url, task }
    }

    fn gateway(&self) -> Gateway {
        gateway(&self.url, Credential::ApiKey(KEY.into()), Limits::default())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers with this stream of events.
async fn streaming(
    pieces: impl Fn() -> Box<dyn Iterator<Item = Bytes> + Send> + Send + Sync + 'static,
) -> TestProvider {
    TestProvider::start(move |_| {
        let frames = stream::iter(pieces().map(|piece| Ok(Frame::data(piece))));
        let mut response: Response<Body> = Response::new(StreamBody::new(frames).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert("content-type", "text/event-stream".parse().unwrap());
        async move { response }
    })
    .await
}

#[tokio::test]
async fn what_is_no_answer_is_a_502_in_words_and_is_booked_in_full() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let long = format!("{head}x-long: {}\r\n\r\n{{}}", "x".repeat(4 << 20));
    let many = format!("{head}{}\r\n{{}}", "x-many: 1\r\n".repeat(100_000));
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("noise", (0..=255).cycle().take(PIECE).collect()),
        ("half a head", head.as_bytes().to_vec()),
        (
            "a status that isn't one",
            b"HTTP/1.1 abc OK\r\n\r\n".to_vec(),
        ),
        ("a header of 4 MiB", long.into_bytes()),
        ("100,000 headers", many.into_bytes()),
    ] {
        let provider = Raw::saying(bytes).await;
        let paying = Paying::open(&provider.gateway(), &with_limit(1_000_000)).await;
        let (status, body) = paying.ask(&hello()).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{what}");
        assert_eq!(body["error"]["type"], "api_error", "{what}");
        assert!(!body.to_string().contains("127.0.0.1"), "{what}: {body}");
        // It may have been at work all the same.
        assert_eq!(paying.end().await, (worst(), worst(), 0), "{what}");
    }
}

#[tokio::test]
async fn an_answer_of_another_kind_passes_as_it_is_and_is_booked_in_full() {
    const PAGE: &str = "<html>the provider is being mended \"usage\"</html>";
    let provider = TestProvider::start(|_| async {
        let mut page = whole(PAGE);
        let html = "text/html".parse().unwrap();
        page.headers_mut().insert("content-type", html);
        page
    })
    .await;
    let paying = Paying::open(&to(&provider), &with_limit(1_000_000)).await;
    let answer = send(paying.run.socket_path(), message()).await;
    assert_eq!(answer.headers()["content-type"], "text/html");
    let body = within(answer.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), PAGE);
    assert_eq!(paying.end().await, (worst(), worst(), 0));
}

#[tokio::test]
async fn an_answer_that_is_shorter_than_it_says_breaks_off() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n";
    let said = format!("{head}\r\n{{\"type\":\"message\",\"usage\":{{\"input_tokens\":1}}}}");
    let provider = Raw::saying(said.into_bytes()).await;
    let paying = Paying::open(&provider.gateway(), &with_limit(1_000_000)).await;
    let answer = send(paying.run.socket_path(), message()).await;
    assert!(within(answer.into_body().collect()).await.is_err());
    assert_eq!(paying.end().await, (worst(), worst(), 0));
}

/// Beyond what is kept of a line, and nothing in it is taken for a usage.
#[tokio::test]
async fn a_stream_without_an_end_of_line_passes_whole_and_is_booked_in_full() {
    const PIECES: usize = 512;
    let provider = streaming(|| {
        let first = Bytes::from_static(b"data: {\"usage\":{\"output_tokens\":1},\"x\":\"");
        let rest = std::iter::repeat_n(Bytes::from(vec![b'x'; PIECE]), PIECES);
        Box::new(std::iter::once(first).chain(rest))
    })
    .await;
    let paying = Paying::open(&to(&provider), &with_limit(1_000_000)).await;
    let mut body = send(paying.run.socket_path(), message()).await.into_body();
    let mut passed = 0;
    while let Some(frame) = within(body.frame()).await {
        passed += frame.unwrap().into_data().unwrap().len();
    }
    assert!(passed > PIECES * PIECE, "{passed}");
    assert_eq!(paying.end().await, (worst(), worst(), 0));
}

/// What isn't read stays with the provider, but for what lies in buffers on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_waits_for_who_reads() {
    const BUFFERED: usize = 32 << 20;
    let sent = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&sent);
    let provider = streaming(move || {
        let counted = Arc::clone(&counted);
        let piece = Bytes::from([vec![b'x'; PIECE - 1], vec![b'\n']].concat());
        // Without an end.
        Box::new(std::iter::from_fn(move || {
            counted.fetch_add(PIECE, Ordering::SeqCst);
            Some(piece.clone())
        }))
    })
    .await;
    let paying = Paying::open(&to(&provider), &with_limit(1_000_000)).await;
    let mut body = send(paying.run.socket_path(), message()).await.into_body();
    within(body.frame()).await.unwrap().unwrap();
    let stands = within(stands_still(&sent)).await;
    assert!(stands < BUFFERED, "{stands} bytes are on the way");
    // It goes on as far as somebody reads.
    let mut read = 0;
    while read < 2 * BUFFERED {
        let frame = within(body.frame()).await.unwrap().unwrap();
        read += frame.into_data().unwrap().len();
    }
    let stands = within(stands_still(&sent)).await;
    assert!(
        stands >= read && stands < read + BUFFERED,
        "{stands} {read}"
    );
    drop(body);
    assert_eq!(paying.end().await, (worst(), worst(), 0));
}

/// Waits until no more is sent; how much was.
async fn stands_still(sent: &AtomicUsize) -> usize {
    let (mut last, mut looks) = (0, 0);
    while looks < 10 {
        sleep(Duration::from_millis(50)).await;
        let now = sent.load(Ordering::SeqCst);
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
    }
    last
}

/// More than it was asked for, and more than there is: it is owed, and nothing more goes out.
#[tokio::test]
async fn who_writes_more_than_it_may_is_booked_and_then_asked_no_more() {
    let provider = TestProvider::start(|_| async {
        whole(r#"{"type":"message","usage":{"input_tokens":10,"output_tokens":500000}}"#)
    })
    .await;
    let book = with_limit(1_000_000);
    let paying = Paying::open(&to(&provider), &book).await;
    assert_eq!(paying.ask(&wanting(1_000)).await.0, StatusCode::OK);
    let spent = 10 + 5_000_000;
    // What it cost is told behind its back, and by the next request at the latest.
    let (status, body) = paying.ask(&wanting(1_000)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let words = body["error"]["message"].as_str().unwrap();
    assert!(
        words.contains("5.00001 of 1.00 dollars are spent"),
        "{words}"
    );
    let seen = provider.seen();
    let messages = seen.iter().filter(|it| !it.target.contains("count_tokens"));
    assert_eq!(messages.count(), 1);
    assert_eq!(paying.end().await, (spent, 0, 0));
}

/// Its worst case was set aside before it began, so that it can be read to its end.
#[tokio::test]
async fn a_budget_that_is_met_in_the_middle_of_a_stream_is_met_to_the_micro_dollar() {
    const LIMIT: u64 = 510 + 15_000;
    let events = |output: u64| {
        let start = json!({"type": "message_start", "message": {"usage":
            {"input_tokens": 510, "output_tokens": 1}}});
        let middle = json!({"type": "message_delta", "usage": {"output_tokens": output / 2}});
        let end = json!({"type": "message_delta", "usage": {"output_tokens": output}});
        [start, middle, end].map(|event| Bytes::from(format!("data: {event}\n\n")))
    };
    let provider = TestProvider::start(move |seen| {
        let counts = seen.target.contains("count_tokens");
        let frames = stream::iter(events(1_500).map(|event| Ok(Frame::data(event))));
        let mut streamed = Response::new(StreamBody::new(frames).boxed_unsync());
        let kind = "text/event-stream".parse().unwrap();
        streamed.headers_mut().insert("content-type", kind);
        async move {
            match counts {
                true => whole(r#"{"input_tokens":10}"#),
                false => streamed,
            }
        }
    })
    .await;
    let book = with_limit(LIMIT);
    let paying = Paying::open(&to(&provider), &book).await;
    let asked = wanting(1_500).to_string();
    let request = crate::client::post("/v1/messages", asked.clone());
    let answer = send(paying.run.socket_path(), request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let body = within(answer.into_body().collect()).await.unwrap();
    assert!(body.to_bytes().ends_with(b"1500}}\n\n"), "to its end");
    let request = crate::client::post("/v1/messages", asked);
    let (status, body) = ask(paying.run.socket_path(), request).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    let words = body["error"]["message"].as_str().unwrap();
    assert!(words.contains("0.01551 of 0.01551 dollars"), "{words}");
    assert_eq!(paying.end().await, (LIMIT, 0, 0));
    assert_eq!(book.lock().unwrap().peak, LIMIT);
}
