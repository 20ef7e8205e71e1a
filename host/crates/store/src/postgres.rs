//! The store in PostgreSQL, for one host or many. No session state: it works behind a pooler
//! that gives each transaction another connection, but for the wake-ups.

use crate::error::{Fault, is_away};
use crate::lane::Lane;
use crate::live::Live;
use crate::rules;
use crate::taker::Stand;
use crate::wake::Bell;
use crate::write::{JobChange, NewRow};
use crate::{Clock, Committed, Options, StoreError, Submitted, Wake};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, Transaction};
use std::collections::{BTreeSet, HashSet};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A connection that wasn't used for as long may have been cut.
const RESTED: Duration = Duration::from_millis(500);

/// How long one that has rested may take to answer.
const PING_WITHIN: Duration = Duration::from_secs(1);

/// Now in ms: the test's where it gives one. Of the statement, so that an index can serve it.
macro_rules! now {
    ($given:literal) => {
        concat!(
            "coalesce(CAST(",
            $given,
            " AS bigint), CAST(extract(epoch FROM statement_timestamp()) * 1000 AS bigint))"
        )
    };
}
macro_rules! lock {
    () => {
        " FOR UPDATE"
    };
}
/// Whether a host with these roots and engines may begin a job, or go on with it.
macro_rules! may_take {
    ($roots:literal, $engines:literal) => {
        concat!(
            "(root IS NULL OR root = ANY(",
            $roots,
            ")) AND (engine IS NULL OR engine = ANY(",
            $engines,
            ")) ",
            not_paused!()
        )
    };
}
/// Which of the rows that were chosen before: by their ids, also where nobody knows how many.
macro_rules! among {
    ($chosen:literal) => {
        concat!(" = ANY(ARRAY(SELECT id FROM ", $chosen, "))")
    };
}
/// Whether a column's text is in a list, as [`list`] gives it.
macro_rules! in_list {
    ($column:literal, $list:literal) => {
        concat!($column, " = ANY(", $list, ")")
    };
}
macro_rules! lock_shared {
    () => {
        " FOR SHARE"
    };
}
macro_rules! skip_locked {
    () => {
        " FOR UPDATE SKIP LOCKED"
    };
}
macro_rules! job_columns {
    () => {
        "jobs.id, jobs.number, jobs.status, jobs.wait_until, jobs.cancel_requested, jobs.host, \
         jobs.engine, jobs.line, CASE WHEN jobs.line = 'group' THEN (SELECT CASE WHEN gates.rate_jobs IS NOT NULL THEN gates.open_at END FROM gates \
         WHERE gates.kind = 'group' AND gates.name = jobs.group_key) END AS line_until, \
         jobs.group_key, jobs.pipeline, jobs.body, (SELECT CAST(coalesce(json_agg(sites.slug), '[]') AS text) \
         FROM sites WHERE sites.job = jobs.id) AS live"
    };
}
macro_rules! event_columns {
    () => {
        "CAST(CAST(xid AS text) AS bigint) AS xid, id, job, seq, kind, at, phase, attempt, data"
    };
}

#[path = "sql/access.rs"]
mod access;
#[path = "sql/act.rs"]
mod act;
#[path = "sql/append.rs"]
mod append;
#[path = "sql/breaker.rs"]
mod breaker;
#[path = "sql/claim.rs"]
mod claim;
#[path = "sql/commit.rs"]
mod commit;
#[path = "sql/gates.rs"]
mod gates;
#[path = "sql/lines.rs"]
mod lines;
#[path = "sql/money.rs"]
mod money;
#[path = "sql/plugins.rs"]
mod plugins;
#[path = "sql/read.rs"]
mod read;
#[path = "sql/report.rs"]
mod report;
#[path = "sql/retain.rs"]
mod retain;
#[path = "sql/rows.rs"]
mod rows;
#[path = "sql/submit.rs"]
mod submit;
#[path = "sql/traits.rs"]
mod traits;

mod events;
mod holds;
mod listen;
mod live;
mod prepare;
mod writes;

