//! What only a database with many clients can be asked: open transactions of others, hosts that
//! start at once, connections and servers that go away.

use crate::setup::*;
use crate::wakes::heard;
use pipeline::{EventKind, Input, Status};
use sqlx::{Connection, PgConnection, Row};
use std::sync::Arc;
use std::time::Duration;
use store::{
    ApiStore, Claimed, Clock, Committed, DriverStore, Options, Postgres, Trim, Trimmed, Wake,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Notify, watch};

pub(crate) async fn what_commits_late_is_not_skipped(bed: Bed) {
    let store = bed.open().await;
    submit(&store, job("first", bed.now())).await;
    let all = until("the first", || async {
        let told = store.stream((0, 0), 10).await.unwrap();
        (!told.is_empty()).then_some(told)
    })
    .await;
    let after = all.last().unwrap().position;
    // Another host is about to tell something, but hasn't committed.
    let mut conn = bed.connection().await;
    let mut late = conn.begin().await.unwrap();
    sqlx::query("INSERT INTO events (seq, kind, at, data) VALUES (0, 'plugin.refused', 1, '{}')")
        .execute(&mut *late)
        .await
        .unwrap();
    let end = store.stream_end().await.unwrap();
    store.tell(&[event(EventKind::PluginLoaded)]).await.unwrap();
    assert_eq!(store.stream(after, 10).await.unwrap(), []);
    assert_eq!(store.stream(end, 10).await.unwrap(), []);
    late.commit().await.unwrap();
    for after in [after, end] {
        let told = until("both", || async {
            let told = store.stream(after, 10).await.unwrap();
            (told.len() >= 2).then_some(told)
        })
        .await;
        let kinds: Vec<_> = told.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::PluginRefused, EventKind::PluginLoaded]);
    }
}

/// A transaction of a person's, which has asked for the end of a job and isn't committed.
async fn asked<'a>(
    conn: &'a mut PgConnection,
    job: &pipeline::Job,
) -> sqlx::Transaction<'a, sqlx::Postgres> {
    let mut tx = conn.begin().await.unwrap();
    sqlx::query("UPDATE jobs SET cancel_requested = true WHERE id = $1")
        .bind(job.id.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx
}

/// Waits until a store's statement waits for a lock.
async fn blocked(bed: &Bed) {
    let mut conn = bed.connection().await;
    loop {
        let waits: bool = sqlx::query(
            "SELECT count(*) > 0 FROM pg_stat_activity \
             WHERE application_name = $1 AND wait_event_type = 'Lock'",
        )
        .bind(bed.schema())
        .fetch_one(&mut conn)
        .await
        .unwrap()
        .get(0);
        if waits {
            return;
        }
    }
}

async fn commit_while_asked(bed: &Bed, keep: bool) -> (Committed, pipeline::Job) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "work").await;
    let change = change(&job, Input::GivenBack, bed.now());
    let mut conn = bed.connection().await;
    let tx = asked(&mut conn, &job).await;
    let commit = tokio::spawn({
        let store = store.clone();
        async move { store.commit(&hold, &change).await.unwrap() }
    });
    tokio::time::timeout(SOON, blocked(bed)).await.unwrap();
    match keep {
        true => tx.commit().await.unwrap(),
        false => tx.rollback().await.unwrap(),
    }
    let committed = commit.await.unwrap();
    (committed, store.job(job.id).await.unwrap().unwrap())
}

pub(crate) async fn a_cancel_under_way_is_waited_for(bed: Bed) {
    let (committed, job) = commit_while_asked(&bed, true).await;
    assert_eq!(committed, Committed::CancelRequested);
    assert_eq!((job.status, job.cancel_requested), (Status::Running, true));
}

pub(crate) async fn a_cancel_taken_back_leaves_the_commit(bed: Bed) {
    let (committed, job) = commit_while_asked(&bed, false).await;
    assert!(matches!(committed, Committed::Done { .. }), "{committed:?}");
    assert_eq!((job.status, job.cancel_requested), (Status::Queued, false));
}

