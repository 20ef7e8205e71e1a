//! A client of the Messages API on any stream: it sends a request and says when the first byte of
//! the answer's body came. Its connection stays open.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    token: String,
}

impl Client {
    pub(crate) async fn unix(path: &Path, token: &str) -> Self {
        Self::over(UnixStream::connect(path).await.unwrap(), token).await
    }

    pub(crate) async fn tcp(address: &str, token: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, token).await
    }

    async fn over<S>(stream: S, token: &str) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self {
            sender,
            token: token.to_owned(),
        }
    }

    pub(crate) async fn send(&mut self, body: &Bytes) -> Response<Incoming> {
        self.sender.ready().await.unwrap();
        let request = Request::post("/v1/messages")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Full::new(body.clone()))
            .unwrap();
        self.sender.send_request(request).await.unwrap()
    }

    /// From the request to the first byte of the answer's body; the rest is read.
    pub(crate) async fn first_byte(&mut self, body: &Bytes) -> Duration {
        let begin = Instant::now();
        let response = self.send(body).await;
        assert_eq!(response.status(), StatusCode::OK);
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        let took = begin.elapsed();
        while body.frame().await.is_some() {}
        took
    }

    /// The status, and the whole body.
    pub(crate) async fn ask(&mut self, body: &Bytes) -> (StatusCode, Bytes) {
        let response = self.send(body).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap();
        (status, body.to_bytes())
    }
}
