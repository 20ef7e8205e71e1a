//! Rows of jobs in SQLite, many in a statement: the file is near, but each statement is a way to
//! the connection's thread and back. What goes into them is in `sql/commit` and `sql/submit`.

use super::{Conn, Row, Store, events, rows};
use crate::Ask;
use crate::error::Fault;
use crate::rules::{self, PRIORITY_MS, millis};
use crate::write::{Changed, Entered, JobChange, NewRow, Numbered, Placed, numbered};
use pipeline::JobId;
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

/// Adds jobs of no group, and what is told of them; nothing where one of them comes into a line.
/// One with a change has begun with it where the host that `ask`s may take nothing else that is
/// ready.
pub(super) async fn insert_plain(
    store: &Store,
    conn: &mut Conn,
    new: &[&NewRow],
    begun: &[Option<&JobChange>],
    ask: Option<&Ask>,
) -> Result<Vec<Entered>, Fault> {
    let given = new.iter().zip(begun).map(|(it, begun)| {
        let becomes = begun.map(|it| {
            let told = it.told.len();
            let pause = (it.finished_at, it.pause);
            (
                &it.body,
                it.status.word(),
                &it.root,
                &it.engine,
                pause.0,
                pause.1,
                told,
            )
        });
        let id = JobId(it.id);
        let who = (&it.name_folded, &it.pipeline, &it.submitter);
        let order = (it.priority, it.revision, it.until, it.created_at);
        (id, who, order, &it.body, becomes)
    });
    let given = given.collect::<Vec<_>>();
    let found = query(concat!(
        "WITH given AS MATERIALIZED (SELECT given.*, ",
        line_after_group!("given.pipeline"),
        " AS line, begun_body IS NOT NULL AND (SELECT rank FROM jobs ",
        "WHERE status IN ('queued', 'waiting') AND ready AND ",
        may_take!("$6", "$7"),
        "ORDER BY rank, number LIMIT 1) IS NULL AS begins, coalesce(until, ",
        now!("$2"),
        ") - priority * $3 AS rank FROM (SELECT key AS n, unhex(value ->> '$[0]', '-') AS id, ",
        "value ->> '$[1][0]' AS name_folded, value ->> '$[1][1]' AS pipeline, ",
        "value ->> '$[1][2]' AS submitter, value ->> '$[2][0]' AS priority, ",
        "value ->> '$[2][1]' AS revision, value ->> '$[2][2]' AS until, ",
        "value ->> '$[2][3]' AS created_at, value ->> '$[3]' AS body, ",
        "value ->> '$[4][0]' AS begun_body, value ->> '$[4][1]' AS begun_status, ",
        "value ->> '$[4][2]' AS root, value ->> '$[4][3]' AS engine, ",
        "value ->> '$[4][4]' AS finished_at, value ->> '$[4][5]' AS pause, ",
        "value ->> '$[4][6]' AS told FROM json_each($1)) AS given) ",
        "INSERT INTO jobs (id, name_folded, pipeline, priority, revision, created_at, ",
        "submitter, rank, body, status, ready, wait_until, event_seq, lease, host, lease_until, ",
        "root, engine, finished_at) SELECT id, name_folded, pipeline, priority, revision, ",
        "created_at, submitter, rank, CASE WHEN begins THEN begun_body ELSE body END, ",
        "CASE WHEN begins THEN begun_status WHEN until IS NULL THEN 'queued' ELSE 'waiting' END, ",
        "CASE WHEN begins THEN begun_status = 'queued' ELSE until IS NULL END, ",
        "CASE WHEN begins THEN ",
        now!("$2"),
        " + pause ELSE until END, CASE WHEN begins THEN 1 + told ELSE 1 END, ",
        "CASE WHEN begins THEN 1 ELSE 0 END, ",
        "CASE WHEN begins AND begun_status = 'running' THEN $4 END, ",
        "CASE WHEN begins AND begun_status = 'running' THEN ",
        now!("$2"),
        " + $5 END, CASE WHEN begins THEN root END, CASE WHEN begins THEN engine END, ",
        "CASE WHEN begins THEN finished_at END FROM given ",
        "WHERE NOT EXISTS (SELECT 1 FROM given WHERE until IS NULL AND line IS NOT NULL) ",
        "ORDER BY n RETURNING id, number, rank, lease = 1 AS begins"
    ))
    .bind(rules::json(&given)?)
    .bind(store.now())
    .bind(PRIORITY_MS)
    .bind(ask.map(|ask| ask.host.0.as_str()))
    .bind(ask.map(|ask| millis(ask.lease_time)))
    .bind(ask.map(|ask| rules::json(&ask.roots)).transpose()?)
    .bind(ask.map(|ask| rules::json(&ask.engines)).transpose()?)
    .fetch_all(&mut *conn)
    .await?;
    let entered = rows::entered(&found, new)?;
    let mut told = Vec::new();
    for ((row, at), begun) in new.iter().zip(&entered).zip(begun) {
        let more = begun.iter().filter(|_| at.begins).flat_map(|it| &it.told);
        let all = std::iter::once(&row.told).chain(more);
        told.extend((1_i64..).zip(all).map(|(seq, told)| Numbered {
            job: Some(JobId(row.id)),
            seq,
            told,
        }));
    }
    events::add(store, conn, &told).await?;
    Ok(entered)
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
