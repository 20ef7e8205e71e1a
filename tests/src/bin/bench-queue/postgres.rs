//! A database of a row's own on the one cluster, and jobs in it by the hundred thousand: copies,
//! in SQL, of one that the store took in. It knows columns only by asking for them.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, PgPool, Row as _};
use store::{ApiStore as _, NewJob, Options, Postgres, Submitted};
use tests::harness::{Database, Part, Parts};

use crate::pipeline;

/// Rows of one statement, so that none takes minutes.
const CHUNK: i64 = 100_000;
/// What a copy has of its own.
const OWN: [&str; 3] = ["number", "xid", "id"];

/// A database with Gantry's tables.
pub(crate) struct Bed {
    /// For what is looked at from outside.
    pub(crate) pool: PgPool,
    /// As hosts have it.
    pub(crate) store: Arc<Postgres>,
    database: Database,
}

/// An empty database; none without a server.
pub(crate) async fn database() -> Option<Database> {
    Some(Database::new(Parts::of("bench-queue", &[Part::Postgres])?).await)
}

/// Statements that are made here, of names that the database gave.
pub(crate) async fn run(pool: &PgPool, sql: &str) -> u64 {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await;
    done.unwrap_or_else(|error| panic!("{error}: {sql}"))
        .rows_affected()
}

/// A number that a statement gives.
pub(crate) async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    let row = sqlx::query(sql).fetch_one(pool).await;
    row.and_then(|row| row.try_get(0))
        .unwrap_or_else(|error| panic!("{error}: {sql}"))
}

impl Bed {
    /// With its tables, and the job to be copied put aside. None without a server.
    pub(crate) async fn new() -> Option<Self> {
        let database = database().await?;
        let options = Options::default();
        let store = Postgres::connect(&database.url(), options).await.unwrap();
        let pool = PgPool::connect(&database.url()).await.unwrap();
        let new = NewJob::of(pipeline::job("a job of a benchmark"));
        let Submitted::New(job) = store.submit(&new).await.unwrap() else {
            panic!("a first job is new");
        };
        let id = job.id.0;
        for (copy, table, key) in [
            ("job_to_copy", "jobs", "id"),
            ("event_to_copy", "events", "job"),
        ] {
            let aside = format!(
                "CREATE TABLE {copy} AS SELECT * FROM {table} WHERE {key} = '{id}'; \
                 DELETE FROM {table} WHERE {key} = '{id}'"
            );
            run(&pool, &aside).await;
        }
        Some(Self {
            pool,
            store: Arc::new(store),
            database,
        })
    }

    /// What `DATABASE_URL` takes.
    pub(crate) fn url(&self) -> String {
        self.database.url()
    }

    /// Adds `jobs` queued jobs, each with its event, in the order of their ids.
    pub(crate) async fn fill(&self, jobs: i64) {
        self.fill_with(jobs, &[]).await;
    }

    /// The same, with other values in some columns of their rows.
    pub(crate) async fn fill_with(&self, jobs: i64, values: &[(&str, &str)]) {
        let (columns, exprs) = self.copy_of("jobs", values).await;
        let (told, told_exprs) = self.copy_of("events", &[]).await;
        let mut left = jobs;
        while left > 0 {
            let now = left.min(CHUNK);
            // Ids as hosts make them, version 7: they begin with the time in milliseconds.
            let sql = format!(
                "WITH began AS MATERIALIZED (SELECT CAST(extract(epoch FROM clock_timestamp()) \
                 * 1000 AS bigint) AS ms), new AS MATERIALIZED (SELECT CAST(overlay(overlay( \
                 CAST(gen_random_uuid() AS text) PLACING left(ms, 8) FROM 1 FOR 8) \
                 PLACING right(ms, 4) || '-7' FROM 10 FOR 6) AS uuid) AS id FROM (SELECT \
                 lpad(to_hex(began.ms + n / 10), 12, '0') AS ms FROM began, \
                 generate_series(1, {now}) AS n) AS numbered), added AS (INSERT INTO jobs \
                 ({columns}) SELECT {exprs} FROM new, job_to_copy AS old) \
                 INSERT INTO events ({told}) SELECT {told_exprs} FROM new, event_to_copy AS old"
            );
            run(&self.pool, &sql).await;
            left -= now;
        }
    }

