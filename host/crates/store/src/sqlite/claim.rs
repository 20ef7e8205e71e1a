//! How SQLite gives jobs to its one process: the same order as `postgres::claim`, without locks
//! on rows. Whether one is done well isn't known here.

use super::{Conn, Row, Store, millis, read, report, rows};
use crate::error::Fault;
use crate::rules;
use crate::{Ask, Beat, Claimed, Hold, JobState, TakeOver};
use pipeline::{HostId, JobId, Lease};
use sqlx::{Row as _, query};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

pub(super) async fn claim(store: &Store, ask: &Ask) -> Result<Vec<Claimed>, Fault> {
    if ask.limit == 0 {
        return Ok(Vec::new());
    }
    let mut tx = store.begin().await?;
    let mut taken: Vec<(Row, bool)> = Vec::new();
    if ask.take_over != TakeOver::None {
        let found = take_over(store, &mut tx, ask).await?;
        taken.extend(found.into_iter().map(|row| (row, true)));
    }
    let left = i64::from(ask.limit) - i64::try_from(taken.len()).unwrap_or(0);
    if left > 0 {
        make_ready(store, &mut tx).await?;
        let found = take_ready(store, &mut tx, ask, left).await?;
        taken.extend(found.into_iter().map(|row| (row, false)));
    }
    let mut claimed = Vec::with_capacity(taken.len());
    for (row, rescued) in taken {
        match rows::job(&row) {
            Ok(job) => claimed.push(Claimed {
                job,
                lease: Lease(row.try_get("lease")?),
                rescued,
            }),
            Err(Fault::Store(error)) => {
                tracing::error!(%error, "a job is left to a later version");
                leave(store, &mut tx, row.try_get("id")?).await?;
            }
            Err(error) => return Err(error),
        }
    }
    tx.commit().await?;
    rules::order(&mut claimed);
    Ok(claimed)
}

/// A list as SQLite takes one: JSON.
fn roots(ask: &Ask) -> Result<String, Fault> {
    Ok(rules::json(&ask.roots)?)
}

async fn take_over(store: &Store, conn: &mut Conn, ask: &Ask) -> Result<Vec<Row>, Fault> {
    let name = |hold: &Hold| format!("{}:{}", hold.job.0.simple(), hold.lease.0);
    let held: Vec<String> = ask.held.iter().map(name).collect();
    let found = query(concat!(
        "UPDATE jobs SET lease = lease + 1, host = $1, lease_until = ",
        now!("$2"),
        " + $3 WHERE id IN (SELECT id FROM jobs WHERE status = 'running' ",
        "AND (root IS NULL OR root IN (SELECT value FROM json_each($4))) ",
        "AND CASE WHEN host = $1 ",
        "THEN lower(hex(id)) || ':' || lease NOT IN (SELECT value FROM json_each($5)) ",
        "ELSE $6 AND lease_until < ",
        now!("$2"),
        " END ORDER BY priority DESC, number LIMIT $7) RETURNING lease, ",
        job_columns!()
    ))
    .bind(&ask.host.0)
    .bind(store.now())
    .bind(millis(ask.lease_time))
    .bind(roots(ask)?)
    .bind(rules::json(&held)?)
    .bind(ask.take_over == TakeOver::Expired)
    .bind(i64::from(ask.limit))
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// What waits and is due joins the ready ones, where priority and age are looked at.
async fn make_ready(store: &Store, conn: &mut Conn) -> Result<(), Fault> {
    query(concat!(
        "UPDATE jobs SET ready = 1 WHERE status = 'waiting' AND ready = 0 AND wait_until <= ",
        now!("$1")
    ))
    .bind(store.now())
    .execute(conn)
    .await?;
    Ok(())
}

async fn take_ready(
    store: &Store,
    conn: &mut Conn,
    ask: &Ask,
    limit: i64,
) -> Result<Vec<Row>, Fault> {
    let found = query(concat!(
        "UPDATE jobs SET status = 'running', ready = 0, wait_until = NULL, lease = lease + 1, ",
        "host = $1, lease_until = ",
        now!("$2"),
        " + $3 WHERE id IN (SELECT id FROM jobs ",
        "WHERE status IN ('queued', 'waiting') AND ready = 1 ",
        "AND (root IS NULL OR root IN (SELECT value FROM json_each($4))) ",
        "ORDER BY priority DESC, number LIMIT $5) RETURNING lease, ",
        job_columns!()
    ))
    .bind(&ask.host.0)
    .bind(store.now())
    .bind(millis(ask.lease_time))
    .bind(roots(ask)?)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// Puts back a claimed job that this version can't read: one bad row must not stop the others.
async fn leave(store: &Store, conn: &mut Conn, job: Uuid) -> Result<(), Fault> {
    query(concat!(
        "UPDATE jobs SET status = 'waiting', ready = 0, host = NULL, lease_until = NULL, ",
        "wait_until = ",
        now!("$1"),
        " + $2 WHERE id = $3"
    ))
    .bind(store.now())
    .bind(rules::UNREADABLE_PAUSE_MS)
    .bind(job)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn heartbeat(
    store: &Store,
    host: &HostId,
    holds: &[Hold],
    lease_time: Duration,
) -> Result<Vec<Beat>, Fault> {
    let mut tx = store.begin().await?;
    report::seen(store, &mut tx, host, lease_time).await?;
    let mut beats = Vec::with_capacity(holds.len());
    for hold in holds {
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
        .fetch_optional(&mut *tx)
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
    tx.commit().await?;
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
