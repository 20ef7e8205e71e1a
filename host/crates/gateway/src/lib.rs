//! The model gateway: each agent run gets a unix socket and a token, and through
//! them the provider's `POST /v1/messages` and nothing else of it. The agent can
//! send what it likes, so everything here is an allow-list. What passes is counted
//! and priced, and nothing goes out that the run's budgets couldn't pay at its
//! worst; who keeps those is another's matter ([`Accounts`]).
//!
//! ```no_run
//! # async fn example(
//! #     fence: tokio::sync::watch::Receiver<bool>,
//! #     accounts: std::sync::Arc<dyn gateway::Accounts>,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use gateway::{Credential, Gateway, GatewayConfig, Limits, Prices, Provider, RunSpec};
//!
//! let gateway = Gateway::new(GatewayConfig {
//!     provider: Provider {
//!         base_url: "https://api.anthropic.com".into(),
//!         credential: Credential::ApiKey("…".into()),
//!     },
//!     small_models: Vec::new(),
//!     prices: Prices::default(),
//!     limits: Limits::default(),
//! })?;
//! let mut run = gateway
//!     .open(RunSpec {
//!         socket_path: "/run/gantry/j1/model.sock".into(),
//!         token: "…".into(),
//!         models: vec!["claude-opus-4-8".into()],
//!         owner: None,
//!         fence,
//!         accounts,
//!     })
//!     .await?;
//! // … the agent works …
//! let usage = run.close().await?;
//! # let _ = usage; Ok(())
//! # }
//! ```

mod run;

mod admit;
mod afford;
mod answer;
mod beta;
mod bill;
mod request;

mod accounts;
mod meter;
mod prices;
mod purse;
mod usage;
mod worst;

mod provider;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

pub use accounts::{Accounts, AccountsError, Budget, Room, Spent, Turn, Turned};
pub use door::Owner;
pub use prices::{Prices, PricesError};
pub use provider::{Credential, Provider};
pub use run::{Run, RunSpec};
pub use usage::{Over, Tokens, Usage};

/// What every run of this host shares.
#[derive(Debug)]
pub struct GatewayConfig {
    /// Who answers, and with which key.
    pub provider: Provider,
    /// Models that every run may use beside its own: what the agent's CLI takes
    /// for its small chores.
    pub small_models: Vec<String>,
    /// What models cost.
    pub prices: Prices,
    /// How much one run may hold at a time.
    pub limits: Limits,
}

/// What one run may hold of the host, and how long the provider may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Length of a request's body, in bytes. The provider's own limit is 32 MiB.
    pub request_bytes: usize,
    /// Connections of one run at a time; one more waits until another has ended.
    pub connections: usize,
    /// From a connection's readiness for a request to the end of that request's head.
    pub head: Duration,
    /// From a request's head to the end of its body.
    pub body: Duration,
    /// Until the provider takes the connection.
    pub connect: Duration,
    /// From the request to the head of the provider's answer. A reply that isn't
    /// streamed comes as a whole, so this covers thinking as well.
    pub answer: Duration,
    /// Between two chunks of the provider's answer.
    pub idle: Duration,
    /// From the request to count a prompt's tokens to its answer.
    pub count: Duration,
    /// How long an agent's client may be asked to leave the provider alone; beyond, it is told
    /// not to try again.
    pub retry_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 32 * 1024 * 1024,
            connections: 16,
            head: Duration::from_secs(15 * 60),
            body: Duration::from_secs(60),
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(10 * 60),
            idle: Duration::from_secs(5 * 60),
            count: Duration::from_secs(20),
            retry_after: Duration::from_secs(60),
        }
    }
}

/// The way to one provider. Cheap to clone; runs outlive it.
#[derive(Debug, Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: provider::Upstream,
    small_models: Vec<String>,
    prices: Prices,
    limits: Limits,
}

impl Gateway {
    /// Prepares the way to the provider; connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::BaseUrl`], [`Error::Credential`] or [`Error::Client`].
    pub fn new(config: GatewayConfig) -> Result<Self, Error> {
        let upstream = provider::Upstream::new(&config.provider, &config.limits)?;
        Ok(Self {
            shared: Arc::new(Shared {
                upstream,
                small_models: config.small_models,
                prices: config.prices,
                limits: config.limits,
            }),
        })
    }

    /// Listens for one run, until the [`Run`] is closed or dropped. A socket left
    /// at the same path by a host that is gone is taken over.
    ///
    /// # Errors
    /// [`Error::EmptyToken`] or [`Error::Door`].
    pub async fn open(&self, spec: RunSpec) -> Result<Run, Error> {
        Run::open(Arc::clone(&self.shared), spec).await
    }
}

/// Why a gateway or a run's socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The provider's address isn't one.
    #[error(
        "the provider's address {url:?} {reason}; write it like https://api.anthropic.com, without /v1"
    )]
    BaseUrl {
        /// As configured; without it where it could hold a secret.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key can't be sent in a header.
    #[error(
        "the provider's key is empty or has a character that no header can carry, such as a line's end"
    )]
    Credential,
    /// TLS or the HTTP client could not be set up.
    #[error("the HTTP client for the provider could not be set up")]
    Client(#[source] reqwest::Error),
    /// A run without a token would be open to everyone.
    #[error("a run's token is empty")]
    EmptyToken,
    /// The run's socket could not be opened.
    #[error(transparent)]
    Door(#[from] door::Error),
}
