//! One agent run's way out, for as long as the [`Run`] lives. What comes in is judged in
//! [`crate::answer`]; here is what its connections share.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use door::{Door, Owner};
use pipeline::Reach;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Attempt, Book, What};
use crate::refusal::Refusal;
use crate::{Error, Shared, answer};

/// What connections have to write down their end in.
const PATIENCE: Duration = Duration::from_secs(3);

/// What one agent run may reach.
pub struct RunSpec {
    /// Where to listen; at most 107 bytes.
    pub socket_path: PathBuf,
    /// What the phase lists.
    pub listed: Vec<Reach>,
    /// Who may connect; this process's user where there is none.
    pub owner: Option<Owner>,
    /// While this says `true`, nothing goes out, and what is open is cut off.
    pub fence: watch::Receiver<bool>,
    /// Where each attempt is written down.
    pub book: Arc<dyn Book>,
}

impl fmt::Debug for RunSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSpec")
            .field("socket_path", &self.socket_path)
            .field("listed", &self.listed)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// A run's open socket. Dropping it cuts off what is open, and removes the socket.
#[derive(Debug)]
pub struct Run {
    door: Door,
    out: Arc<Out>,
}

/// What a run's connections share.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listed: Vec<Reach>,
    pub(crate) fence: watch::Receiver<bool>,
    pub(crate) over: CancellationToken,
    pub(crate) left: Left,
    book: Arc<dyn Book>,
    attempts: AtomicU64,
}

/// Bytes that the run may still send and receive.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
}

impl Run {
    pub(crate) async fn open(shared: Arc<Shared>, spec: RunSpec) -> Result<Self, Error> {
        let limits = &shared.limits;
        let (connections, sent, received) = (
            limits.connections,
            limits.sent_bytes.into(),
            limits.received_bytes.into(),
        );
        let out = Arc::new(Out {
            shared,
            listed: spec.listed,
            fence: spec.fence,
            over: CancellationToken::new(),
            left: Left { sent, received },
            book: spec.book,
            attempts: AtomicU64::new(0),
        });
        let serving = Arc::clone(&out);
        let serve = move |stream| answer::serve(stream, Arc::clone(&serving));
        let door = Door::open(&spec.socket_path, spec.owner, connections, serve).await?;
        Ok(Self { door, out })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket_path(&self) -> &Path {
        self.door.path()
    }

    /// Cuts off what is open, and answers when nothing of it is left and each end is written
    /// down.
    pub async fn close(self) {
        self.out.over.cancel();
        self.door.close(PATIENCE).await;
    }
}

impl Out {
    /// Counts an attempt. Past the limit the first one is written down, for all that follow.
    pub(crate) async fn begin(&self, asked: &str) -> Result<(), Refusal> {
        let most = self.shared.limits.attempts;
        let before = self.attempts.fetch_add(1, Ordering::Relaxed);
        if before < most {
            return Ok(());
        }
        let refusal = Refusal::TooMany { most };
        if before == most {
            self.note(asked, What::Refused(refusal.clone())).await;
        }
        Err(refusal)
    }

    /// Writes an attempt down; false where it isn't kept.
    pub(crate) async fn note(&self, asked: &str, what: What) -> bool {
        self.book.note(&Attempt::new(asked, what)).await
    }
}

impl Left {
    /// Whether one direction has nothing left.
    pub(crate) fn is_used_up(&self) -> bool {
        let none = |left: &AtomicU64| left.load(Ordering::Relaxed) == 0;
        none(&self.sent) || none(&self.received)
    }
}