pub(crate) async fn hosts_that_start_at_once_migrate_once(bed: Bed) {
    let barrier = Arc::new(Barrier::new(4));
    let mut hosts = Vec::new();
    for _ in 0..4 {
        let (url, barrier) = (bed.url(), barrier.clone());
        hosts.push(tokio::spawn(async move {
            barrier.wait().await;
            let store = Postgres::connect(&url, Options::default()).await.unwrap();
            store.installation().await.unwrap()
        }));
    }
    let mut names = Vec::new();
    for host in hosts {
        names.push(host.await.unwrap());
    }
    names.dedup();
    assert_eq!(names.len(), 1);
    // An old host meets a migration that it doesn't know.
    bed.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (999, 'later', true, 'x', 0)",
    )
    .await;
    Postgres::connect(&bed.url(), Options::default())
        .await
        .unwrap();
}

/// What a host of the version before did with a job, all in all: take it in, hold it, end it.
const AS_BEFORE: [&str; 3] = [
    "INSERT INTO jobs (id, name_folded, pipeline, priority, revision, status, ready, created_at, \
     body) VALUES ($1, 'work', 'game', 0, 1, 'queued', true, 1, $2)",
    "UPDATE jobs SET status = 'running', ready = false, host = 'before', lease = lease + 1, \
     lease_until = 9000000000000, body = $2 WHERE id = $1 AND status = 'queued'",
    "WITH done AS (UPDATE jobs SET status = 'succeeded', host = NULL, lease_until = NULL, \
     event_seq = event_seq + 1, body = $2 WHERE id = $1 RETURNING id, event_seq) \
     INSERT INTO events (job, seq, kind, at, data) \
     SELECT id, event_seq, 'job.succeeded', 1, '{}' FROM done",
];

/// Moves jobs as hosts of before 0004 did, until it is told to stop; how many it has ended.
async fn works_on(bed: Bed, done: watch::Sender<usize>, stop: watch::Receiver<bool>) {
    let mut conn = bed.connection().await;
    while !*stop.borrow() {
        let job = job("work", bed.now());
        let body = job.to_json().unwrap();
        for sql in AS_BEFORE {
            let query = sqlx::query(sql).bind(job.id.0).bind(&body);
            query.execute(&mut conn).await.unwrap();
        }
        done.send_modify(|done| *done += 1);
    }
}

/// The database as the first three versions of the schema made it.
async fn at_version_three(bed: &Bed) {
    let folder = tempfile::tempdir().unwrap();
    let all = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../migrations/postgres");
    for file in std::fs::read_dir(all).unwrap().flatten() {
        let name = file.file_name();
        if name.to_str().unwrap() < "0004" {
            std::fs::copy(file.path(), folder.path().join(name)).unwrap();
        }
    }
    let migrator = sqlx::migrate::Migrator::new(folder.path()).await.unwrap();
    let pool = sqlx::PgPool::connect(&bed.url()).await.unwrap();
    migrator.run(&pool).await.unwrap();
    pool.close().await;
}

pub(crate) async fn a_migration_under_load_holds_nobody_up(bed: Bed) {
    at_version_three(&bed).await;
    let (done, mut seen) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let before: Vec<_> = (0..3)
        .map(|_| tokio::spawn(works_on(bed.clone(), done.clone(), stopped.clone())))
        .collect();
    // A person looks at the jobs, and leaves the transaction open.
    let mut conn = bed.connection().await;
    let mut reader = conn.begin().await.unwrap();
    let _: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs")
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    let hosts: Vec<_> = (0..3)
        .map(|_| {
            let url = bed.url();
            tokio::spawn(async move { Postgres::connect(&url, Options::default()).await })
        })
        .collect();
    // One of the hosts meets the reader's lock, gives way, and comes again: more than once.
    for _ in 0..2 {
        tokio::time::timeout(SOON, blocked(&bed)).await.unwrap();
        let enough = *seen.borrow() + 100;
        tokio::time::timeout(SOON, seen.wait_for(|done| *done > enough))
            .await
            .unwrap_or_else(|_| panic!("the jobs of the others don't go on"))
            .unwrap();
    }
    assert!(hosts.iter().all(|host| !host.is_finished()));
    reader.rollback().await.unwrap();
    let mut stores = Vec::new();
    for host in hosts {
        stores.push(host.await.unwrap().unwrap());
    }
    // Hosts of before work on, also in the newer schema.
    let enough = *seen.borrow() + 20;
    seen.wait_for(|done| *done > enough).await.unwrap();
    stop.send(true).unwrap();
    for host in before {
        host.await.unwrap();
    }
    let versions = bed
        .texts("SELECT CAST(version AS text) FROM _sqlx_migrations it WHERE success ORDER BY it.version")
        .await;
    let all: Vec<String> = (1..=versions.len()).map(|it| it.to_string()).collect();
    assert_eq!(versions, all, "each once");
    assert!(versions.len() >= 5, "{versions:?}");
    let ended = stores[0].counts(None).await.unwrap()[&Status::Succeeded];
    assert_eq!(ended, u64::try_from(*seen.borrow()).unwrap());
}

