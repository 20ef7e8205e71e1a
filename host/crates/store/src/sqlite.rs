//! The store in an SQLite file, for one process with the role `all`. It doesn't keep a second
//! process away: `GANTRY_DATA` is locked by the host.

use crate::error::Fault;
use crate::lane::Lane;
use crate::live::Live;
use crate::rules;
use crate::taker::Stand;
use crate::wake::Bell;
use crate::write::{JobChange, NewRow};
use crate::{Clock, Committed, Options, StoreError, Submitted, Wake, migrate};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqliteConnection, SqlitePool, Transaction};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Now in ms: the test's where it gives one.
macro_rules! now {
    ($given:literal) => {
        concat!(
            "coalesce(CAST(",
            $given,
            " AS bigint), CAST(unixepoch('subsec') * 1000 AS bigint))"
        )
    };
}
/// There is one writer at a time: a row needs no lock of its own.
macro_rules! lock {
    () => {
        ""
    };
}
/// Whether a host with these roots and engines may begin a job, or go on with it.
macro_rules! may_take {
    ($roots:literal, $engines:literal) => {
        concat!(
            "(root IS NULL OR root IN (SELECT value FROM json_each(",
            $roots,
            "))) AND (engine IS NULL OR engine IN (SELECT value FROM json_each(",
            $engines,
            "))) ",
            not_paused!()
        )
    };
}
/// Which of the rows that were chosen before.
macro_rules! among {
    ($chosen:literal) => {
        concat!(" IN (SELECT id FROM ", $chosen, ")")
    };
}
/// Whether a column's text is in a list, as [`list`] gives it.
macro_rules! in_list {
    ($column:literal, $list:literal) => {
        concat!($column, " IN (SELECT value FROM json_each(", $list, "))")
    };
}
macro_rules! lock_shared {
    () => {
        ""
    };
}
macro_rules! skip_locked {
    () => {
        ""
    };
}
macro_rules! job_columns {
    () => {
        "jobs.id, jobs.number, jobs.status, jobs.wait_until, jobs.cancel_requested, jobs.host, \
         jobs.engine, jobs.line, CASE WHEN jobs.line = 'group' THEN (SELECT CASE WHEN gates.rate_jobs IS NOT NULL THEN gates.open_at END FROM gates \
         WHERE gates.kind = 'group' AND gates.name = jobs.group_key) END AS line_until, \
         jobs.group_key, jobs.pipeline, jobs.body, (SELECT json_group_array(sites.slug) \
         FROM sites WHERE sites.job = jobs.id) AS live"
    };
}
macro_rules! event_columns {
    () => {
        "0 AS xid, id, job, seq, kind, at, phase, attempt, data"
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
mod writes;

type Face = Sqlite;
type Conn = SqliteConnection;
type Row = sqlx::sqlite::SqliteRow;

/// A store in an SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    store: Arc<Store>,
    commits: Lane<JobChange, Committed>,
    submits: Lane<NewRow, Submitted>,
}

/// What calls and lanes share.
#[derive(Debug)]
struct Store {
    /// One connection: SQLite has one writer, and who waits here doesn't meet `SQLITE_BUSY`.
    writer: SqlitePool,
    readers: SqlitePool,
    clock: Clock,
    call_within: Duration,
    place: String,
    stand: Stand,
    bell: Bell,
    live: Live,
}

impl Sqlite {
    /// Opens the file, or makes it, and brings the schema up to date. Its folder must be there.
    ///
    /// # Errors
    /// [`StoreError`], which names the file.
    pub async fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let place = format!("SQLite at {}", path.display());
        let sql = |error: sqlx::Error| Fault::from(error).at(&place);
        // SQLite's own words for it name neither the folder nor the mend.
        if let Some(folder) = missing_folder(path) {
            return Err(StoreError::Refused {
                what: format!("there is no folder {}: make it first", folder.display()),
                place,
            });
        }
        // FULL, not NORMAL: with NORMAL a power cut takes back the last commits, and an agent's
        // run that had ended would be run again.
        let to = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(options.call_within)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool(1).connect_with(to.clone()).await.map_err(sql)?;
        migrate::sqlite()
            .run(&writer)
            .await
            .map_err(|source| StoreError::Migrate {
                place: place.clone(),
                source,
            })?;
        let readers = pool(options.connections.max(1))
            .connect_lazy_with(to.pragma("query_only", "ON").create_if_missing(false));
        Ok(Self::of(Store {
            writer,
            readers,
            clock: options.clock,
            call_within: options.call_within,
            place,
            stand: Stand::default(),
            bell: Bell::new(),
            live: Live::here(),
        }))
    }
}

/// The folder that the file would lie in, where there is none.
fn missing_folder(path: &Path) -> Option<&Path> {
    let folder = path.parent()?;
    (!folder.as_os_str().is_empty() && !folder.is_dir()).then_some(folder)
}

impl Store {
    /// The writer, locked at once: a lock that is taken later can't wait for its turn.
    async fn begin(&self) -> Result<Transaction<'static, sqlx::Sqlite>, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// For what is one statement elsewhere, and is some of them here; see [`Store::end`].
    async fn single(&self) -> Result<Transaction<'static, sqlx::Sqlite>, sqlx::Error> {
        self.begin().await
    }

    async fn end(&self, tx: Transaction<'static, sqlx::Sqlite>) -> Result<(), sqlx::Error> {
        tx.commit().await
    }

    fn reads(&self) -> &SqlitePool {
        &self.readers
    }

    /// Wakes this process: there is no other. Only after the commit.
    fn ring(&self, wakes: Vec<Wake>) {
        let mut rung = HashSet::with_capacity(wakes.len());
        for wake in wakes.into_iter().filter(|wake| rung.insert(*wake)) {
            self.bell.ring(wake);
        }
    }
}

/// A list of texts as SQLite takes one: JSON.
fn list(texts: &BTreeSet<String>) -> Result<String, StoreError> {
    rules::json(texts)
}

/// Nothing to lock: see [`lock!`].
async fn lock_tokens(_: &mut Conn) -> Result<(), sqlx::Error> {
    Ok(())
}

/// Nothing to lock: see [`lock!`].
async fn lock_pipelines(_: &mut Conn) -> Result<(), sqlx::Error> {
    Ok(())
}

/// Nothing to lock: see [`lock!`].
async fn lock_group(_: &mut Conn, _: &str) -> Result<(), sqlx::Error> {
    Ok(())
}

/// There is one writer, and it has the lock.
async fn lock_retention(_: &mut Conn) -> Result<bool, sqlx::Error> {
    Ok(true)
}
