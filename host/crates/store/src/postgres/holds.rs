//! Who holds what, in PostgreSQL's words: rows are locked and skipped, and every statement is
//! short. Which statement comes when is in `sql/claim`.

use super::{Conn, Row, Store, rows};
use crate::error::Fault;
use crate::rules::millis;
use crate::{Ask, Beat, Hold, JobState, TakeOver};
use pipeline::{HostId, JobId, Lease};
use sqlx::{Row as _, query};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use uuid::Uuid;

/// Chooses what runs by the store and may be taken over, locked.
pub(super) async fn choose_left(
    store: &Store,
    conn: &mut Conn,
    ask: &Ask,
) -> Result<Vec<Row>, sqlx::Error> {
    let (jobs, leases) = columns(&ask.held);
    query(concat!(
        "SELECT jobs.lease, jobs.rank, ",
        job_columns!(),
        " FROM jobs WHERE status = 'running' ",
        "AND (root IS NULL OR root = ANY($2)) AND (engine IS NULL OR engine = ANY($7)) ",
        "AND CASE WHEN host = $1 THEN NOT EXISTS ",
        "(SELECT 1 FROM unnest($3, $4) AS held (id, lease) ",
        "WHERE held.id = jobs.id AND held.lease = jobs.lease) ELSE $5 AND lease_until < ",
        now!("$6"),
        " END ORDER BY rank, number LIMIT $8 FOR UPDATE OF jobs SKIP LOCKED"
    ))
    .bind(&ask.host.0)
    .bind(roots(ask))
    .bind(jobs)
    .bind(leases)
    .bind(ask.take_over == TakeOver::Expired)
    .bind(store.now())
    .bind(&ask.engines)
    .bind(i64::from(ask.limit))
    .fetch_all(conn)
    .await
}

/// Puts what waits and is due into its line, or makes it ready.
pub(super) async fn make_ready(store: &Store, conn: &mut Conn) -> Result<Vec<Row>, sqlx::Error> {
    query(concat!(
        "WITH due AS MATERIALIZED (SELECT id, pipeline, group_key FROM jobs ",
        "WHERE status = 'waiting' AND NOT ready AND line IS NULL AND wait_until <= ",
        now!("$1"),
        " ORDER BY wait_until LIMIT 1000 FOR UPDATE SKIP LOCKED), ",
        "way AS MATERIALIZED (SELECT id, ",
        line!("due.pipeline", "due.group_key"),
        " AS line FROM due) ",
        "UPDATE jobs SET line = way.line, ready = (way.line IS NULL), ",
        "status = CASE WHEN way.line IS NULL THEN 'queued' ELSE 'waiting' END, ",
        "group_slot = false, pipeline_slot = false FROM way WHERE jobs.id",
        among!("way"),
        " AND jobs.id = way.id AND jobs.status = 'waiting' AND NOT jobs.ready ",
        "RETURNING jobs.line, jobs.group_key, jobs.pipeline"
    ))
    .bind(store.now())
    .fetch_all(conn)
    .await
}

