//! The stand-in's HTTP side: takes requests, logs them, plays the replies at
//! their pace. What is answered is the script's.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::reply::{Pace, What};
use super::request::Asked;
use super::{Stage, wire};

type Body = UnsyncBoxBody<Bytes, io::Error>;

pub(super) async fn listen(listener: TcpListener, stage: Arc<Stage>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let stage = Arc::clone(&stage);
        let service = service_fn(move |request| {
            let stage = Arc::clone(&stage);
            async move { Ok::<_, Infallible>(answer(&stage, request).await) }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(stage: &Stage, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return error(400, "invalid_request_error", "the body broke off", None);
    };
    let asked = Asked::new(head.method, head.uri, head.headers, &body.to_bytes());
    let mut number = 0;
    stage.asked.send_modify(|log| {
        log.push(asked.clone());
        number = log.len();
    });
    if asked.method == Method::POST && asked.uri.path() == "/v1/messages/count_tokens" {
        return json(&format!(r#"{{"input_tokens":{}}}"#, asked.tokens()));
    }
    if asked.method != Method::POST || asked.uri.path() != "/v1/messages" {
        let message = format!("{} {}", asked.method, asked.uri.path());
        return error(404, "not_found_error", &message, None);
    }
    let reply = stage.script().reply(&asked);
    if let Some(gate) = &reply.pace.before {
        gate.passed().await;
    }
    let id = format!("msg_{number}");
    match &reply.what {
        What::Error {
            status,
            kind,
            retry_after_seconds,
        } => error(*status, kind, "scripted", *retry_after_seconds),
        What::Redirect(location) => redirect(location),
        What::Message(blocks) if asked.streams() => {
            let events = wire::events(&reply, blocks, &id, asked.model());
            play(events, reply.pace.clone())
        }
        What::Message(blocks) => {
            let message = wire::whole(&reply, blocks, &id, asked.model());
            play_whole(&message, &reply.pace).await
        }
    }
}

/// A stream at its pace.
fn play(mut events: Vec<Bytes>, pace: Pace) -> Response<Body> {
    if pace.cut {
        events.truncate(events.len() / 2);
    }
    let queue = events.into_iter().enumerate();
    let frames = stream::unfold((queue, pace), |(mut queue, mut pace)| async move {
        let Some((index, event)) = queue.next() else {
            if !std::mem::take(&mut pace.cut) {
                return None;
            }
            return Some((Err(cut().await), (queue, pace)));
        };
        if index == 1
            && let Some(silence) = pace.silence
        {
            sleep(silence).await;
        }
        if let Some((at, gate)) = &pace.within
            && index == *at
        {
            gate.passed().await;
        }
        if index > 0
            && let Some(gap) = pace.gap
        {
            sleep(gap).await;
        }
        Some((Ok(Frame::data(event)), (queue, pace)))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let events = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, events);
    response
}

async fn play_whole(message: &Value, pace: &Pace) -> Response<Body> {
    if let Some(silence) = pace.silence {
        sleep(silence).await;
    }
    let mut text = message.to_string();
    if !pace.cut {
        return json(&text);
    }
    text.truncate(text.floor_char_boundary(text.len() / 2));
    let half = stream::iter([Ok(Frame::data(Bytes::from(text)))]);
    let pieces = half.chain(stream::once(async { Err(cut().await) }));
    let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// What ends a connection, once everything before it is written: that happens
/// while the body has nothing to give.
async fn cut() -> io::Error {
    tokio::task::yield_now().await;
    io::ErrorKind::ConnectionReset.into()
}

fn json(text: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(text.to_owned()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn redirect(location: &str) -> Response<Body> {
    let mut response = json("{}");
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    match HeaderValue::from_str(location) {
        Ok(location) => _ = response.headers_mut().insert(LOCATION, location),
        // A script's typing error.
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

fn error(status: u16, kind: &str, message: &str, retry_after: Option<u32>) -> Response<Body> {
    let mut response = json(&wire::error(kind, message).to_string());
    // A script's typing error shows as what it is.
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(seconds) = retry_after {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
