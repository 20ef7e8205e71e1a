//! The way from an agent to names on the internet: each run whose phase lists names gets a unix
//! socket that speaks HTTP CONNECT. The host resolves the name, looks at every address of the
//! answer and connects to one that it looked at; what isn't listed, or isn't public, is refused.
//! It doesn't look into what passes: that is TLS between the agent and whom it asked.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # async fn example(fence: tokio::sync::watch::Receiver<bool>, book: Arc<dyn egress::Book>)
//! #     -> Result<(), egress::Error> {
//! use egress::{Egress, Limits, RunSpec, System};
//!
//! let egress = Egress::new(Arc::new(System), pipeline::NetworkCap::Any, Limits::default());
//! let run = egress
//!     .open(RunSpec {
//!         socket_path: "/run/gantry/j1/proxy.sock".into(),
//!         listed: vec![pipeline::Reach::Registry(pipeline::Registry::Npm)],
//!         owner: None,
//!         fence,
//!         book,
//!     })
//!     .await?;
//! // … the agent works …
//! run.close().await;
//! # Ok(())
//! # }
//! ```

mod run;

mod address;
mod target;

mod answer;
mod outside;
mod tunnel;

mod attempt;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

use pipeline::NetworkCap;

pub use address::not_public;
pub use attempt::{Attempt, Book, End, What};
pub use door::{Error, Owner};
pub use outside::{Outside, System};
pub use refusal::Refusal;
pub use run::{Run, RunSpec};

/// What one run may hold of the host and of its line, and for how long.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections of one run at a time; one more waits until another has ended.
    pub connections: usize,
    /// Attempts of one run in all, since each is a line of the job's log.
    pub attempts: u64,
    /// From the connection to the end of the request's head.
    pub head: Duration,
    /// Until the name is resolved.
    pub resolve: Duration,
    /// Until an address takes the connection.
    pub connect: Duration,
    /// Addresses of one name that are tried.
    pub addresses: usize,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// Of one connection, whatever passes.
    pub total: Duration,
    /// Bytes that a run sends out in all.
    pub sent_bytes: u64,
    /// Bytes that a run is sent in all.
    pub received_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            attempts: 2_000,
            head: Duration::from_secs(10),
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            addresses: 4,
            idle: Duration::from_secs(2 * 60),
            total: Duration::from_secs(60 * 60),
            sent_bytes: 256 << 20,
            received_bytes: 4 << 30,
        }
    }
}

/// The way out of one host. Cheap to clone; runs outlive it.
#[derive(Debug, Clone)]
pub struct Egress {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    outside: Arc<dyn Outside>,
    cap: NetworkCap,
    limits: Limits,
}

impl Egress {
    /// Connects to nothing yet. `cap` is the most that any run may reach, whatever it lists.
    #[must_use]
    pub fn new(outside: Arc<dyn Outside>, cap: NetworkCap, limits: Limits) -> Self {
        let shared = Arc::new(Shared {
            outside,
            cap,
            limits,
        });
        Self { shared }
    }

    /// Listens for one run, until the [`Run`] is closed or dropped. A socket left at the same
    /// path by a host that is gone is taken over.
    ///
    /// # Errors
    /// As [`door::Door::open`].
    pub async fn open(&self, spec: RunSpec) -> Result<Run, Error> {
        Run::open(Arc::clone(&self.shared), spec).await
    }
}
