//! Clearing up, a short transaction a step, and what a job that is set going again without its
//! workspace is told. What is to go, `pipeline::Retention` says.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Face, Row, Store, act, events};
use crate::error::Fault;
use crate::retention::{EndedPage, RetentionStore, STEP, Trim, Trimmed};
use crate::rules::millis;
use crate::{Acted, StoreError};
use async_trait::async_trait;
use pipeline::{EndedJob, HostId, Input, Job, JobId, Level, LogLine, RootId, Timestamp};
use sqlx::{Row as _, query};
use std::collections::HashMap;
use std::time::Duration;

/// A host that began to remove a workspace and wasn't heard of since is taken to be gone.
const REMOVED_WITHIN_MS: i64 = 3_600_000;

#[async_trait]
impl RetentionStore for Face {
    async fn ended_after(&self, number: i64) -> Result<EndedPage, StoreError> {
        self.store.within(ended_after(&self.store, number)).await
    }

    async fn ended(&self, jobs: &[JobId]) -> Result<HashMap<JobId, Duration>, StoreError> {
        self.store.within(ended(&self.store, jobs)).await
    }

    async fn trim(&self, trim: Trim, older: Duration) -> Result<Trimmed, StoreError> {
        self.store
            .within(self::trim(&self.store, trim, older))
            .await
    }

    async fn forget(&self, job: JobId, older: Duration) -> Result<Trimmed, StoreError> {
        self.store.within(forget(&self.store, job, older)).await
    }

    async fn remove_workspace(
        &self,
        job: JobId,
        root: &RootId,
        host: &HostId,
    ) -> Result<bool, StoreError> {
        self.store
            .within(remove_workspace(&self.store, job, root, host))
            .await
    }

    async fn workspace_removed(&self, job: JobId, host: &HostId) -> Result<(), StoreError> {
        self.store
            .within(workspace_removed(&self.store, job, host))
            .await
    }
}

async fn ended_after(store: &Store, number: i64) -> Result<EndedPage, Fault> {
    let found = query(concat!(
        "SELECT id, number, finished_at, ",
        now!("$1"),
        " AS now, created_at, EXISTS (SELECT 1 FROM sites WHERE job = jobs.id) AS live, ",
        "EXISTS (SELECT 1 FROM logs WHERE job = jobs.id) AS has_lines, ",
        "EXISTS (SELECT 1 FROM events WHERE job = jobs.id AND seq < jobs.event_seq) AS has_events ",
        "FROM jobs WHERE number > $2 ORDER BY number LIMIT $3"
    ))
    .bind(store.now())
    .bind(number)
    .bind(i64::from(STEP))
    .fetch_all(store.reads())
    .await?;
    let mut page = EndedPage {
        items: Vec::new(),
        last: None,
        submitted: Duration::ZERO,
    };
    for row in &found {
        page.last = Some(row.try_get("number")?);
        page.submitted = age(row, row.try_get("created_at")?)?;
        // Only what has ended has an end: an act that sets it going takes it away.
        if let Some(at) = row.try_get::<Option<i64>, _>("finished_at")? {
            page.items.push(EndedJob {
                job: JobId(row.try_get("id")?),
                age: age(row, at)?,
                live: row.try_get("live")?,
                has_lines: row.try_get("has_lines")?,
                has_events: row.try_get("has_events")?,
            });
        }
    }
    Ok(page)
}

/// From `at` to the row's `now`.
fn age(row: &Row, at: i64) -> Result<Duration, Fault> {
    let now = Timestamp::from_millis(row.try_get("now")?);
    Ok(now.since(Timestamp::from_millis(at)))
}

async fn ended(store: &Store, jobs: &[JobId]) -> Result<HashMap<JobId, Duration>, Fault> {
    let mut ended = HashMap::new();
    for job in jobs {
        let row = query(concat!(
            "SELECT finished_at, ",
            now!("$1"),
            " AS now FROM jobs WHERE id = $2 AND status IN ('succeeded', 'failed', 'cancelled')"
        ))
        .bind(store.now())
        .bind(job.0)
        .fetch_optional(store.reads())
        .await?;
        if let Some(row) = row
            && let Some(at) = row.try_get::<Option<i64>, _>("finished_at")?
        {
            ended.insert(*job, age(&row, at)?);
        }
    }
    Ok(ended)
}

