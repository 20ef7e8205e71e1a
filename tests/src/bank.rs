//! Runs whose requests are paid from the accounts of a store, as a host's are, without the host:
//! one job holds them all, and each run has a phase of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose surroundings fail has failed"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driver::RunAccounts;
use gateway::{Credential, Gateway, GatewayConfig, Limits, Prices, Provider, Run, RunSpec};
use pipeline::{
    BudgetKind, HostId, Input, Job, JobId, Limits as JobLimits, PipelineSpec, Timestamp, step,
};
use store::{
    ApiStore, Ask, BudgetOf, Change, DriverStore, Hold, MoneyStore, NewJob, OnCancel, Payer,
    Spending, TakeOver,
};
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

/// Of every run.
pub const TOKEN: &str = "run-token";
/// The one that a run may ask.
pub const MODEL: &str = "claude-opus-4-8";
/// Longer than any test or benchmark.
const LEASE: Duration = Duration::from_secs(3_600);

/// What a host has of a store and of a provider.
#[derive(Debug)]
pub struct Bank<S> {
    /// Where its accounts are.
    pub store: Arc<S>,
    hold: Hold,
    gateway: Gateway,
    folder: TempDir,
    fence: watch::Sender<bool>,
}

impl<S: ApiStore + DriverStore + MoneyStore + 'static> Bank<S> {
    /// That of a host of this name. It takes a job of the store, and there may be no other.
    pub async fn open(store: S, host: &str, provider: &str, key: &str) -> Self {
        let gateway = Gateway::new(GatewayConfig {
            provider: Provider {
                base_url: provider.to_owned(),
                credential: Credential::ApiKey(key.to_owned()),
            },
            small_models: Vec::new(),
            prices: Prices::default(),
            limits: Limits::default(),
        });
        // A socket's path is short.
        let folder = tempfile::Builder::new().prefix("gb-").tempdir_in("/tmp");
        Self {
            hold: held(&store, host).await,
            store: Arc::new(store),
            gateway: gateway.unwrap(),
            folder: folder.unwrap(),
            fence: watch::Sender::new(false),
        }
    }

    /// A run under one budget; its phase has the run's number.
    pub async fn run(&self, number: usize, kind: BudgetKind, budget: BudgetOf) -> Run {
        let payer = Payer {
            hold: self.hold.clone(),
            run: self.name(number),
            revision: 1,
            phase: format!("phase-{number}"),
            group: None,
            budgets: BTreeMap::from([(kind, budget)]),
        };
        let accounts = RunAccounts::new(Arc::clone(&self.store) as _, payer);
        let spec = RunSpec {
            socket_path: self.folder.path().join(format!("{number}.sock")),
            token: TOKEN.to_owned(),
            models: vec![MODEL.to_owned()],
            owner: None,
            fence: self.fence.subscribe(),
            accounts: Arc::new(accounts),
        };
        self.gateway.open(spec).await.unwrap()
    }

    /// What that run has spent.
    pub async fn spent(&self, number: usize) -> Spending {
        self.store.spent_by(&self.name(number)).await.unwrap()
    }

    /// Two banks may share a store.
    fn name(&self, number: usize) -> String {
        format!("run {number} of {}", self.hold.job)
    }
}

/// A job that this host runs.
async fn held<S: ApiStore + DriverStore>(store: &S, host: &str) -> Hold {
    let now: Timestamp = std::time::SystemTime::now().into();
    let spec = "name = \"paid\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\n";
    let spec = PipelineSpec::parse(spec).unwrap();
    let job = Job::new(JobId(Uuid::now_v7()), "paid".to_owned(), spec, now);
    store.submit(&NewJob::of(job)).await.unwrap();
    let ask = Ask {
        host: HostId(host.to_owned()),
        roots: Vec::new(),
        engines: Vec::new(),
        limit: 1,
        look: true,
        lease_time: LEASE,
        held: Vec::new(),
        take_over: TakeOver::None,
    };
    let claimed = store.claim(&ask).await.unwrap().remove(0);
    let hold = Hold {
        job: claimed.job.id,
        lease: claimed.lease,
        host: ask.host,
    };
    let begun = Input::Claimed { rescued: false };
    let change = Change {
        step: step(&claimed.job, begun, &JobLimits::default(), now).unwrap(),
        now,
        blobs: Vec::new(),
        on_cancel: OnCancel::Refuse,
    };
    store.commit(&hold, &change).await.unwrap();
    hold
}