    /// Wakes hosts that rest, as the one would that had taken the jobs in.
    pub(crate) async fn wake(&self) {
        let sql = "SELECT pg_notify('gantry_' || id, 'bench r') FROM installation";
        run(&self.pool, sql).await;
    }

    /// When the first job was started, and when each ended well, in ms.
    pub(crate) async fn times(&self) -> (i64, Vec<i64>) {
        let sql = "SELECT min(at) FROM events WHERE kind = 'job.started'";
        let begun = number(&self.pool, sql).await;
        let sql = "SELECT at FROM events WHERE kind = 'job.succeeded'";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await.unwrap();
        (begun, rows.iter().map(|row| row.get(0)).collect())
    }

    /// Statistics and the visibility map, as autovacuum would have left them.
    pub(crate) async fn settle(&self) {
        run(&self.pool, "VACUUM ANALYZE").await;
        run(&self.pool, "CHECKPOINT").await;
    }

    /// The columns of a table that a copy writes, and what into them.
    async fn copy_of(&self, table: &str, values: &[(&str, &str)]) -> (String, String) {
        let columns = self.columns(table).await;
        let exprs: Vec<String> = columns
            .iter()
            .map(|column| {
                let given = values.iter().find(|(name, _)| name == column);
                match (given, table, column.as_str()) {
                    (Some((_, value)), ..) => (*value).to_owned(),
                    (None, "jobs", "id") | (None, "events", "job") => "new.id".to_owned(),
                    (None, "jobs", "body") => {
                        "replace(old.body, CAST(old.id AS text), CAST(new.id AS text))".to_owned()
                    }
                    _ => format!("old.{column}"),
                }
            })
            .collect();
        (columns.join(", "), exprs.join(", "))
    }

    /// The columns of a table that no default fills.
    async fn columns(&self, table: &str) -> Vec<String> {
        let own = |column: &String| {
            OWN.contains(&column.as_str()) && !(table == "jobs" && column == "id")
        };
        let rows = sqlx::query(
            "SELECT CAST(column_name AS text) FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
        )
        .bind(table)
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let mut columns: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        columns.retain(|column| !own(column));
        columns
    }

    /// One statement that inserts the rows of a submit, as another client would write it; the
    /// job's body is the parameter `:body`, which is given beside it.
    pub(crate) async fn insert_by_hand(&self) -> (String, String) {
        let columns = self.columns("jobs").await;
        let mut values = Vec::new();
        for column in &columns {
            values.push(match column.as_str() {
                "id" => "gen_random_uuid()".to_owned(),
                "body" => ":body".to_owned(),
                _ => self.literal("job_to_copy", column).await,
            });
        }
        let told = self.columns("events").await;
        let mut told_values = Vec::new();
        for column in &told {
            told_values.push(match column.as_str() {
                "job" => "added.id".to_owned(),
                _ => self.literal("event_to_copy", column).await,
            });
        }
        let script = format!(
            "WITH added AS (INSERT INTO jobs ({}) VALUES ({}) RETURNING id) \
             INSERT INTO events ({}) SELECT {} FROM added;",
            columns.join(", "),
            values.join(", "),
            told.join(", "),
            told_values.join(", "),
        );
        let sql = "SELECT body FROM job_to_copy";
        let row = sqlx::query(sql).fetch_one(&self.pool).await.unwrap();
        (script, row.get(0))
    }

    async fn literal(&self, table: &str, column: &str) -> String {
        let sql = format!("SELECT quote_nullable(CAST({column} AS text)) FROM {table}");
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.pool).await;
        row.unwrap().get(0)
    }
}
