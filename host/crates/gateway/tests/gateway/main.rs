//! The gateway over real sockets, against a small provider on loopback. No
//! agent takes part: the real CLI's way through is tested with the whole.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

mod accounts;
mod client;
mod provider;

mod budget;
mod forward;
mod refuse;
mod socket;
mod unruly;

use gateway::{Credential, Gateway, GatewayConfig, Limits, Prices, Run, RunSpec};
use tokio::sync::watch;

use crate::accounts::TestAccounts;
use crate::provider::TestProvider;

const TOKEN: &str = "run-token";
const KEY: &str = "the-real-key";

/// A token read costs a micro-dollar, one written ten.
const PRICES: &str = "[[model]]\nname = \"big\"\ninput = 1.0\noutput = 10.0\ncache_read = 0.1\n\
    cache_write = 1.25\ncache_write_hour = 2.0\ncontext = 100_000\n";

/// An open run, its folder, and its fence.
struct Opened {
    run: Run,
    fence: watch::Sender<bool>,
    folder: tempfile::TempDir,
}

fn gateway(base_url: &str, credential: Credential, limits: Limits) -> Gateway {
    Gateway::new(GatewayConfig {
        provider: gateway::Provider {
            base_url: base_url.to_owned(),
            credential,
        },
        small_models: vec!["small".into()],
        prices: Prices::parse(PRICES).unwrap(),
        limits,
    })
    .unwrap()
}

fn spec(folder: &tempfile::TempDir, fence: watch::Receiver<bool>) -> RunSpec {
    RunSpec {
        socket_path: folder.path().join("model.sock"),
        token: TOKEN.into(),
        models: vec!["big".into()],
        owner: None,
        fence,
        accounts: TestAccounts::unlimited(),
    }
}

async fn open_with(base_url: &str, limits: Limits) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let (fence, fenced) = watch::channel(false);
    let run = gateway(base_url, Credential::ApiKey(KEY.into()), limits)
        .open(spec(&folder, fenced))
        .await
        .unwrap();
    Opened { run, fence, folder }
}

async fn open(provider: &TestProvider) -> Opened {
    open_with(provider.url(), Limits::default()).await
}