type Face = Postgres;
type Conn = PgConnection;
type Row = sqlx::postgres::PgRow;

/// A store in PostgreSQL 14 or later.
#[derive(Debug)]
pub struct Postgres {
    store: Arc<Store>,
    commits: Lane<JobChange, Committed>,
    submits: Lane<NewRow, Submitted>,
}

/// What calls and lanes share.
#[derive(Debug)]
struct Store {
    /// For what writes, and what claims ask.
    pool: PgPool,
    /// For what people ask: what they filter by decides how it is best run.
    readers: PgPool,
    clock: Clock,
    call_within: Duration,
    /// How a transaction begins.
    begin: Arc<str>,
    place: String,
    stand: Stand,
    bell: Bell,
    live: Live,
    wire: listen::Wire,
}

impl Postgres {
    /// Connects to `postgres://…`, and brings the schema up to date. A database that is away is
    /// waited for as long as the options say.
    ///
    /// # Errors
    /// [`StoreError`], which names host, port and database, never the password.
    pub async fn connect(url: &str, options: Options) -> Result<Self, StoreError> {
        let refused = |what: String| StoreError::Refused {
            place: "the address of the database".to_owned(),
            what,
        };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            let what = "it must be postgres://USER:PASSWORD@HOST:PORT/DATABASE";
            return Err(refused(what.to_owned()));
        }
        let mut to = PgConnectOptions::from_str(url).map_err(|error| refused(error.to_string()))?;
        if to.get_application_name().is_none() {
            to = to.application_name("gantry");
        }
        let place = place(&to);
        reach(&to, &place, options.connect_within).await?;
        prepare::prepare(&to, &place).await?;
        Self::start(to, place, options).await
    }

    async fn start(
        to: PgConnectOptions,
        place: String,
        options: Options,
    ) -> Result<Self, StoreError> {
        let for_reads = (options.connections / 2).max(1);
        let readers = connections(for_reads, &options).connect_lazy_with(to.clone());
        let writers = (options.connections - for_reads).max(1);
        let pool = connections(writers, &options)
            .after_connect(|conn, _| {
                Box::pin(async move {
                    // Planning the statements of the queue takes longer than running them, and
                    // what they are given changes nothing of how they are best run: states are
                    // literals, and rows are found by their ids. `tests/plans` looks at that.
                    conn.execute("SET plan_cache_mode = force_generic_plan")
                        .await?;
                    Ok(())
                })
            })
            .connect_lazy_with(to.clone());
        let sql = |error: sqlx::Error| Fault::from(error).at(&place);
        let names: (String, String) = sqlx::query_as(
            "SELECT id, left(replace(CAST(gen_random_uuid() AS text), '-', ''), 12) \
             FROM installation",
        )
        .fetch_one(&pool)
        .await
        .map_err(sql)?;
        let bell = Bell::new();
        let (live, calls) = Live::with_others();
        let ears = listen::Ears {
            bell: bell.clone(),
            live: live.clone(),
        };
        let echo_every = options.echo_every;
        let wire = listen::Wire::start(pool.clone(), to, names, ears, calls, echo_every).await;
        Ok(Self::of(Store {
            pool,
            readers,
            clock: options.clock,
            call_within: options.call_within,
            // For this transaction only: a pooler may give the session to somebody else.
            begin: format!(
                "BEGIN; SET LOCAL idle_in_transaction_session_timeout = {}",
                options.rest_within.as_millis()
            )
            .into(),
            place,
            stand: Stand::default(),
            bell,
            live,
            wire,
        }))
    }
}