pub(crate) async fn a_killed_listener_is_deaf_and_comes_back(bed: Bed) {
    let (here, there) = (bed.open().await, bed.open().await);
    let mut wakes = DriverStore::wakes(&*there);
    let mut conn = bed.connection().await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
    )
    .bind(bed.schema())
    .execute(&mut conn)
    .await
    .unwrap();
    heard(&mut wakes, Wake::Deaf).await;
    // It wakes everybody once it listens again, since nobody knows what was missed.
    heard(&mut wakes, Wake::Ready).await;
    heard(&mut wakes, Wake::Sites).await;
    let job = until("a connection", || async {
        let new = store::NewJob::of(job("after", bed.now()));
        here.submit(&new).await.ok()
    })
    .await;
    assert!(matches!(job, store::Submitted::New(_)));
    heard(&mut wakes, Wake::Ready).await;
}

/// What a way lets through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Its connections are kept, and nothing passes. New ones do pass.
    Silent,
    Cut,
}

/// A way to the server that can be cut, or go silent.
struct Way {
    port: u16,
    state: watch::Sender<State>,
}

impl Way {
    async fn to(host: String, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().port();
        let (sender, state) = watch::channel(State::Open);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (mut state, host) = (state.clone(), host.clone());
                tokio::spawn(async move {
                    if *state.borrow_and_update() == State::Cut {
                        return;
                    }
                    let mut far = TcpStream::connect((host, port)).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => return,
                        // A new connection has seen the state that it came in.
                        _ = state.changed() => {}
                    }
                    let _ = state.wait_for(|state| *state == State::Cut).await;
                });
            }
        });
        Self {
            port: here,
            state: sender,
        }
    }

    fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    /// The bed's address by this way.
    async fn of(bed: &Bed) -> (Self, String) {
        let to: sqlx::postgres::PgConnectOptions = bed.url().parse().unwrap();
        assert!(
            to.get_socket().is_none(),
            "TEST_DATABASE_URL has to name a host and a port"
        );
        let way = Self::to(to.get_host().to_owned(), to.get_port()).await;
        let there = format!("{}:{}", to.get_host(), to.get_port());
        let url = bed.url();
        assert!(
            url.contains(&there),
            "TEST_DATABASE_URL has to name a host and a port"
        );
        let here = url.replace(&there, &way.place());
        (way, here)
    }

    fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

pub(crate) async fn a_listener_that_hears_nothing_is_deaf_though_its_connection_stands(bed: Bed) {
    let (way, url) = Way::of(&bed).await;
    let options = Options {
        echo_every: Duration::from_millis(200),
        call_within: Duration::from_millis(500),
        ..Options::default()
    };
    let store = Postgres::connect(&url, options).await.unwrap();
    let mut wakes = DriverStore::wakes(&store);
    assert!(DriverStore::hears(&store));
    way.set(State::Silent);
    heard(&mut wakes, Wake::Deaf).await;
    assert!(!DriverStore::hears(&store));
    // The next connection passes: it hears itself, and wakes everybody.
    heard(&mut wakes, Wake::Ready).await;
    assert!(DriverStore::hears(&store));
}

pub(crate) async fn a_host_that_stands_still_in_a_claim_holds_nobody_up(bed: Bed) {
    let options = Options {
        rest_within: Duration::from_millis(200),
        ..Options::default()
    };
    let here = Postgres::connect(&bed.url(), options).await.unwrap();
    let there = bed.open_by(Clock::Database).await;
    submit(&there, job("work", real_now())).await;
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let stands_now = Arc::new(Notify::new());
    let has_it = Arc::clone(&stands_now);
    let claims = tokio::spawn(async move {
        // It does nothing else, as a host that is stopped.
        let stands = |_: &Claimed| {
            has_it.notify_one();
            tokio::task::block_in_place(|| waits.lock().unwrap().recv().unwrap());
            None
        };
        here.claim_and_begin(&ask("a"), &stands).await
    });
    stands_now.notified().await;
    let taken = until("the job", || async {
        let claimed = there.claim(&ask("b")).await.unwrap();
        let is_locked = claimed.is_empty();
        (!is_locked).then_some(claimed)
    })
    .await;
    assert_eq!(taken[0].job.name, "work");
    go_on.send(()).unwrap();
    let late = claims.await.unwrap();
    assert!(late.is_err(), "its transaction was taken back: {late:?}");
}

