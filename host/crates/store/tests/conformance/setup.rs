//! A database for each case, and the jobs that the cases move. It asserts nothing itself.

use pipeline::{
    Digest, Event, EventKind, HostId, Input, Job, JobId, Lease, Level, Limits, LogLine,
    PipelineSpec, PluginPin, RootId, Timestamp, step,
};
use serde_json::Map;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};
use store::{
    AccessStore, ApiStore, Ask, Change, Claimed, Clock, Committed, DriverStore, Hold, MoneyStore,
    NewJob, OnCancel, Options, PluginStore, Postgres, RetentionStore, Sqlite, Submitted, TakeOver,
};
use uuid::Uuid;

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// The lease time of every case.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// Every trait.
pub(crate) trait Store:
    DriverStore + ApiStore + AccessStore + PluginStore + RetentionStore + MoneyStore
{
}
impl<T> Store for T where
    T: DriverStore + ApiStore + AccessStore + PluginStore + RetentionStore + MoneyStore
{
}

/// A database of a case's own.
#[derive(Clone, Debug)]
pub(crate) struct Bed {
    kind: Kind,
    pub(crate) clock: Arc<AtomicI64>,
}

#[derive(Clone, Debug)]
enum Kind {
    Sqlite {
        dir: Arc<tempfile::TempDir>,
        open: Arc<tokio::sync::Mutex<Option<Arc<Sqlite>>>>,
    },
    Postgres {
        url: String,
        schema: String,
    },
}

impl Bed {
    pub(crate) fn sqlite() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::of(Kind::Sqlite {
            dir,
            open: Arc::default(),
        })
    }

    /// None where there is no server: that is noted where the caller says.
    pub(crate) async fn postgres() -> Option<Self> {
        let Ok(url) = std::env::var("TEST_DATABASE_URL") else {
            not_run("store conformance on postgres: TEST_DATABASE_URL isn't set");
            return None;
        };
        let schema = format!("case_{}", Uuid::now_v7().simple());
        let mut conn = PgConnection::connect(&url).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
            .execute(&mut conn)
            .await
            .unwrap();
        Some(Self::of(Kind::Postgres { url, schema }))
    }

    fn of(kind: Kind) -> Self {
        let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
        Self { kind, clock }
    }

    pub(crate) async fn remove(self) {
        if let Kind::Postgres { url, schema } = &self.kind {
            let mut conn = PgConnection::connect(url).await.unwrap();
            sqlx::query(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE")))
                .execute(&mut conn)
                .await
                .unwrap();
        }
    }

    /// The server's address, with the schema and a name of its own.
    pub(crate) fn url(&self) -> String {
        let Kind::Postgres { url, schema } = &self.kind else {
            panic!("only PostgreSQL has an address");
        };
        let mark = if url.contains('?') { '&' } else { '?' };
        format!("{url}{mark}options[search_path]={schema}&application_name={schema}")
    }

    /// What the connections of this case are called.
    pub(crate) fn schema(&self) -> &str {
        match &self.kind {
            Kind::Postgres { schema, .. } => schema,
            Kind::Sqlite { .. } => panic!("only PostgreSQL has a schema"),
        }
    }

    fn path(dir: &tempfile::TempDir) -> PathBuf {
        dir.path().join("gantry.db")
    }

    /// A store by the test's clock.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        self.open_by(Clock::Fixed(Arc::clone(&self.clock))).await
    }

    /// A store; another instance where the database serves many, else the same one.
    pub(crate) async fn open_by(&self, clock: Clock) -> Arc<dyn Store> {
        let options = Options {
            clock,
            ..Options::default()
        };
        match &self.kind {
            Kind::Postgres { .. } => {
                Arc::new(Postgres::connect(&self.url(), options).await.unwrap())
            }
            Kind::Sqlite { dir, open } => {
                let mut open = open.lock().await;
                match &*open {
                    Some(store) => Arc::clone(store) as Arc<dyn Store>,
                    None => {
                        let path = Self::path(dir);
                        let store = Arc::new(Sqlite::open(&path, options).await.unwrap());
                        *open = Some(Arc::clone(&store));
                        store
                    }
                }
            }
        }
    }

    /// A statement from outside.
    pub(crate) async fn execute(&self, sql: &'static str) {
        match &self.kind {
            Kind::Postgres { .. } => {
                let mut conn = self.connection().await;
                sqlx::query(sql).execute(&mut conn).await.unwrap();
            }
            Kind::Sqlite { dir, .. } => {
                let url = format!("sqlite:{}", Self::path(dir).display());
                let mut conn = SqliteConnection::connect(&url).await.unwrap();
                sqlx::query(sql).execute(&mut conn).await.unwrap();
            }
        }
    }

    /// Writes a job's body from outside.
    pub(crate) async fn set_body(&self, id: JobId, body: &str) {
        const SQL: &str = "UPDATE jobs SET body = $1 WHERE id = $2";
        match &self.kind {
            Kind::Postgres { .. } => {
                let mut conn = self.connection().await;
                let query = sqlx::query(SQL).bind(body).bind(id.0);
                query.execute(&mut conn).await.unwrap();
            }
            Kind::Sqlite { dir, .. } => {
                let url = format!("sqlite:{}", Self::path(dir).display());
                let mut conn = SqliteConnection::connect(&url).await.unwrap();
                let query = sqlx::query(SQL).bind(body).bind(id.0);
                query.execute(&mut conn).await.unwrap();
            }
        }
    }

    /// The only column of a query from outside.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        match &self.kind {
            Kind::Postgres { .. } => {
                let mut conn = self.connection().await;
                let query = sqlx::query_scalar(sql);
                query.fetch_all(&mut conn).await.unwrap()
            }
            Kind::Sqlite { dir, .. } => {
                let url = format!("sqlite:{}", Self::path(dir).display());
                let mut conn = SqliteConnection::connect(&url).await.unwrap();
                let query = sqlx::query_scalar(sql);
                query.fetch_all(&mut conn).await.unwrap()
            }
        }
    }

    /// A connection of the case's own, under another name than the stores'.
    pub(crate) async fn connection(&self) -> PgConnection {
        let url = self
            .url()
            .replace("application_name=", "application_name=outside_");
        PgConnection::connect(&url).await.unwrap()
    }

    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.clock.fetch_add(by, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::SeqCst))
    }
}

