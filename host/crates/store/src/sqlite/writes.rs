//! Rows of jobs in SQLite, a statement each: nothing is far away. What goes into them is in
//! `sql/commit` and `sql/submit`.

use super::{Conn, Store, events};
use crate::error::Fault;
use crate::rules::PRIORITY_MS;
use crate::write::{Changed, JobChange, NewRow, Placed, numbered};
use sqlx::{Row as _, query};

/// Changes what is held under just these leases, and adds the events of those that were changed.
/// None where the lease is lost, or an end is asked for.
pub(super) async fn change_and_tell(
    store: &Store,
    conn: &mut Conn,
    changes: &[&JobChange],
) -> Result<Vec<Option<Changed>>, Fault> {
    let mut done = Vec::with_capacity(changes.len());
    for it in changes {
        let row = query(concat!(
            "UPDATE jobs SET body = $1, status = $2, revision = $3, root = $4, engine = $5, ",
            "finished_at = $6, wait_until = coalesce($7, ",
            now!("$8"),
            " + $9), line = NULL, ready = ($2 = 'queued'), event_seq = event_seq + $10, ",
            "host = CASE WHEN $2 = 'running' THEN host END, ",
            "lease_until = CASE WHEN $2 = 'running' THEN lease_until END ",
            "WHERE id = $11 AND lease = $12 AND host = $13 AND status = 'running' ",
            "AND (NOT cancel_requested OR $14) RETURNING event_seq, group_slot, pipeline_slot"
        ))
        .bind(&it.body)
        .bind(it.status.word())
        .bind(it.revision)
        .bind(&it.root)
        .bind(&it.engine)
        .bind(it.finished_at)
        .bind(it.until)
        .bind(store.now())
        .bind(it.pause)
        .bind(i64::try_from(it.told.len()).unwrap_or(i64::MAX))
        .bind(it.hold.job.0)
        .bind(it.hold.lease.0)
        .bind(&it.hold.host.0)
        .bind(it.ignore_cancel)
        .fetch_optional(&mut *conn)
        .await?;
        let Some(row) = row else {
            done.push(None);
            continue;
        };
        let seq = row.try_get("event_seq")?;
        let told: Vec<_> = numbered(it.hold.job, seq, &it.told).collect();
        events::add(store, conn, &told).await?;
        let slots = (row.try_get("group_slot")?, row.try_get("pipeline_slot")?);
        done.push(Some(Changed { seq, slots }));
    }
    Ok(done)
}

/// Adds jobs; where each stands.
pub(super) async fn insert(
    store: &Store,
    conn: &mut Conn,
    new: &[&NewRow],
) -> Result<Vec<Placed>, Fault> {
    let mut placed = Vec::with_capacity(new.len());
    for it in new {
        let row = query(concat!(
            "INSERT INTO jobs (id, name_folded, pipeline, group_key, priority, revision, status, ",
            "wait_until, line, ready, rank, created_at, submitter, event_seq, body) ",
            "SELECT $1, $2, $3, $4, $5, $6, ",
            "CASE WHEN $7 IS NULL AND line IS NULL THEN 'queued' ELSE 'waiting' END, $7, line, ",
            "$7 IS NULL AND line IS NULL, coalesce($7, ",
            now!("$8"),
            ") - $5 * $9, $10, $11, 1, $12 FROM (SELECT CASE WHEN $7 IS NULL THEN ",
            line!("$3", "$4"),
            " END AS line) AS placed RETURNING number, line"
        ))
        .bind(it.id)
        .bind(&it.name_folded)
        .bind(&it.pipeline)
        .bind(&it.group)
        .bind(it.priority)
        .bind(it.revision)
        .bind(it.until)
        .bind(store.now())
        .bind(PRIORITY_MS)
        .bind(it.created_at)
        .bind(&it.submitter)
        .bind(&it.body)
        .fetch_one(&mut *conn)
        .await?;
        placed.push(Placed {
            number: row.try_get("number")?,
            line: row.try_get("line")?,
        });
    }
    Ok(placed)
}

/// The lines that these jobs stand in by now.
pub(super) async fn lines(conn: &mut Conn, new: &[&NewRow]) -> Result<Vec<Option<String>>, Fault> {
    let mut found = Vec::with_capacity(new.len());
    for it in new {
        let row = query("SELECT line FROM jobs WHERE id = $1")
            .bind(it.id)
            .fetch_one(&mut *conn)
            .await?;
        found.push(row.try_get(0)?);
    }
    Ok(found)
}
