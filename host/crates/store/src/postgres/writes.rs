//! Rows of jobs in PostgreSQL, many in a statement. What goes into them is in `sql/commit` and
//! `sql/submit`.

use super::{Conn, Store};
use crate::error::Fault;
use crate::rules::PRIORITY_MS;
use crate::write::{Changed, JobChange, NewRow, Placed};
use sqlx::{Row as _, query};
use std::collections::HashMap;
use uuid::Uuid;

/// Changes what is held under just these leases; none where the lease is lost, or an end is asked
/// for. Rows are locked in the order of their ids, as heartbeats do.
pub(super) async fn change(
    store: &Store,
    conn: &mut Conn,
    changes: &[&JobChange],
) -> Result<Vec<Option<Changed>>, Fault> {
    let ids: Vec<Uuid> = changes.iter().map(|it| it.hold.job.0).collect();
    let column =
        |of: fn(&JobChange) -> i64| -> Vec<i64> { changes.iter().map(|it| of(it)).collect() };
    let rows = query(concat!(
        "WITH given AS MATERIALIZED (SELECT * FROM unnest($1, $2, CAST($3 AS text[]), ",
        "CAST($4 AS text[]), CAST($5 AS text[]), $6, CAST($7 AS text[]), CAST($8 AS text[]), ",
        "CAST($9 AS bigint[]), CAST($10 AS bigint[]), CAST($11 AS bigint[]), $12, $13) ",
        "AS given (id, lease, host, body, status, revision, root, engine, finished_at, until, ",
        "pause, told, ignore)), ",
        "mine AS MATERIALIZED (SELECT jobs.id FROM jobs JOIN given ON jobs.id = given.id ",
        "AND jobs.lease = given.lease AND jobs.host = given.host WHERE jobs.id = ANY($1) ",
        "AND jobs.status = 'running' AND (NOT jobs.cancel_requested OR given.ignore) ",
        "ORDER BY jobs.id FOR UPDATE OF jobs) ",
        "UPDATE jobs SET body = given.body, status = given.status, revision = given.revision, ",
        "root = given.root, engine = given.engine, finished_at = given.finished_at, ",
        "wait_until = coalesce(given.until, ",
        now!("$14"),
        " + given.pause), line = NULL, ready = (given.status = 'queued'), ",
        "event_seq = jobs.event_seq + given.told, ",
        "host = CASE WHEN given.status = 'running' THEN jobs.host END, ",
        "lease_until = CASE WHEN given.status = 'running' THEN jobs.lease_until END ",
        "FROM given, mine WHERE jobs.id = mine.id AND given.id = mine.id ",
        "AND jobs.lease = given.lease AND jobs.host = given.host AND jobs.status = 'running' ",
        "AND (NOT jobs.cancel_requested OR given.ignore) ",
        "RETURNING jobs.id, jobs.event_seq, jobs.group_slot, jobs.pipeline_slot"
    ))
    .bind(&ids)
    .bind(column(|it| it.hold.lease.0))
    .bind(
        changes
            .iter()
            .map(|it| it.hold.host.0.as_str())
            .collect::<Vec<_>>(),
    )
    .bind(
        changes
            .iter()
            .map(|it| it.body.as_str())
            .collect::<Vec<_>>(),
    )
    .bind(
        changes
            .iter()
            .map(|it| it.status.word())
            .collect::<Vec<_>>(),
    )
    .bind(column(|it| it.revision))
    .bind(
        changes
            .iter()
            .map(|it| it.root.as_deref())
            .collect::<Vec<_>>(),
    )
    .bind(
        changes
            .iter()
            .map(|it| it.engine.as_deref())
            .collect::<Vec<_>>(),
    )
    .bind(changes.iter().map(|it| it.finished_at).collect::<Vec<_>>())
    .bind(changes.iter().map(|it| it.until).collect::<Vec<_>>())
    .bind(changes.iter().map(|it| it.pause).collect::<Vec<_>>())
    .bind(column(|it| {
        i64::try_from(it.told.len()).unwrap_or(i64::MAX)
    }))
    .bind(
        changes
            .iter()
            .map(|it| it.ignore_cancel)
            .collect::<Vec<_>>(),
    )
    .bind(store.now())
    .fetch_all(conn)
    .await?;
    let mut done = HashMap::with_capacity(rows.len());
    for row in rows {
        let changed = Changed {
            seq: row.try_get("event_seq")?,
            slots: (row.try_get("group_slot")?, row.try_get("pipeline_slot")?),
        };
        done.insert(row.try_get::<Uuid, _>("id")?, changed);
    }
    Ok(ids.iter().map(|id| done.remove(id)).collect())
}

