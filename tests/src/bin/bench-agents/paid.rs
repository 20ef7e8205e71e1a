//! Runs whose requests are paid from the accounts of a store in SQLite, as a host's are. One job
//! holds them all; each run has a phase, and with it a budget, of its own.

use std::sync::Arc;

use driver::RunAccounts;
use gateway::{Credential, Gateway, GatewayConfig, Limits, Prices, Provider, Run, RunSpec};
use pipeline::{
    BudgetKind, HostId, Input, Job, JobId, Limits as JobLimits, PipelineSpec, Timestamp, step,
};
use store::{
    ApiStore as _, Ask, BudgetOf, Change, DriverStore as _, Hold, NewJob, OnCancel, Options, Payer,
    Sqlite, TakeOver,
};
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) const TOKEN: &str = "run-token";
pub(crate) const MODEL: &str = "claude-opus-4-8";

pub(crate) struct Bank {
    pub(crate) store: Arc<Sqlite>,
    hold: Hold,
    gateway: Gateway,
    folder: TempDir,
    fence: watch::Sender<bool>,
}

impl Bank {
    pub(crate) async fn open(provider: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("gb-")
            .tempdir_in("/tmp")
            .unwrap();
        let path = folder.path().join("gantry.db");
        let store = Arc::new(Sqlite::open(&path, Options::default()).await.unwrap());
        let gateway = Gateway::new(GatewayConfig {
            provider: Provider {
                base_url: format!("http://{provider}"),
                credential: Credential::ApiKey("the-real-key".to_owned()),
            },
            small_models: Vec::new(),
            prices: Prices::default(),
            limits: Limits::default(),
        });
        Self {
            hold: held(&store).await,
            store,
            gateway: gateway.unwrap(),
            folder,
            fence: watch::Sender::new(false),
        }
    }

    /// A run with a budget in micro-dollars. Its phase has the run's number.
    pub(crate) async fn run(&self, number: usize, budget: u64) -> Run {
        let planned = BudgetOf {
            planned: Some(budget),
            ceiling: None,
        };
        let payer = Payer {
            hold: self.hold.clone(),
            run: format!("run {number}"),
            revision: 1,
            phase: format!("phase-{number}"),
            group: None,
            budgets: [(BudgetKind::Phase, planned)].into(),
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
}

/// A job that runs, by a host that there isn't.
async fn held(store: &Arc<Sqlite>) -> Hold {
    let now: Timestamp = std::time::SystemTime::now().into();
    let spec = "name = \"paid\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\n";
    let spec = PipelineSpec::parse(spec).unwrap();
    let job = Job::new(JobId(Uuid::now_v7()), "paid".to_owned(), spec, now);
    store.submit(&NewJob::of(job)).await.unwrap();
    let ask = Ask {
        host: HostId("bench".to_owned()),
        roots: Vec::new(),
        engines: Vec::new(),
        limit: 1,
        look: true,
        lease_time: std::time::Duration::from_secs(3_600),
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
