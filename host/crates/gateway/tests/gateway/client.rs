//! An HTTP client on a unix socket, which sends what a test writes, however
//! wrong. It doesn't keep connections.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::TOKEN;

const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn send<B>(socket: &Path, request: Request<B>) -> Response<Incoming>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    within(sender.send_request(request)).await.unwrap()
}

/// What doesn't happen in so long doesn't happen.
pub(crate) async fn within<T>(expected: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, expected).await.unwrap()
}

/// A request with this run's token.
pub(crate) fn post(target: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(target)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Full::new(body.into()))
        .unwrap()
}

/// The smallest body that passes.
pub(crate) fn hello() -> Value {
    json!({"model": "big", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]})
}

pub(crate) fn message() -> Request<Full<Bytes>> {
    post("/v1/messages", hello().to_string())
}

/// Status and body.
pub(crate) async fn ask(socket: &Path, request: Request<Full<Bytes>>) -> (StatusCode, Value) {
    let response = send(socket, request).await;
    let status = response.status();
    let body = within(response.into_body().collect()).await;
    let body = body.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