fn not_run(line: &str) {
    println!("{line}");
    if let Some(path) = std::env::var_os("GANTRY_TEST_NOT_RUN") {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// The time of this machine.
pub(crate) fn real_now() -> Timestamp {
    SystemTime::now().into()
}

/// What `ask` gives once it is something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tick.tick().await;
        }
    };
    tokio::time::timeout(SOON, asked)
        .await
        .unwrap_or_else(|_| panic!("{what} didn't come"))
}

pub(crate) fn host(name: &str) -> HostId {
    HostId(name.to_owned())
}

pub(crate) fn root(name: &str) -> RootId {
    RootId(name.to_owned())
}

pub(crate) fn pin() -> PluginPin {
    PluginPin {
        name: "idea".to_owned(),
        version: "1.0.0".to_owned(),
        digest: Digest::of(b"idea"),
    }
}

/// A job of one phase and a deploy.
pub(crate) fn job(name: &str, created_at: Timestamp) -> Job {
    let spec = PipelineSpec::parse(
        "name = \"game\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 2\n\
         [deploy]\nplugin = \"static-site\"\n",
    )
    .unwrap();
    Job::new(JobId(Uuid::now_v7()), name.to_owned(), spec, created_at)
}

pub(crate) async fn submit(store: &Arc<dyn Store>, job: Job) -> Job {
    match store.submit(&NewJob::of(job)).await.unwrap() {
        Submitted::New(job) => *job,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn ask(name: &str) -> Ask {
    Ask {
        host: host(name),
        roots: Vec::new(),
        engines: Vec::new(),
        look: true,
        limit: 10,
        lease_time: LEASE,
        held: Vec::new(),
        take_over: TakeOver::None,
    }
}

/// A claim of what must be the only job there.
pub(crate) async fn claim_one(store: &Arc<dyn Store>, ask: &Ask) -> (Job, Hold) {
    let mut claimed = store.claim(ask).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let Claimed { job, lease, .. } = claimed.remove(0);
    let hold = hold_of(&job, lease, &ask.host);
    (job, hold)
}

pub(crate) fn hold_of(job: &Job, lease: Lease, host: &HostId) -> Hold {
    Hold {
        job: job.id,
        lease,
        host: host.clone(),
    }
}

/// The change that an input makes.
pub(crate) fn change(job: &Job, input: Input, now: Timestamp) -> Change {
    Change {
        step: step(job, input, &Limits::default(), now).unwrap(),
        now,
        blobs: Vec::new(),
        on_cancel: OnCancel::Refuse,
    }
}

/// Commits what an input makes of a job; the job after it.
pub(crate) async fn go(store: &Arc<dyn Store>, hold: &Hold, job: &Job, input: Input) -> Job {
    let change = change(job, input, real_now());
    let done = store.commit(hold, &change).await.unwrap();
    assert!(matches!(done, Committed::Done { .. }), "{done:?}");
    change.step.next
}

/// A new job, claimed by `a` and begun.
pub(crate) async fn running(store: &Arc<dyn Store>, name: &str) -> (Job, Hold) {
    submit(store, job(name, real_now())).await;
    let (job, hold) = claim_one(store, &ask("a")).await;
    let job = go(store, &hold, &job, Input::Claimed { rescued: false }).await;
    (job, hold)
}

/// The job, with an agent at work.
pub(crate) async fn with_agent(store: &Arc<dyn Store>, hold: &Hold, job: Job) -> Job {
    let kept = Digest::of(b"kept");
    let tasks = vec!["work".to_owned()];
    let plugin = pin();
    let input = Input::Prompted {
        plugin,
        tasks,
        kept,
    };
    go(store, hold, &job, input).await
}

/// A job that waits for `deploy` to answer.
pub(crate) async fn deploying(store: &Arc<dyn Store>, name: &str) -> (Job, Hold) {
    let (job, hold) = running(store, name).await;
    let prompted = Input::Prompted {
        plugin: pin(),
        tasks: Vec::new(),
        kept: Digest::of(b""),
    };
    let job = go(store, &hold, &job, prompted).await;
    let accepted = Input::Validated {
        plugin: pin(),
        verdict: None,
    };
    let job = go(store, &hold, &job, accepted).await;
    (job, hold)
}

pub(crate) fn event(kind: EventKind) -> Event {
    Event {
        kind,
        phase: Some("idea".to_owned()),
        attempt: Some(1),
        data: Map::new(),
    }
}

pub(crate) fn line(text: &str) -> LogLine {
    LogLine {
        seq: 0,
        at: Timestamp::default(),
        phase: None,
        attempt: None,
        level: Level::Info,
        text: text.to_owned(),
    }
}
