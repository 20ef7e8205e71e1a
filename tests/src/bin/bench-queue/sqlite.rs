//! An SQLite file with jobs by the ten thousand: copies, in SQL, of one that the store took in.
//! No host may run while it is filled.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use store::{ApiStore as _, NewJob, Options, Sqlite};

use crate::pipeline;

/// A file with Gantry's tables.
pub(crate) struct Bed {
    path: PathBuf,
    /// The job to be copied.
    job: String,
}

impl Bed {
    /// In this folder.
    pub(crate) async fn new(folder: &Path) -> Self {
        let path = folder.join("bench.db");
        let store = Sqlite::open(&path, Options::default()).await.unwrap();
        let job = pipeline::job("a job of a benchmark");
        let id = job.id.0.to_string();
        let new = NewJob::of(job);
        store.submit(&new).await.unwrap();
        Self { path, job: id }
    }

    /// What `DATABASE_URL` takes.
    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    async fn open(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(&self.path);
        options.connect().await.unwrap()
    }

    /// Adds `jobs` queued jobs, each with its event, in the order of their ids.
    pub(crate) async fn fill(&self, jobs: i64) {
        let mut conn = self.open().await;
        // Ids as hosts make them, version 7: they begin with the time in milliseconds.
        let new = format!(
            "CREATE TEMP TABLE old AS SELECT id FROM jobs; \
             CREATE TEMP TABLE new AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL \
             SELECT n + 1 FROM n WHERE n < {jobs}), hex AS MATERIALIZED (SELECT n, printf('%012x', \
             CAST(unixepoch('subsec') * 1000 AS integer) + n / 10) || '7' || \
             lower(substr(hex(randomblob(2)), 1, 3)) || '8' || \
             lower(substr(hex(randomblob(8)), 1, 15)) AS h FROM n) \
             SELECT n, unhex(h) AS id, substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-' || \
             substr(h, 13, 4) || '-' || substr(h, 17, 4) || '-' || substr(h, 21) AS text FROM hex"
        );
        run(&mut conn, &new).await;
        for (table, key, own) in [("jobs", "id", "number"), ("events", "job", "id")] {
            let mut columns = columns(&mut conn, table).await;
            columns.retain(|column| column != own);
            let exprs: Vec<String> = columns
                .iter()
                .map(|column| match column.as_str() {
                    column if column == key => "new.id".to_owned(),
                    "body" => format!("replace(t.body, '{}', new.text)", self.job),
                    column => format!("t.{column}"),
                })
                .collect();
            let (columns, exprs) = (columns.join(", "), exprs.join(", "));
            let copy = format!(
                "INSERT INTO {table} ({columns}) SELECT {exprs} FROM temp.new AS new, {table} AS t \
                 WHERE t.{key} IN (SELECT id FROM temp.old) ORDER BY new.n"
            );
            run(&mut conn, &copy).await;
        }
        run(&mut conn, "ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)").await;
        conn.close().await.unwrap();
    }

    /// Whether a job has begun.
    pub(crate) async fn begun(&self) -> bool {
        let mut conn = self.open().await;
        let sql = "SELECT 1 FROM events WHERE kind = 'job.started' LIMIT 1";
        let row = sqlx::query(sql).fetch_optional(&mut conn).await.unwrap();
        row.is_some()
    }

    /// When the first job was started, and when each ended well, in ms.
    pub(crate) async fn times(&self) -> (i64, Vec<i64>) {
        let mut conn = self.open().await;
        let sql = "SELECT min(at) FROM events WHERE kind = 'job.started'";
        let begun = sqlx::query(sql).fetch_one(&mut conn).await.unwrap().get(0);
        let sql = "SELECT at FROM events WHERE kind = 'job.succeeded'";
        let rows = sqlx::query(sql).fetch_all(&mut conn).await.unwrap();
        (begun, rows.iter().map(|row| row.get(0)).collect())
    }
}

async fn columns(conn: &mut SqliteConnection, table: &str) -> Vec<String> {
    let rows = sqlx::query("SELECT name FROM pragma_table_info($1)")
        .bind(table)
        .fetch_all(conn)
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Statements that are made here, of names that the database gave.
async fn run(conn: &mut SqliteConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await;
    done.unwrap_or_else(|error| panic!("{error}: {sql}"));
}