/// Adds jobs; where each stands.
pub(super) async fn insert(
    store: &Store,
    conn: &mut Conn,
    new: &[&NewRow],
) -> Result<Vec<Placed>, Fault> {
    let ids: Vec<Uuid> = new.iter().map(|it| it.id).collect();
    let text = |of: fn(&NewRow) -> &str| -> Vec<&str> { new.iter().map(|it| of(it)).collect() };
    let rows = query(concat!(
        "INSERT INTO jobs (id, name_folded, pipeline, group_key, priority, revision, status, ",
        "wait_until, line, ready, rank, created_at, submitter, event_seq, body) ",
        "SELECT id, name_folded, pipeline, group_key, priority, revision, ",
        "CASE WHEN until IS NULL AND line IS NULL THEN 'queued' ELSE 'waiting' END, until, line, ",
        "until IS NULL AND line IS NULL, coalesce(until, ",
        now!("$1"),
        ") - CAST(priority AS bigint) * $2, created_at, submitter, 1, body FROM (SELECT given.*, ",
        "CASE WHEN until IS NULL THEN ",
        line!("given.pipeline", "given.group_key"),
        " END AS line FROM unnest($3, $4, $5, CAST($6 AS text[]), $7, $8, ",
        "CAST($9 AS bigint[]), $10, $11, $12) WITH ORDINALITY AS given (id, name_folded, ",
        "pipeline, group_key, priority, revision, until, created_at, submitter, body, n)) ",
        "AS placed ORDER BY n RETURNING id, number, line"
    ))
    .bind(store.now())
    .bind(PRIORITY_MS)
    .bind(&ids)
    .bind(text(|it| &it.name_folded))
    .bind(text(|it| &it.pipeline))
    .bind(new.iter().map(|it| it.group.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.priority).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.revision).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.until).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.created_at).collect::<Vec<_>>())
    .bind(text(|it| &it.submitter))
    .bind(text(|it| &it.body))
    .fetch_all(conn)
    .await?;
    let mut placed = HashMap::with_capacity(rows.len());
    for row in rows {
        let place = Placed {
            number: row.try_get("number")?,
            line: row.try_get("line")?,
        };
        placed.insert(row.try_get::<Uuid, _>("id")?, place);
    }
    let missing = || Fault::Sql(sqlx::Error::RowNotFound);
    ids.iter()
        .map(|id| placed.remove(id).ok_or_else(missing))
        .collect()
}

/// The lines that these jobs stand in by now.
pub(super) async fn lines(conn: &mut Conn, new: &[&NewRow]) -> Result<Vec<Option<String>>, Fault> {
    let ids: Vec<Uuid> = new.iter().map(|it| it.id).collect();
    let rows = query("SELECT id, line FROM jobs WHERE id = ANY($1)")
        .bind(&ids)
        .fetch_all(conn)
        .await?;
    let mut found: HashMap<Uuid, Option<String>> = HashMap::with_capacity(rows.len());
    for row in rows {
        found.insert(row.try_get("id")?, row.try_get("line")?);
    }
    Ok(ids.iter().map(|id| found.remove(id).flatten()).collect())
}
