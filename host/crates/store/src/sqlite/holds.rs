//! Who holds what, in SQLite's words: the same order as in `postgres::holds`, without locks on
//! rows. Which statement comes when is in `sql/claim`.

use super::{Conn, Row, Store, read};
use crate::error::Fault;
use crate::rules::{self, millis};
use crate::{Ask, Beat, Hold, JobState, TakeOver};
use pipeline::{HostId, JobId};
use sqlx::{Row as _, query};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// A list as SQLite takes one: JSON.
fn roots(ask: &Ask) -> Result<String, Fault> {
    Ok(rules::json(&ask.roots)?)
}

/// Chooses what runs by the store and may be taken over.
pub(super) async fn choose_left(
    store: &Store,
    conn: &mut Conn,
    ask: &Ask,
) -> Result<Vec<Row>, Fault> {
    let name = |hold: &Hold| format!("{}:{}", hold.job.0.simple(), hold.lease.0);
    let held: Vec<String> = ask.held.iter().map(name).collect();
    let found = query(concat!(
        "SELECT jobs.lease, jobs.rank, ",
        job_columns!(),
        " FROM jobs WHERE status = 'running' ",
        "AND (root IS NULL OR root IN (SELECT value FROM json_each($2))) ",
        "AND (engine IS NULL OR engine IN (SELECT value FROM json_each($3))) ",
        "AND CASE WHEN host = $1 ",
        "THEN lower(hex(id)) || ':' || lease NOT IN (SELECT value FROM json_each($4)) ",
        "ELSE $5 AND lease_until < ",
        now!("$6"),
        " END ORDER BY rank, number LIMIT $7"
    ))
    .bind(&ask.host.0)
    .bind(roots(ask)?)
    .bind(rules::json(&ask.engines)?)
    .bind(rules::json(&held)?)
    .bind(ask.take_over == TakeOver::Expired)
    .bind(store.now())
    .bind(i64::from(ask.limit))
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// Puts what waits and is due into its line, or makes it ready.
pub(super) async fn make_ready(store: &Store, conn: &mut Conn) -> Result<Vec<Row>, sqlx::Error> {
    query(concat!(
        "WITH way AS MATERIALIZED (SELECT id, ",
        line!("jobs.pipeline", "jobs.group_key"),
        " AS line FROM jobs WHERE status = 'waiting' AND NOT ready AND line IS NULL ",
        "AND wait_until <= ",
        now!("$1"),
        " ORDER BY wait_until LIMIT 1000) ",
        "UPDATE jobs SET line = way.line, ready = (way.line IS NULL), ",
        "status = CASE WHEN way.line IS NULL THEN 'queued' ELSE 'waiting' END, ",
        "group_slot = false, pipeline_slot = false FROM way WHERE jobs.id = way.id ",
        "RETURNING jobs.line, jobs.group_key, jobs.pipeline"
    ))
    .bind(store.now())
    .fetch_all(conn)
    .await
}

/// Chooses what is ready.
pub(super) async fn choose_ready(
    conn: &mut Conn,
    ask: &Ask,
    limit: i64,
) -> Result<Vec<Row>, Fault> {
    let found = query(concat!(
        "SELECT jobs.lease, jobs.rank, ",
        job_columns!(),
        " FROM jobs WHERE status IN ('queued', 'waiting') AND ready AND ",
        may_take!("$1", "$2"),
        "ORDER BY rank, number LIMIT $3"
    ))
    .bind(roots(ask)?)
    .bind(rules::json(&ask.engines)?)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// Gives what this transaction has chosen to the host that asks.
pub(super) async fn take(
    store: &Store,
    conn: &mut Conn,
    ask: &Ask,
    holds: &[Hold],
) -> Result<(), Fault> {
    query(concat!(
        "UPDATE jobs SET status = 'running', ready = 0, lease = lease + 1, host = $1, ",
        "lease_until = ",
        now!("$2"),
        " + $3 WHERE id IN (SELECT unhex(value, '-') FROM json_each($4))"
    ))
    .bind(&ask.host.0)
    .bind(store.now())
    .bind(millis(ask.lease_time))
    .bind(rules::json(
        &holds.iter().map(|hold| hold.job).collect::<Vec<_>>(),
    )?)
    .execute(conn)
    .await?;
    Ok(())
}

/// In how many ms there may be something to be claimed, by what is written now.
pub(super) async fn next(store: &Store, ask: &Ask) -> Result<Row, Fault> {
    let row = query(concat!(
        "SELECT min(next) FROM (SELECT * FROM ",
        "(SELECT 0 AS next FROM jobs WHERE status IN ('queued', 'waiting') ",
        "AND ready AND ",
        may_take!("$1", "$2"),
        "ORDER BY rank, number LIMIT 1) UNION ALL SELECT * FROM ",
        "(SELECT wait_until - ",
        now!("$3"),
        " FROM jobs WHERE status = 'waiting' AND NOT ready AND line IS NULL ",
        "ORDER BY wait_until LIMIT 1) UNION ALL SELECT min(open_at) - ",
        now!("$3"),
        " FROM gates UNION ALL SELECT min(CASE WHEN host = $4 THEN NULL ELSE lease_until END) - ",
        now!("$3"),
        " FROM jobs WHERE status = 'running' AND $5 AND ",
        may_take!("$1", "$2"),
        ") AS times"
    ))
    .bind(roots(ask)?)
    .bind(rules::json(&ask.engines)?)
    .bind(store.now())
    .bind(&ask.host.0)
    .bind(ask.take_over == TakeOver::Expired)
    .fetch_one(store.reads())
    .await?;
    Ok(row)
}

/// Extends what is still held; only that is in the answer.
pub(super) async fn extend(
    store: &Store,
    conn: &mut Conn,
    host: &HostId,
    held: &[Hold],
    lease_time: Duration,
) -> Result<Vec<Beat>, sqlx::Error> {
    let mut beats = Vec::with_capacity(held.len());
    for hold in held {
        let row = query(concat!(
            "UPDATE jobs SET lease_until = ",
            now!("$1"),
            " + $2 WHERE id = $3 AND lease = $4 AND host = $5 AND status = 'running' ",
            "RETURNING cancel_requested"
        ))
        .bind(store.now())
        .bind(millis(lease_time))
        .bind(hold.job.0)
        .bind(hold.lease.0)
        .bind(&host.0)
        .fetch_optional(&mut *conn)
        .await?;
        if let Some(row) = row {
            beats.push(Beat {
                hold: Hold {
                    host: host.clone(),
                    ..hold.clone()
                },
                cancel_requested: row.try_get("cancel_requested")?,
            });
        }
    }
    Ok(beats)
}

pub(super) async fn states(
    store: &Store,
    jobs: &[JobId],
) -> Result<HashMap<JobId, JobState>, Fault> {
    let mut states = HashMap::with_capacity(jobs.len());
    for id in jobs {
        if let Some(job) = read::job(store, *id).await? {
            let state = JobState {
                status: job.status,
                current: job.run_key(),
                host: job.host,
            };
            states.insert(*id, state);
        }
    }
    Ok(states)
}

pub(super) async fn in_groups(
    store: &Store,
    jobs: &[JobId],
    groups: &BTreeSet<String>,
) -> Result<BTreeSet<JobId>, Fault> {
    let mut found = BTreeSet::new();
    for id in jobs {
        let row = query("SELECT group_key FROM jobs WHERE id = $1")
            .bind(id.0)
            .fetch_optional(store.reads())
            .await?;
        let Some(row) = row else { continue };
        let group: Option<String> = row.try_get("group_key")?;
        if group.is_some_and(|group| groups.contains(&group)) {
            found.insert(*id);
        }
    }
    Ok(found)
}
