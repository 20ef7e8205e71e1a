//! A client of the proxy that sends what a test writes, however wrong.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

const DEADLINE: Duration = Duration::from_secs(20);

/// What doesn't happen in so long doesn't happen.
pub(crate) async fn within<T>(expected: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, expected).await.unwrap()
}

/// A connection on which something was sent.
pub(crate) struct Sent(pub(crate) UnixStream);

/// Sends these bytes.
pub(crate) async fn send(socket: &Path, bytes: &[u8]) -> Sent {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    Sent(stream)
}

/// Asks for this name and port.
pub(crate) async fn connect(socket: &Path, target: &str) -> Sent {
    let request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n");
    send(socket, request.as_bytes()).await
}

/// Asks, and takes the answer to its end.
pub(crate) async fn ask(socket: &Path, target: &str) -> (u16, String) {
    connect(socket, target).await.refused().await
}

impl Sent {
    /// The head of the answer.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        let read = async {
            while !head.ends_with(b"\r\n\r\n") {
                match self.0.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
        };
        within(read).await;
        String::from_utf8(head).unwrap()
    }

    /// The answer's status, and all of its text.
    pub(crate) async fn refused(mut self) -> (u16, String) {
        let text = self.rest().await;
        let status = text.split(' ').nth(1).unwrap_or_default();
        (status.parse().unwrap_or(0), text)
    }

    /// Fails where the way isn't open.
    pub(crate) async fn opened(mut self) -> Self {
        let head = self.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        self
    }

    pub(crate) async fn say(&mut self, text: &[u8]) {
        within(self.0.write_all(text)).await.unwrap();
    }

    /// Says that there will be no more.
    pub(crate) async fn end(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    pub(crate) async fn hear(&mut self, expected: &[u8]) {
        let mut heard = vec![0; expected.len()];
        within(self.0.read_exact(&mut heard)).await.unwrap();
        assert_eq!(heard, expected);
    }

    /// All that comes until the end, however it ends.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = within(self.0.read_to_end(&mut rest)).await;
        String::from_utf8_lossy(&rest).into_owned()
    }
}
