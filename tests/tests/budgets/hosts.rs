//! Two hosts, one database, one budget of a day: what both let out together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use driver::RunAccounts;
use futures_util::{StreamExt as _, future, stream};
use gateway::{Credential, Gateway, GatewayConfig, Limits, Prices, Provider, Run, RunSpec};
use pipeline::{
    BudgetKind, HostId, Input, Job, JobId, Limits as JobLimits, PipelineSpec, Timestamp, step,
};
use serde_json::json;
use store::{
    ApiStore as _, Ask, BudgetOf, Change, DriverStore as _, Hold, MoneyStore as _, NewJob,
    OnCancel, Options, Payer, Postgres, TakeOver,
};
use tests::harness::{Database, Part, Parts};
use tests::standin::{Asked, Reply, Standin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{KEY, cost, used};

const TOKEN: &str = "run-token";
const MODEL: &str = "claude-opus-4-8";
/// A dollar and a half, for what would cost about twelve.
const LIMIT: u64 = 1_500_000;
const REQUESTS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_never_let_out_more_than_their_one_budget() {
    let test = "two_hosts_never_let_out_more_than_their_one_budget";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let database = Database::new(parts).await;
    let api = Standin::start(|asked: &Asked| Reply::text("as told").usage(used(asked))).await;
    let api = api.unwrap();
    let hosts = [
        OneHost::start("a", &database, api.url()).await,
        OneHost::start("b", &database, api.url()).await,
    ];
    let mut runs = Vec::new();
    for host in &hosts {
        for number in 0..2 {
            runs.push(host.run(number).await);
        }
    }
    let all = runs.iter().map(|run| {
        let asked = stream::iter(0..REQUESTS).map(|_| ask(run.socket_path()));
        asked.buffer_unordered(8).collect::<Vec<_>>()
    });
    let answers = future::join_all(all).await.concat();
    for run in &mut runs {
        run.close().await.unwrap();
    }

    let let_out = cost(&api.asked());
    let today = hosts[0].store.day_money().await.unwrap().all;
    assert_eq!(today.spent.usage.cost_micro_usd, let_out);
    assert_eq!((today.reserved, today.spent.assumed_micro_usd), (0, 0));
    assert!(let_out <= LIMIT, "{let_out}");
    // Both met it, in words; and what is left is less than one more request could cost.
    let refused = answers
        .iter()
        .filter(|answer| answer.starts_with("HTTP/1.1 400"));
    let refused: Vec<_> = refused.collect();
    assert!(refused.len() > REQUESTS, "{}", refused.len());
    for answer in refused {
        assert!(
            answer.contains("the budget of all jobs for today is used up"),
            "{answer}"
        );
    }
    assert!(LIMIT - let_out < 100_000, "{let_out}");
}

/// What a host has of the store and of the provider.
struct OneHost {
    store: Arc<Postgres>,
    hold: Hold,
    gateway: Gateway,
    folder: tempfile::TempDir,
    fence: watch::Sender<bool>,
}

impl OneHost {
    async fn start(name: &str, database: &Database, provider: &str) -> Self {
        let store = Postgres::connect(&database.url(), Options::default()).await;
        let store = Arc::new(store.unwrap());
        let gateway = Gateway::new(GatewayConfig {
            provider: Provider {
                base_url: provider.to_owned(),
                credential: Credential::ApiKey(KEY.to_owned()),
            },
            small_models: Vec::new(),
            prices: Prices::default(),
            limits: Limits::default(),
        });
        Self {
            hold: held(&store, name).await,
            store,
            gateway: gateway.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            fence: watch::Sender::new(false),
        }
    }

    async fn run(&self, number: usize) -> Run {
        let planned = BudgetOf {
            planned: None,
            ceiling: Some(LIMIT),
        };
        let payer = Payer {
            hold: self.hold.clone(),
            run: format!("run {number} of {}", self.hold.job),
            revision: 1,
            phase: format!("phase-{number}"),
            group: None,
            budgets: BTreeMap::from([(BudgetKind::Day, planned)]),
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

/// A job that this host runs.
async fn held(store: &Arc<Postgres>, host: &str) -> Hold {
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
        lease_time: Duration::from_secs(600),
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

/// The whole answer to one request, as it came.
async fn ask(socket: &Path) -> String {
    let body = json!({ "model": MODEL, "max_tokens": 3_000,
        "messages": [{ "role": "user", "content": "x".repeat(4_000) }] });
    let body = body.to_string();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         authorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
