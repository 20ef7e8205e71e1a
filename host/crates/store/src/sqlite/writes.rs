//! Rows of jobs in SQLite, many in a statement: the file is near, but each statement is a way to
//! the connection's thread and back. What goes into them is in `sql/commit` and `sql/submit`.

use super::{Conn, Row, Store, events};
use crate::Ask;
use crate::error::Fault;
use crate::rules::{self, PRIORITY_MS, millis};
use crate::write::{Changed, JobChange, NewRow, Numbered, Placed, numbered};
use sqlx::{Row as _, query};
use std::collections::HashMap;
use uuid::Uuid;

/// What becomes of the changed rows, which are a JSON list of lists: see [`given`]. One that runs
/// on has its lease until then.
macro_rules! changed {
    ($lease_until:expr, $where:expr) => {
        concat!(
            "WITH given AS MATERIALIZED (SELECT unhex(value ->> 0, '-') AS id, ",
            "value ->> 1 AS lease, value ->> 2 AS host, value ->> 3 AS body, ",
            "value ->> 4 AS status, value ->> 5 AS revision, value ->> 6 AS root, ",
            "value ->> 7 AS engine, value ->> 8 AS finished_at, value ->> 9 AS until, ",
            "value ->> 10 AS pause, value ->> 11 AS told, value ->> 12 AS ignore ",
            "FROM json_each($1)) ",
            "UPDATE jobs SET body = given.body, status = given.status, ",
            "revision = given.revision, root = given.root, engine = given.engine, ",
            "finished_at = given.finished_at, wait_until = coalesce(given.until, ",
            now!("$2"),
            " + given.pause), line = NULL, ready = (given.status = 'queued'), ",
            "event_seq = jobs.event_seq + given.told, lease = given.lease, ",
            "host = CASE WHEN given.status = 'running' THEN given.host END, ",
            "lease_until = CASE WHEN given.status = 'running' THEN ",
            $lease_until,
            " END FROM given WHERE jobs.id = given.id AND ",
            $where,
            " RETURNING id, event_seq, group_slot, pipeline_slot"
        )
    };
}

fn given(changes: &[&JobChange]) -> Result<String, Fault> {
    let rows = changes.iter().map(|it| {
        (
            it.hold.job,
            it.hold.lease.0,
            &it.hold.host.0,
            &it.body,
            it.status.word(),
            it.revision,
            &it.root,
            &it.engine,
            it.finished_at,
            it.until,
            it.pause,
            it.told.len(),
            it.ignore_cancel,
        )
    });
    Ok(rules::json(&rows.collect::<Vec<_>>())?)
}

/// Adds the events of those that were changed; which, in the order of the changes.
async fn tell(
    store: &Store,
    conn: &mut Conn,
    rows: Vec<Row>,
    changes: &[&JobChange],
) -> Result<Vec<Option<Changed>>, Fault> {
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let changed = Changed {
            seq: row.try_get("event_seq")?,
            slots: (row.try_get("group_slot")?, row.try_get("pipeline_slot")?),
        };
        found.insert(row.try_get::<Uuid, _>("id")?, changed);
    }
    let mut done = Vec::with_capacity(changes.len());
    let mut told = Vec::new();
    for it in changes {
        let changed = found.remove(&it.hold.job.0);
        if let Some(Changed { seq, .. }) = changed {
            told.extend(numbered(it.hold.job, seq, &it.told));
        }
        done.push(changed);
    }
    events::add(store, conn, &told).await?;
    Ok(done)
}

/// Changes what is held under just these leases, and adds the events of those that were changed.
/// None where the lease is lost, or an end is asked for.
pub(super) async fn change_and_tell(
    store: &Store,
    conn: &mut Conn,
    changes: &[&JobChange],
) -> Result<Vec<Option<Changed>>, Fault> {
    let rows = query(changed!(
        "jobs.lease_until",
        "jobs.lease = given.lease AND jobs.host = given.host AND jobs.status = 'running' \
         AND (NOT jobs.cancel_requested OR given.ignore)"
    ))
    .bind(given(changes)?)
    .bind(store.now())
    .fetch_all(&mut *conn)
    .await?;
    tell(store, conn, rows, changes).await
}

/// Gives what this transaction has chosen to the host that asks, changed, and adds the events.
pub(super) async fn take_and_tell(
    store: &Store,
    conn: &mut Conn,
    ask: &Ask,
    changes: &[&JobChange],
) -> Result<Vec<Option<Changed>>, Fault> {
    let rows = query(changed!(
        concat!(now!("$2"), " + $3"),
        "jobs.lease = given.lease - 1"
    ))
    .bind(given(changes)?)
    .bind(store.now())
    .bind(millis(ask.lease_time))
    .fetch_all(&mut *conn)
    .await?;
    tell(store, conn, rows, changes).await
}

/// Adds jobs, and what is told of those that stand in no line; where each stands.
pub(super) async fn insert(
    store: &Store,
    conn: &mut Conn,
    new: &[&NewRow],
) -> Result<Vec<Placed>, Fault> {
    let mut placed = Vec::with_capacity(new.len());
    let mut told = Vec::with_capacity(new.len());
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
        let at = Placed {
            number: row.try_get("number")?,
            line: row.try_get("line")?,
        };
        if at.line.is_none() {
            told.push(Numbered {
                job: Some(it.new.job.id),
                seq: 1,
                told: &it.told,
            });
        }
        placed.push(at);
    }
    events::add(store, conn, &told).await?;
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
