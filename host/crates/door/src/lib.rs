//! One run's door: a unix socket that is there for as long as the run is, takes so many
//! connections at a time, and hands each to whoever serves them. It reads nothing of what comes.

mod socket;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

pub use socket::Owner;
use socket::SocketFile;

/// How long to wait when the system gives no more connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An open door. Dropping it ends its connections in the middle and removes the socket.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    close: Option<oneshot::Sender<Duration>>,
    listening: JoinHandle<()>,
    _file: SocketFile,
}

impl Door {
    /// Listens at `path`, of at most 107 bytes, for `owner`, or for this process's user where
    /// there is none; each connection is handed to `serve`, `connections` of them at a time, and
    /// one more waits. A socket left at the same path by a host that is gone is taken over.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn open<H, F>(
        path: &Path,
        owner: Option<Owner>,
        connections: usize,
        serve: H,
    ) -> Result<Self, Error>
    where
        H: Fn(UnixStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (listener, file) = socket::bind(path, owner).await?;
        let (close, closed) = oneshot::channel();
        let here = path.to_owned();
        let listening = tokio::spawn(listen(listener, here, connections, serve, closed));
        Ok(Self {
            path: path.to_owned(),
            close: Some(close),
            listening,
            _file: file,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets nobody in any more, and answers when nothing of it is left. Connections have
    /// `patience` to end by themselves; then they are ended in the middle.
    pub async fn close(mut self, patience: Duration) {
        if let Some(close) = self.close.take() {
            // It isn't there any more where its task has died, which is as good.
            let _ = close.send(patience);
        }
        let _ = (&mut self.listening).await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen<H, F>(
    listener: UnixListener,
    here: PathBuf,
    connections: usize,
    serve: H,
    mut closed: oneshot::Receiver<Duration>,
) where
    H: Fn(UnixStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(connections));
    let mut served = JoinSet::new();
    let patience = loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            patience = &mut closed => break patience.unwrap_or_default(),
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = serve(stream);
                served.spawn(async move {
                    serving.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(socket.path = %here.display(), %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while served.try_join_next().is_some() {}
    };
    drop(listener);
    if !patience.is_zero() {
        let all = async { while served.join_next().await.is_some() {} };
        let _ = timeout(patience, all).await;
    }
    served.shutdown().await;
}

/// Why a door could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel's limit on a socket's address.
    #[error(
        "the socket's path {path} has {length} bytes and a socket's may have {max}: choose a shorter run folder (RUN_DIR)",
        path = path.display(), max = socket::PATH_MAX
    )]
    PathTooLong {
        /// The path asked for.
        path: PathBuf,
        /// Its length, in bytes.
        length: usize,
    },
    /// Another process, or another run, answers there.
    #[error("{path} is in use: something answers on it", path = path.display())]
    InUse {
        /// The path asked for.
        path: PathBuf,
    },
    /// Something else lies there, and isn't removed.
    #[error("{path} is there and isn't a socket: move it away", path = path.display())]
    NotASocket {
        /// The path asked for.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{path}: {step} failed", path = path.display())]
    Listen {
        /// The path asked for.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}
