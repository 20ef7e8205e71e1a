//! A way to PostgreSQL that counts what is asked over it. It changes nothing that passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Of the first message of a connection: a question whether TLS may be spoken.
const ASKS_FOR_TLS: u32 = 80_877_103;

/// A proxy before a database.
pub struct Wire {
    url: String,
    asked: Arc<AtomicU64>,
}

impl Wire {
    /// Listens before the database of this address.
    pub async fn before(url: &str) -> Self {
        let to: PgConnectOptions = url.parse().unwrap();
        let there = format!("{}:{}", to.get_host(), to.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        assert!(url.contains(&there), "the server's host and port are named");
        let url = url.replace(&there, &here);
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&there).await.unwrap();
                let (mut answers, questions) = far.into_split();
                let (asks, mut hears) = near.into_split();
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    // One that ends takes the other with it; both are then closed.
                    tokio::select! {
                        _ = pass(asks, questions, &counter) => {}
                        _ = tokio::io::copy(&mut answers, &mut hears) => {}
                    }
                });
            }
        });
        Self { url, asked }
    }

    /// What `DATABASE_URL` takes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Statements that were run over it, also `BEGIN` and `COMMIT`.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Passes a client's messages on, and counts those that run a statement: `Query` and `Execute`.
async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    counter: &AtomicU64,
) -> std::io::Result<()> {
    // Those that come first have no kind.
    loop {
        let length = from.read_u32().await?;
        let mut rest = vec![0; (length as usize).saturating_sub(4)];
        from.read_exact(&mut rest).await?;
        to.write_u32(length).await?;
        to.write_all(&rest).await?;
        if rest.get(..4) != Some(&ASKS_FOR_TLS.to_be_bytes()) {
            break;
        }
    }
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        let mut rest = vec![0; (length as usize).saturating_sub(4)];
        from.read_exact(&mut rest).await?;
        if matches!(kind, b'Q' | b'E') {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        to.write_u8(kind).await?;
        to.write_u32(length).await?;
        to.write_all(&rest).await?;
    }
}