pub(crate) async fn a_database_that_is_gone_is_away_and_comes_back(bed: Bed) {
    let (way, url) = Way::of(&bed).await;
    let options = Options {
        call_within: Duration::from_millis(500),
        ..Options::default()
    };
    let store = Postgres::connect(&url, options).await.unwrap();
    let mut wakes = DriverStore::wakes(&store);
    let store: Arc<dyn Store> = Arc::new(store);
    submit(&store, job("work", real_now())).await;
    let (job, hold) = claim_one(&store, &ask("a")).await;
    way.set(State::Cut);
    heard(&mut wakes, Wake::Deaf).await;
    let change = change(&job, Input::Claimed { rescued: false }, real_now());
    let error = store.commit(&hold, &change).await.unwrap_err();
    assert_eq!(error.code(), "store-away");
    assert!(
        error.passes() && error.to_string().contains(&way.place()),
        "{error}"
    );
    assert_eq!(
        DriverStore::ping(&*store).await.unwrap_err().code(),
        "store-away"
    );
    way.set(State::Open);
    heard(&mut wakes, Wake::Ready).await;
    // The claim holds on, since nobody took it: the same write goes through.
    let done = until("the database", || async {
        store.commit(&hold, &change).await.ok()
    })
    .await;
    assert!(matches!(done, Committed::Done { .. }), "{done:?}");
}

pub(crate) async fn a_database_that_isnt_there_is_named_without_its_password(bed: Bed) {
    let refused = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let options = || Options {
        connect_within: Duration::from_millis(200),
        ..Options::default()
    };
    let url = format!("postgres://me:s3cret@{refused}/gantry");
    let error = Postgres::connect(&url, options()).await.unwrap_err();
    assert_eq!(error.code(), "store-away");
    let text = format!("{error} {error:?}");
    assert!(text.contains(&refused.to_string()), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    for url in ["mysql://me:s3cret@host/db", "postgres://me:s3cret@ho st/db"] {
        let error = Postgres::connect(url, options()).await.unwrap_err();
        assert_eq!(error.code(), "store-refused");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
    // What waiting doesn't mend fails at once, however long it may wait.
    let url = bed.url().replace(
        "application_name=",
        "dbname=there_is_no_such&application_name=",
    );
    let error = Postgres::connect(&url, Options::default())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "store-refused");
    assert!(error.to_string().contains("there_is_no_such"), "{error}");
}

pub(crate) async fn a_restored_stream_goes_on(bed: Bed) {
    let store = bed.open().await;
    submit(&store, job("dumped", bed.now())).await;
    // As if from a cluster that had many more transactions behind it.
    bed.execute("UPDATE events SET xid = '4000000000000'").await;
    assert_eq!(store.stream((0, 0), 10).await.unwrap(), []);
    let store = bed.open().await;
    until("the event", || async {
        let told = store.stream((0, 0), 10).await.unwrap();
        (told.len() == 1).then_some(())
    })
    .await;
}

pub(crate) async fn one_host_clears_up_at_a_time(bed: Bed) {
    let store = bed.open().await;
    let trim = || store.trim(Trim::Others, Duration::ZERO);
    store.tell(&[event(EventKind::PluginLoaded)]).await.unwrap();
    // Another host is in the middle of a step.
    let mut conn = bed.connection().await;
    let mut other = conn.begin().await.unwrap();
    sqlx::query(
        "SELECT pg_advisory_xact_lock(hashtext('retention'), hashtext(id)) FROM installation",
    )
    .execute(&mut *other)
    .await
    .unwrap();
    assert_eq!(trim().await.unwrap(), Trimmed::Busy);
    other.rollback().await.unwrap();
    assert_eq!(trim().await.unwrap(), Trimmed::Rows(1));
}