impl Store {
    async fn begin(&self) -> Result<Transaction<'static, sqlx::Postgres>, sqlx::Error> {
        // A number that this file has written.
        self.pool
            .begin_with(AssertSqlSafe(Arc::clone(&self.begin)))
            .await
    }

    /// For a statement that is a transaction of its own; see [`Store::end`].
    async fn single(&self) -> Result<PoolConnection<sqlx::Postgres>, sqlx::Error> {
        self.pool.acquire().await
    }

    /// Nothing to end: see [`Store::single`].
    async fn end(&self, _: PoolConnection<sqlx::Postgres>) -> Result<(), sqlx::Error> {
        Ok(())
    }

    fn reads(&self) -> &PgPool {
        &self.readers
    }

    /// Wakes this process at once and the others soon. Only after the commit.
    fn ring(&self, wakes: Vec<Wake>) {
        let mut rung = HashSet::with_capacity(wakes.len());
        for wake in wakes.into_iter().filter(|wake| rung.insert(*wake)) {
            self.bell.ring(wake);
            self.wire.send(wake);
        }
    }
}

/// A pool, of so many.
fn connections(most: u32, options: &Options) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(options.call_within)
        // A round trip each time is dear where a call is one: only what has rested is tried, and
        // one that has gone silent is given up.
        .test_before_acquire(false)
        .before_acquire(|conn, about| {
            Box::pin(async move {
                if about.idle_for <= RESTED {
                    return Ok(true);
                }
                match tokio::time::timeout(PING_WITHIN, conn.ping()).await {
                    Ok(answer) => answer.map(|()| true),
                    Err(_) => Ok(false),
                }
            })
        })
}

/// Which database, without user and password.
fn place(to: &PgConnectOptions) -> String {
    let database = to.get_database().unwrap_or(to.get_username());
    match to.get_socket() {
        Some(socket) => format!("PostgreSQL at {} ({database})", socket.display()),
        None => format!(
            "PostgreSQL at {}:{} ({database})",
            to.get_host(),
            to.get_port()
        ),
    }
}

/// Connects within this time. What waiting doesn't mend, as a wrong password, fails at once.
async fn reach(to: &PgConnectOptions, place: &str, within: Duration) -> Result<(), StoreError> {
    let end = Instant::now() + within;
    let mut pause = Duration::from_millis(50);
    loop {
        let error = match tokio::time::timeout_at(end, PgConnection::connect_with(to)).await {
            Ok(Ok(conn)) => {
                // It was only a try: how it ends doesn't matter.
                let _ = conn.close().await;
                return Ok(());
            }
            Ok(Err(error)) if !is_away(&error) => {
                return Err(StoreError::Refused {
                    place: place.to_owned(),
                    what: error.to_string(),
                });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the connection isn't answered".to_owned(),
        };
        if Instant::now() + pause >= end {
            return Err(StoreError::Away {
                place: place.to_owned(),
                what: format!("{error}; tried for {} s", within.as_secs_f32()),
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// A list of texts as PostgreSQL takes one. SQLite's can fail.
fn list(texts: &BTreeSet<String>) -> Result<Vec<String>, StoreError> {
    let clean = |text: &String| rules::clean(text).into_owned();
    Ok(texts.iter().map(clean).collect())
}

/// Only one at a time adds or revokes a token: each looks at the others.
async fn lock_tokens(conn: &mut Conn) -> Result<(), sqlx::Error> {
    sqlx::query("LOCK TABLE tokens IN SHARE ROW EXCLUSIVE MODE")
        .execute(conn)
        .await?;
    Ok(())
}

/// Only one at a time replaces the pipelines: two at once would insert the same names.
async fn lock_pipelines(conn: &mut Conn) -> Result<(), sqlx::Error> {
    sqlx::query("LOCK TABLE pipelines IN SHARE ROW EXCLUSIVE MODE")
        .execute(conn)
        .await?;
    Ok(())
}

/// Only one at a time looks at the jobs of a group and adds another, until its transaction ends.
async fn lock_group(conn: &mut Conn, group: &str) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('gantry unique ' || $1, 0))")
        .bind(group)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether this transaction may clear up: one at a time does, over all hosts of this store.
async fn lock_retention(conn: &mut Conn) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT pg_try_advisory_xact_lock(hashtext('retention'), hashtext(id)) FROM installation",
    )
    .fetch_one(conn)
    .await
}
