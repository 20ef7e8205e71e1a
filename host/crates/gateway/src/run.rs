//! One agent run's way in, for as long as the [`Run`] lives. What comes in is judged in
//! [`crate::admit`]; nothing is decided here.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use door::Owner;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::accounts::{Accounts, AccountsError};
use crate::purse::Purse;
use crate::usage::{Ledger, Usage};
use crate::{Error, Shared, answer};

/// Different header words of one run that are logged, so that it can't fill the log.
const LOGGED_WORDS: usize = 32;

/// What one agent run may use.
pub struct RunSpec {
    /// Where to listen; at most 107 bytes.
    pub socket_path: PathBuf,
    /// What the run's requests must carry.
    pub token: String,
    /// The models that the run may ask for, by their exact names.
    pub models: Vec<String>,
    /// Who may connect; this process's user where there is none.
    pub owner: Option<Owner>,
    /// While this says `true`, nothing is sent to the provider. An answer that
    /// has begun goes on.
    pub fence: watch::Receiver<bool>,
    /// Who keeps its budgets.
    pub accounts: Arc<dyn Accounts>,
}

impl fmt::Debug for RunSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSpec")
            .field("socket_path", &self.socket_path)
            .field("models", &self.models)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// A run's open socket. Dropping it ends the run's requests in the middle and
/// removes the socket.
#[derive(Debug)]
pub struct Run {
    /// None once it is closed.
    listening: Option<door::Door>,
    telling: JoinHandle<()>,
    door: Arc<Door>,
}

/// What a run's connections share.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) shared: Arc<Shared>,
    pub(crate) socket_path: PathBuf,
    pub(crate) token_digest: [u8; 32],
    pub(crate) models: Vec<String>,
    pub(crate) fence: watch::Receiver<bool>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) purse: Arc<Purse>,
    logged_words: Mutex<BTreeSet<String>>,
}

impl Run {
    pub(crate) async fn open(shared: Arc<Shared>, spec: RunSpec) -> Result<Self, Error> {
        if spec.token.is_empty() {
            return Err(Error::EmptyToken);
        }
        let connections = shared.limits.connections;
        let mut models = spec.models;
        models.extend(shared.small_models.iter().cloned());
        let door = Arc::new(Door {
            shared,
            socket_path: spec.socket_path,
            token_digest: Sha256::digest(spec.token.as_bytes()).into(),
            models,
            fence: spec.fence,
            ledger: Arc::default(),
            purse: Purse::new(spec.accounts),
            logged_words: Mutex::default(),
        });
        let serving = Arc::clone(&door);
        let serve = move |stream| serve(stream, Arc::clone(&serving));
        let listening = door::Door::open(&door.socket_path, spec.owner, connections, serve).await?;
        let telling = tokio::spawn({
            let purse = Arc::clone(&door.purse);
            async move { purse.tend().await }
        });
        Ok(Self {
            listening: Some(listening),
            telling,
            door,
        })
    }

    /// What has passed so far, the requests that are on their way included.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.door.ledger.snapshot()
    }

    /// Where it listens.
    #[must_use]
    pub fn socket_path(&self) -> &Path {
        &self.door.socket_path
    }

    /// Ends the run's requests in the middle, and answers when nothing of it is
    /// left: the usage is final, and told to the accounts.
    ///
    /// # Errors
    /// Where they can't be told: call it again, or leave it to whoever books for this run.
    pub async fn close(&mut self) -> Result<Usage, AccountsError> {
        if let Some(listening) = self.listening.take() {
            listening.close(Duration::ZERO).await;
        }
        self.telling.abort();
        self.door.purse.close().await?;
        let mut usage = self.usage();
        // Somebody may have given more while the agent came to its end.
        if let Some(over) = &mut usage.over {
            over.has_more = self.door.purse.has_more(&over.budget).await?;
        }
        Ok(usage)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.telling.abort();
    }
}

impl Door {
    /// Says once for each word that it was taken out of a request's header.
    pub(crate) fn log_stripped(&self, word: &str) {
        let mut logged = self
            .logged_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if logged.len() < LOGGED_WORDS && logged.insert(word.to_owned()) {
            tracing::info!(socket.path = %self.socket_path.display(), beta = word, "a beta word was not forwarded");
        }
    }
}

async fn serve(stream: UnixStream, door: Arc<Door>) {
    let head = door.shared.limits.head;
    let service = service_fn(move |request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(answer::answer(&door, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a run's connection ended early");
    }
}