/// Chooses what is ready, locked.
pub(super) async fn choose_ready(
    conn: &mut Conn,
    ask: &Ask,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    query(concat!(
        "SELECT jobs.lease, jobs.rank, ",
        job_columns!(),
        " FROM jobs WHERE status IN ('queued', 'waiting') AND ready AND ",
        may_take!("$1", "$2"),
        "ORDER BY rank, number LIMIT $3 FOR UPDATE OF jobs SKIP LOCKED"
    ))
    .bind(roots(ask))
    .bind(&ask.engines)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Gives what this transaction has chosen to the host that asks.
pub(super) async fn take(
    store: &Store,
    conn: &mut Conn,
    ask: &Ask,
    holds: &[Hold],
) -> Result<(), Fault> {
    let (jobs, _) = columns(holds);
    query(concat!(
        "UPDATE jobs SET status = 'running', ready = false, lease = lease + 1, host = $1, ",
        "lease_until = ",
        now!("$2"),
        " + $3 WHERE id = ANY($4)"
    ))
    .bind(&ask.host.0)
    .bind(store.now())
    .bind(millis(ask.lease_time))
    .bind(jobs)
    .execute(conn)
    .await?;
    Ok(())
}

/// In how many ms there may be something to be claimed, by what is written now.
pub(super) async fn next(store: &Store, ask: &Ask) -> Result<Row, sqlx::Error> {
    query(concat!(
        "SELECT min(next) FROM (",
        "(SELECT CAST(0 AS bigint) AS next FROM jobs WHERE status IN ('queued', 'waiting') ",
        "AND ready AND ",
        may_take!("$1", "$2"),
        "ORDER BY rank, number LIMIT 1) UNION ALL ",
        "(SELECT wait_until - ",
        now!("$3"),
        " FROM jobs WHERE status = 'waiting' AND NOT ready AND line IS NULL ",
        "ORDER BY wait_until LIMIT 1) UNION ALL (SELECT min(open_at) - ",
        now!("$3"),
        " FROM gates) UNION ALL (SELECT min(CASE WHEN host = $4 THEN NULL ELSE lease_until END) - ",
        now!("$3"),
        " FROM jobs WHERE status = 'running' AND $5 AND ",
        may_take!("$1", "$2"),
        ")) AS times"
    ))
    .bind(roots(ask))
    .bind(&ask.engines)
    .bind(store.now())
    .bind(&ask.host.0)
    .bind(ask.take_over == TakeOver::Expired)
    .fetch_one(store.single().await?.as_mut())
    .await
}

/// Extends what is still held; only that is in the answer.
pub(super) async fn extend(
    store: &Store,
    conn: &mut Conn,
    host: &HostId,
    held: &[Hold],
    lease_time: Duration,
) -> Result<Vec<Beat>, sqlx::Error> {
    let (jobs, leases) = columns(held);
    let found = query(concat!(
        "WITH held AS MATERIALIZED (SELECT jobs.id FROM jobs ",
        "JOIN unnest($3, $4) AS held (id, lease) ON jobs.id = held.id AND jobs.lease = held.lease ",
        "WHERE jobs.id = ANY($3) AND jobs.host = $5 AND jobs.status = 'running' ",
        "ORDER BY jobs.id FOR UPDATE OF jobs) ",
        "UPDATE jobs SET lease_until = ",
        now!("$1"),
        " + $2 FROM held WHERE jobs.id = held.id AND jobs.host = $5 AND jobs.status = 'running' ",
        "RETURNING jobs.id, jobs.lease, jobs.cancel_requested"
    ))
    .bind(store.now())
    .bind(millis(lease_time))
    .bind(jobs)
    .bind(leases)
    .bind(&host.0)
    .fetch_all(conn)
    .await?;
    let mut beats = Vec::with_capacity(found.len());
    for row in found {
        beats.push(Beat {
            hold: Hold {
                job: JobId(row.try_get("id")?),
                lease: Lease(row.try_get("lease")?),
                host: host.clone(),
            },
            cancel_requested: row.try_get("cancel_requested")?,
        });
    }
    Ok(beats)
}

pub(super) fn roots(ask: &Ask) -> Vec<&str> {
    ask.roots.iter().map(|root| root.0.as_str()).collect()
}

fn columns(holds: &[Hold]) -> (Vec<Uuid>, Vec<i64>) {
    holds.iter().map(|hold| (hold.job.0, hold.lease.0)).unzip()
}

pub(super) async fn in_groups(
    store: &Store,
    jobs: &[JobId],
    groups: &BTreeSet<String>,
) -> Result<BTreeSet<JobId>, Fault> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    let found = query(concat!(
        "SELECT id FROM jobs WHERE id = ANY($1) AND ",
        in_list!("group_key", "$2")
    ))
    .bind(ids)
    .bind(super::list(groups)?)
    .fetch_all(store.reads())
    .await?;
    let ids = found.iter().map(|row| Ok(JobId(row.try_get("id")?)));
    ids.collect()
}

pub(super) async fn states(
    store: &Store,
    jobs: &[JobId],
) -> Result<HashMap<JobId, JobState>, Fault> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    let found = query(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE id = ANY($1)"
    ))
    .bind(ids)
    .fetch_all(store.reads())
    .await?;
    let mut states = HashMap::with_capacity(found.len());
    for row in &found {
        // A reaper would take a job that is left out for one that is gone: fail instead.
        let job = rows::job(row)?;
        let state = JobState {
            status: job.status,
            current: job.run_key(),
            host: job.host,
        };
        states.insert(job.id, state);
    }
    Ok(states)
}
