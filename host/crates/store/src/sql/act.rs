//! What people do with a job that is there: act, delete. What follows from an input, `pipeline::step` says.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::lines::{self, Door};
use super::{Conn, Row, Store, events, retain, rows};
use crate::error::Fault;
use crate::rules::{self, PRIORITY_MS, clean};
use crate::write::{Told, numbered};
use crate::{Acted, Deleted, Wake};
use pipeline::{
    IllegalTransition, Input, InputName, Job, JobId, Limits, RootId, StateName, Status, Step,
    Timestamp, step,
};
use sqlx::{Row as _, query};
use std::collections::BTreeSet;

pub(super) async fn act(
    store: &Store,
    id: JobId,
    input: Input,
    limits: &Limits,
    now: Timestamp,
) -> Result<Acted, Fault> {
    let mut tx = store.begin().await?;
    let row = query(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE id = $1",
        lock!()
    ))
    .bind(id.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else {
        return Ok(Acted::NotFound);
    };
    let mut job = rows::job(&row)?;
    if job.status == Status::Running {
        if input != Input::Cancel {
            return Ok(Acted::Illegal(IllegalTransition {
                state: StateName::of(&job),
                input: InputName::of(&input),
            }));
        }
        query("UPDATE jobs SET cancel_requested = true WHERE id = $1")
            .bind(id.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        store.ring(vec![Wake::Cancel(id)]);
        job.cancel_requested = true;
        return Ok(Acted::Done(Box::new(job)));
    }
    if let Some(not) = retain::without_workspace(store, &mut tx, &job, &input).await? {
        return Ok(not);
    }
    let step = match step(&job, input, limits, now) {
        Ok(step) => step,
        Err(illegal) => return Ok(Acted::Illegal(illegal)),
    };
    let wakes = rest(store, &mut tx, &step, now).await?;
    tx.commit().await?;
    store.ring(wakes);
    Ok(Acted::Done(Box::new(step.next)))
}

/// Writes what follows for a job that nobody holds, and whose row is locked. Whom to wake.
pub(super) async fn rest(
    store: &Store,
    conn: &mut Conn,
    step: &Step,
    now: Timestamp,
) -> Result<Vec<Wake>, Fault> {
    let job = &step.next;
    let told = Told::kept(&step.events)?;
    let row = write(store, conn, job, now, told.len()).await?;
    let numbered: Vec<_> = numbered(job.id, row.try_get("event_seq")?, &told).collect();
    events::add(store, conn, &numbered).await?;
    // It leaves its place, if it had one, and comes anew.
    let group = job.group.as_deref().map(clean);
    let pipeline = clean(&job.spec.name);
    let slots = (row.try_get("group_slot")?, row.try_get("pipeline_slot")?);
    let mut doors: BTreeSet<Door> = lines::left(group.as_deref(), &pipeline, slots).collect();
    let line: Option<String> = row.try_get("line")?;
    doors.extend(lines::entered(line.as_deref(), group.as_deref(), &pipeline));
    lines::open(store, conn, doors).await?;
    Ok(rules::wakes(job, told.len(), false))
}

/// Writes the row of a job that nobody holds, and that is locked. One that is to run again comes
/// anew: behind those of its priority.
async fn write(
    store: &Store,
    conn: &mut Conn,
    job: &Job,
    now: Timestamp,
    told: usize,
) -> Result<Row, Fault> {
    let (until, pause) = rules::wait(job, now);
    let row = query(concat!(
        "UPDATE jobs SET body = $1, revision = $2, finished_at = $3, ",
        "wait_until = coalesce(CAST($4 AS bigint), ",
        now!("$5"),
        " + CAST($6 AS bigint)), ",
        "status = CASE WHEN CAST($7 AS text) = 'queued' AND way.line IS NOT NULL THEN 'waiting' ",
        "ELSE $7 END, ",
        "line = CASE WHEN CAST($7 AS text) = 'queued' THEN way.line END, ",
        "ready = (CAST($7 AS text) = 'queued' AND way.line IS NULL), ",
        "rank = CASE WHEN CAST($7 AS text) = 'queued' THEN ",
        now!("$5"),
        " - CAST(priority AS bigint) * $8 ELSE rank END, ",
        "engine = NULL, cancel_requested = $9, event_seq = event_seq + $10 FROM (SELECT id AS job, ",
        line!("jobs.pipeline", "jobs.group_key"),
        " AS line FROM jobs WHERE id = $11) AS way WHERE id = way.job ",
        "RETURNING jobs.event_seq, jobs.line, jobs.group_slot, jobs.pipeline_slot"
    ))
    .bind(rules::body(job)?)
    .bind(i64::from(job.revision))
    .bind(job.finished_at.map(Timestamp::as_millis))
    .bind(until)
    .bind(store.now())
    .bind(pause)
    .bind(job.status.word())
    .bind(PRIORITY_MS)
    .bind(job.cancel_requested)
    .bind(i64::try_from(told).unwrap_or(i64::MAX))
    .bind(job.id.0)
    .fetch_one(conn)
    .await?;
    Ok(row)
}

pub(super) async fn delete(store: &Store, id: JobId) -> Result<Deleted, Fault> {
    let mut tx = store.begin().await?;
    let row = query(concat!(
        "SELECT status, root, group_key, pipeline, group_slot, pipeline_slot ",
        "FROM jobs WHERE id = $1",
        lock!()
    ))
    .bind(id.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else {
        return Ok(Deleted::NotFound);
    };
    let status: String = row.try_get("status")?;
    if status == Status::Running.word() {
        return Ok(Deleted::Running);
    }
    let root: Option<String> = row.try_get("root")?;
    let sites = query("DELETE FROM sites WHERE job = $1")
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
    delete_rows(&mut tx, id).await?;
    let group: Option<&str> = row.try_get("group_key")?;
    let slots = (row.try_get("group_slot")?, row.try_get("pipeline_slot")?);
    let doors = lines::left(group, row.try_get("pipeline")?, slots).collect();
    lines::open(store, &mut tx, doors).await?;
    tx.commit().await?;
    let mut wakes = vec![Wake::Events(Some(id)), Wake::Ready];
    if sites.rows_affected() > 0 {
        wakes.push(Wake::Sites);
    }
    store.ring(wakes);
    Ok(Deleted::Done(root.map(RootId)))
}

/// Deletes a job and all that is its, but for its sites.
pub(super) async fn delete_rows(conn: &mut Conn, id: JobId) -> Result<(), sqlx::Error> {
    for sql in [
        "DELETE FROM slugs WHERE job = $1",
        "DELETE FROM events WHERE job = $1",
        "DELETE FROM logs WHERE job = $1",
        "DELETE FROM outputs WHERE job = $1",
        "DELETE FROM plugin_calls WHERE job = $1",
        "DELETE FROM blobs WHERE owner = $1",
        "DELETE FROM requests WHERE job = $1",
        "DELETE FROM workspaces_gone WHERE job = $1",
        "DELETE FROM accounts WHERE job = $1",
        "DELETE FROM budgets WHERE job = $1",
        "DELETE FROM jobs WHERE id = $1",
    ] {
        query(sql).bind(id.0).execute(&mut *conn).await?;
    }
    Ok(())
}