async fn trim(store: &Store, trim: Trim, older: Duration) -> Result<Trimmed, Fault> {
    let mut tx = store.begin().await?;
    if !super::lock_retention(&mut tx).await? {
        return Ok(Trimmed::Busy);
    }
    let older = millis(older);
    let limit = i64::from(STEP);
    let statement = match trim {
        Trim::Logs(job) => query(concat!(
            "DELETE FROM logs WHERE job = $2 AND seq IN (SELECT logs.seq FROM logs JOIN jobs ",
            "ON jobs.id = logs.job WHERE logs.job = $2 AND jobs.status IN ",
            "('succeeded', 'failed', 'cancelled') AND jobs.finished_at <= ",
            now!("$1"),
            " - $3 ORDER BY logs.seq LIMIT $4)"
        ))
        .bind(store.now())
        .bind(job.0)
        .bind(older)
        .bind(limit),
        // The last one says how the job ended, and its number goes on.
        Trim::Events(job) => query(concat!(
            "DELETE FROM events WHERE job = $2 AND seq IN (SELECT events.seq FROM events JOIN jobs ",
            "ON jobs.id = events.job WHERE events.job = $2 AND events.seq < jobs.event_seq ",
            "AND jobs.status IN ('succeeded', 'failed', 'cancelled') AND jobs.finished_at <= ",
            now!("$1"),
            " - $3 ORDER BY events.seq LIMIT $4)"
        ))
        .bind(store.now())
        .bind(job.0)
        .bind(older)
        .bind(limit),
        Trim::Others => query(concat!(
            "DELETE FROM events WHERE job IS NULL AND id IN (SELECT id FROM events ",
            "WHERE job IS NULL AND at <= ",
            now!("$1"),
            " - $2 ORDER BY at LIMIT $3)"
        ))
        .bind(store.now())
        .bind(older)
        .bind(limit),
    };
    let done = statement.execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(Trimmed::Rows(done.rows_affected()))
}

async fn forget(store: &Store, job: JobId, older: Duration) -> Result<Trimmed, Fault> {
    let mut tx = store.begin().await?;
    if !super::lock_retention(&mut tx).await? {
        return Ok(Trimmed::Busy);
    }
    let due = query(concat!(
        "SELECT 1 FROM jobs WHERE id = $2 AND status IN ('succeeded', 'failed', 'cancelled') ",
        "AND finished_at <= ",
        now!("$1"),
        " - $3 AND NOT EXISTS (SELECT 1 FROM sites WHERE job = jobs.id)",
        lock!()
    ))
    .bind(store.now())
    .bind(job.0)
    .bind(millis(older))
    .fetch_optional(&mut *tx)
    .await?;
    if due.is_none() {
        return Ok(Trimmed::Rows(0));
    }
    act::delete_rows(&mut tx, job).await?;
    tx.commit().await?;
    store.ring(vec![crate::Wake::Events(Some(job))]);
    Ok(Trimmed::Rows(1))
}

async fn remove_workspace(
    store: &Store,
    job: JobId,
    root: &RootId,
    host: &HostId,
) -> Result<bool, Fault> {
    let mut tx = store.begin().await?;
    // The job's row first: its lock orders this and whoever sets the job going.
    let ended = query(concat!(
        "SELECT 1 FROM jobs WHERE id = $1 AND root = $2 ",
        "AND status IN ('succeeded', 'failed', 'cancelled')",
        lock!()
    ))
    .bind(job.0)
    .bind(&root.0)
    .fetch_optional(&mut *tx)
    .await?;
    if ended.is_none() {
        return Ok(false);
    }
    let done = query(concat!(
        "INSERT INTO workspaces_gone (job, host, at, going) VALUES ($2, $3, ",
        now!("$1"),
        ", true) ON CONFLICT (job) DO UPDATE SET host = excluded.host, at = excluded.at, ",
        "going = true WHERE workspaces_gone.host = excluded.host OR NOT workspaces_gone.going ",
        "OR workspaces_gone.at < excluded.at - $4"
    ))
    .bind(store.now())
    .bind(job.0)
    .bind(&host.0)
    .bind(REMOVED_WITHIN_MS)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

async fn workspace_removed(store: &Store, job: JobId, host: &HostId) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    query("UPDATE workspaces_gone SET going = false WHERE job = $1 AND host = $2")
        .bind(job.0)
        .bind(&host.0)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Whether a job, whose row is locked, may be set going as far as its workspace is concerned: what
/// it is told where not. One that begins from its first phase may begin with an empty one, and its
/// log says so.
pub(super) async fn without_workspace(
    store: &Store,
    conn: &mut Conn,
    job: &Job,
    input: &Input,
) -> Result<Option<Acted>, Fault> {
    let from = match input {
        Input::Retry { .. } => job.at.map_or(0, |at| at.phase),
        Input::Feedback { .. } => 0,
        _ => return Ok(None),
    };
    let row = query("SELECT at, going FROM workspaces_gone WHERE job = $1")
        .bind(job.id.0)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let at = Timestamp::from_millis(row.try_get("at")?);
    let going: bool = row.try_get("going")?;
    if going || from > 0 {
        return Ok(Some(Acted::WorkspaceGone { at, going }));
    }
    query("DELETE FROM workspaces_gone WHERE job = $1")
        .bind(job.id.0)
        .execute(&mut *conn)
        .await?;
    let seq = query("UPDATE jobs SET log_seq = log_seq + 1 WHERE id = $1 RETURNING log_seq")
        .bind(job.id.0)
        .fetch_one(&mut *conn)
        .await?
        .try_get(0)?;
    let line = LogLine {
        seq: 0,
        at: Timestamp::default(),
        phase: None,
        attempt: None,
        level: Level::Warn,
        text: format!("the workspace was removed at {at}: this begins with an empty one"),
    };
    events::add_lines(store, conn, job.id, seq, &[line]).await?;
    Ok(None)
}
