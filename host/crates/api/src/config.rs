//! What the host says to the API once, at start. It reads no environment and no file.

use pipeline::{BudgetKind, Limits, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

/// A token, kept out of logs.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether the rest of the host is ready; what is amiss where it isn't, for the log.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Thirty-two bytes that nobody can guess, from the operating system.
pub type Entropy = Arc<dyn Fn() -> io::Result<[u8; 32]> + Send + Sync>;

/// What time it is.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Settings of the API.
#[derive(Clone)]
pub struct ApiConfig {
    /// A first token, with every scope; with it everything under `/api` wants a token or a session.
    pub api_token: Option<Secret>,
    /// Whether only this machine can connect. Then, as long as there is no token, `/api` is open.
    pub bind_is_loopback: bool,
    /// The port that clients connect to, as it stands in `Host` and in the sites' addresses.
    pub port: u16,
    /// Sites are at `https://SLUG.DOMAIN/`; without it at `http://SLUG.localhost:PORT/`.
    pub domain: Option<String>,
    /// For names, params and messages.
    pub limits: Limits,
    /// The most that may be spent, whatever a pipeline or a person says, in micro-dollars.
    pub budgets: BTreeMap<BudgetKind, u64>,
    /// Bytes of a request's body at most.
    pub body_bytes: usize,
    /// Of Gantry.
    pub version: &'static str,
    /// For `/readyz`.
    pub ready: Ready,
    /// For sessions.
    pub entropy: Entropy,
    /// For `created_at` and for when a session ends.
    pub now: Now,
}

impl ApiConfig {
    /// Bytes of a request's body at most, unless the host says otherwise.
    pub const BODY_BYTES: usize = 1 << 20;

    /// The address of a site, with a `/` at its end.
    pub(crate) fn site_url(&self, slug: &str) -> String {
        match &self.domain {
            Some(domain) => format!("https://{slug}.{domain}/"),
            None => format!("http://{slug}.localhost:{}/", self.port),
        }
    }
}

impl fmt::Debug for ApiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiConfig")
            .field("token", &self.api_token.is_some())
            .field("bind_is_loopback", &self.bind_is_loopback)
            .field("port", &self.port)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}
