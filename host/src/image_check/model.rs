//! A model for an image that is tried: it answers every prompt with the same word, or holds its
//! answer back. It asks no provider, and keeps nothing but a count.

use anyhow::{Context, Result};
use bytes::Bytes;
use door::Door;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::watch;

/// What it answers.
const SAID: &str = "Done.";
/// As a run's gateway takes them.
const CONNECTIONS: usize = 16;
const BODY_BYTES: usize = 32 << 20;

/// The open socket of one run.
pub(super) struct Model {
    door: Door,
    asked: watch::Receiver<Asked>,
}

/// What came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Requests with the run's token.
    pub(super) prompts: u32,
    /// Requests without it, or for something that no run is given.
    pub(super) refused: u32,
}

struct Answers {
    token: String,
    holds: bool,
    told: watch::Sender<Asked>,
}

impl Model {
    /// Listens at `path` for `owner`; one that `holds` never answers a prompt.
    pub(super) async fn open(
        path: &Path,
        owner: Option<door::Owner>,
        token: &str,
        holds: bool,
    ) -> Result<Self> {
        let (told, asked) = watch::channel(Asked::default());
        let answers = Arc::new(Answers {
            token: format!("Bearer {token}"),
            holds,
            told,
        });
        let serve = move |stream| serve(stream, Arc::clone(&answers));
        let door = Door::open(path, owner, CONNECTIONS, serve).await;
        let door = door.context("the model's socket")?;
        Ok(Self { door, asked })
    }

    /// Returns once a prompt has come.
    pub(super) async fn was_asked(&mut self) {
        // It ends with the door, which this holds open.
        let _ = self.asked.wait_for(|asked| asked.prompts > 0).await;
    }

    /// Closes it; what came.
    pub(super) async fn close(self) -> Asked {
        self.door.close(Duration::ZERO).await;
        *self.asked.borrow()
    }
}

async fn serve(stream: UnixStream, answers: Arc<Answers>) {
    let service = service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, Infallible>(answers.answer(request).await) }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Whoever goes away in the middle is seen by how its run ends.
    let _ = served.await;
}

impl Answers {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let token = head.headers.get(AUTHORIZATION);
        let known = token.is_some_and(|token| token.as_bytes() == self.token.as_bytes());
        let counts = head.uri.path() == "/v1/messages/count_tokens";
        if !known || head.method != Method::POST || !(counts || head.uri.path() == "/v1/messages") {
            self.told.send_modify(|asked| asked.refused += 1);
            let (status, word) = match known {
                false => (StatusCode::UNAUTHORIZED, "authentication_error"),
                true => (StatusCode::NOT_FOUND, "not_found_error"),
            };
            return refusal(status, word);
        }
        let Ok(body) = Limited::new(body, BODY_BYTES).collect().await else {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large");
        };
        if counts {
            return reply(StatusCode::OK, "application/json", r#"{"input_tokens":1}"#);
        }
        let asked: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        self.told.send_modify(|asked| asked.prompts += 1);
        if self.holds {
            return std::future::pending().await;
        }
        match asked["stream"] == true {
            true => reply(StatusCode::OK, "text/event-stream", stream(&asked["model"])),
            false => {
                let said = message(&asked["model"], &json!([{ "type": "text", "text": SAID }]));
                reply(StatusCode::OK, "application/json", said.to_string())
            }
        }
    }
}

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn refusal(status: StatusCode, word: &str) -> Response<Full<Bytes>> {
    let error = json!({ "type": word, "message": "not of this run" });
    let body = json!({ "type": "error", "error": error });
    reply(status, "application/json", body.to_string())
}

fn message(model: &Value, content: &Value) -> Value {
    let ended = (!content.as_array().is_none_or(Vec::is_empty)).then_some("end_turn");
    json!({
        "id": "msg_check", "type": "message", "role": "assistant", "model": model,
        "content": content, "stop_reason": ended, "stop_sequence": null,
        "usage": { "input_tokens": 1, "output_tokens": 1 },
    })
}

/// The same, as the provider streams it.
fn stream(model: &Value) -> String {
    let delta = json!({ "type": "text_delta", "text": SAID });
    let stop = json!({ "stop_reason": "end_turn", "stop_sequence": null });
    let events = [
        json!({ "type": "message_start", "message": message(model, &json!([])) }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": stop, "usage": { "output_tokens": 1 } }),
        json!({ "type": "message_stop" }),
    ];
    let mut text = String::new();
    for event in events {
        let name = event["type"].as_str().unwrap_or_default();
        // Writing into a string can't fail.
        let _ = write!(text, "event: {name}\ndata: {event}\n\n");
    }
    text
}
