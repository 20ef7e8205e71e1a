//! What is told of a job while it runs: events and lines, and those of an agent's output once,
//! however often a holder says them. It doesn't know what an agent prints.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Store, events};
use crate::error::Fault;
use crate::rules::{self, clean};
use crate::write::{Told, numbered};
use crate::{Appended, Hold, Piece, Wake};
use pipeline::{Event, JobId, LogLine};
use sqlx::{Row as _, query};

pub(super) async fn append(
    store: &Store,
    hold: &Hold,
    told: &[Event],
    lines: &[LogLine],
) -> Result<bool, Fault> {
    let told = Told::kept(told)?;
    let mut tx = store.begin().await?;
    if !add(store, &mut tx, hold, &told, lines).await? {
        return Ok(false);
    }
    tx.commit().await?;
    ring(store, hold, told.len() + lines.len());
    Ok(true)
}

pub(super) async fn append_output(
    store: &Store,
    hold: &Hold,
    piece: &Piece,
    told: &[Event],
    lines: &[LogLine],
) -> Result<Appended, Fault> {
    let told = Told::kept(told)?;
    let mut tx = store.begin().await?;
    // The job's row first: its lock orders whoever writes of this job.
    if !add(store, &mut tx, hold, &told, lines).await? {
        return Ok(Appended::LeaseLost);
    }
    if !move_on(&mut tx, hold.job, piece).await? {
        let at = at(&mut tx, hold.job, &piece.run).await?;
        tx.rollback().await?;
        return Ok(Appended::Stands { at });
    }
    tx.commit().await?;
    ring(store, hold, told.len() + lines.len());
    Ok(Appended::Done)
}

/// Adds to the job; false where the lease is lost.
async fn add(
    store: &Store,
    conn: &mut Conn,
    hold: &Hold,
    told: &[Told],
    lines: &[LogLine],
) -> Result<bool, Fault> {
    let row = query(
        "UPDATE jobs SET event_seq = event_seq + $1, log_seq = log_seq + $2 \
         WHERE id = $3 AND lease = $4 AND host = $5 AND status = 'running' \
         RETURNING event_seq, log_seq",
    )
    .bind(i64::try_from(told.len()).unwrap_or(i64::MAX))
    .bind(i64::try_from(lines.len()).unwrap_or(i64::MAX))
    .bind(hold.job.0)
    .bind(hold.lease.0)
    .bind(&hold.host.0)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(false) };
    let numbered: Vec<_> = numbered(hold.job, row.try_get(0)?, told).collect();
    events::add(store, conn, &numbered).await?;
    events::add_lines(store, conn, hold.job, row.try_get(1)?, lines).await?;
    Ok(true)
}

/// Puts the run's offset from where the piece begins to where it ends; false where it isn't there.
/// A piece of no bytes is never new.
async fn move_on(conn: &mut Conn, job: JobId, piece: &Piece) -> Result<bool, sqlx::Error> {
    let sql = if piece.from == 0 {
        "INSERT INTO outputs (job, run, told) SELECT $1, $2, $4 WHERE $4 > $3 \
         ON CONFLICT DO NOTHING"
    } else {
        "UPDATE outputs SET told = $4 WHERE job = $1 AND run = $2 AND told = $3 AND $4 > $3"
    };
    let done = query(sql)
        .bind(job.0)
        .bind(clean(&piece.run))
        .bind(rules::bytes(piece.from))
        .bind(rules::bytes(piece.to))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn output_at(store: &Store, job: JobId, run: &str) -> Result<u64, Fault> {
    Ok(at(&mut *store.reads().acquire().await?, job, run).await?)
}

async fn at(conn: &mut Conn, job: JobId, run: &str) -> Result<u64, sqlx::Error> {
    let row = query("SELECT told FROM outputs WHERE job = $1 AND run = $2")
        .bind(job.0)
        .bind(clean(run))
        .fetch_optional(conn)
        .await?;
    let told: Option<i64> = row.map(|row| row.try_get(0)).transpose()?;
    Ok(told.map_or(0, |told| u64::try_from(told).unwrap_or(0)))
}

fn ring(store: &Store, hold: &Hold, added: usize) {
    if added > 0 {
        store.ring(vec![Wake::Events(Some(hold.job))]);
    }
}
