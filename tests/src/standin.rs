//! A stand-in of the provider's Messages API for tests: it plays what a script
//! says and keeps a log of what it was asked. It asserts nothing and knows no
//! model.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use tests::standin::{Reply, Standin, script};
//!
//! let api = Standin::start(script::files([("lighthouse", "index.html", "<h1>…")])).await?;
//! // … ANTHROPIC_BASE_URL = api.url() …
//! api.play(|_: &_| Reply::error(529, "overloaded_error", Some(1)));
//! # Ok(()) }
//! ```

mod listen;
mod reply;
mod request;
pub mod script;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use reply::{Block, Gate, Reply, ReplyUsage};
pub use request::{Asked, ToolResult, ToolUse};
pub use script::Script;

/// A running stand-in; it ends when dropped.
pub struct Standin {
    url: String,
    stage: Arc<Stage>,
    listening: JoinHandle<()>,
}

/// What the connections share.
struct Stage {
    script: Mutex<Arc<dyn Script>>,
    asked: watch::Sender<Vec<Asked>>,
}

impl Standin {
    /// Listens on a port of 127.0.0.1 that the system chooses.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(script: impl Script + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("the stand-in found no port")?;
        let url = format!("http://{}", listener.local_addr()?);
        let stage = Arc::new(Stage {
            script: Mutex::new(Arc::new(script)),
            asked: watch::Sender::new(Vec::new()),
        });
        let listening = tokio::spawn(listen::listen(listener, Arc::clone(&stage)));
        Ok(Self {
            url,
            stage,
            listening,
        })
    }

    /// What `ANTHROPIC_BASE_URL` takes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Plays another script from the next request on.
    pub fn play(&self, script: impl Script + 'static) {
        let mut playing = self
            .stage
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *playing = Arc::new(script);
    }

    /// Every request so far, in the order in which they arrived, whatever they
    /// asked for.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.stage.asked.borrow().clone()
    }

    /// Waits until there have been `count` requests, and answers with all of them.
    ///
    /// # Errors
    /// After `deadline`, with the number that came.
    pub async fn asked_times(
        &self,
        count: usize,
        deadline: Duration,
    ) -> anyhow::Result<Vec<Asked>> {
        let mut asked = self.stage.asked.subscribe();
        let arrived = asked.wait_for(|asked| asked.len() >= count);
        match tokio::time::timeout(deadline, arrived).await {
            Ok(asked) => Ok(asked?.clone()),
            Err(_) => anyhow::bail!(
                "the stand-in was asked {} times in {deadline:?}, not {count}",
                self.asked().len()
            ),
        }
    }
}

impl Stage {
    fn script(&self) -> Arc<dyn Script> {
        let playing = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&playing)
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
