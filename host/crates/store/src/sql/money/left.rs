//! What holders set aside and never told of: it is booked in full.

use super::super::{Conn, Row, Store};
use super::{Names, add, unsigned};
use crate::Hold;
use crate::error::Fault;
use crate::money::Spending;
use crate::rules::bytes as signed;
use pipeline::{JobId, Usage};
use sqlx::{Row as _, query};
use std::borrow::Cow;

/// Of a purse, that nobody holds its run any more.
macro_rules! orphaned {
    () => {
        "WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = purses.job \
         AND jobs.status = 'running' AND jobs.lease = purses.lease)"
    };
}

/// Purses that one call books in full.
const ORPHANS: i64 = 100;

pub(super) async fn book_left(store: &Store, hold: &Hold) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    let rows = query(concat!(
        "SELECT run, lease, day, job, phase, group_key, reserved FROM purses ",
        "WHERE job = $1 AND lease < $2 ORDER BY run, lease, day",
        lock!()
    ))
    .bind(hold.job.0)
    .bind(hold.lease.0)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        book_in_full(&mut tx, row).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// As a rule there are none, which takes one statement to see.
pub(super) async fn book_orphans(store: &Store) -> Result<u64, Fault> {
    let any = query(concat!("SELECT 1 FROM purses ", orphaned!(), " LIMIT 1"))
        .fetch_optional(store.reads())
        .await?;
    if any.is_none() {
        return Ok(0);
    }
    let mut tx = store.begin().await?;
    let rows = query(concat!(
        "SELECT run, lease, day, job, phase, group_key, reserved FROM purses ",
        orphaned!(),
        " ORDER BY run, lease, day LIMIT $1",
        skip_locked!()
    ))
    .bind(ORPHANS)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        book_in_full(&mut tx, row).await?;
    }
    tx.commit().await?;
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}

/// Nobody knows what became of it: all of it counts as spent.
async fn book_in_full(conn: &mut Conn, row: &Row) -> Result<(), Fault> {
    let run: &str = row.try_get("run")?;
    let day: &str = row.try_get("day")?;
    let lease: i64 = row.try_get("lease")?;
    let phase: &str = row.try_get("phase")?;
    let reserved = unsigned(row, "reserved")?;
    if reserved > 0 {
        let names = Names {
            run: Cow::Borrowed(run),
            phase: Cow::Borrowed(phase),
            job: JobId(row.try_get("job")?),
            group: row.try_get("group_key")?,
            day,
        };
        let spent = Spending {
            usage: Usage {
                cost_micro_usd: reserved,
                ..Usage::default()
            },
            assumed_micro_usd: reserved,
            ..Spending::default()
        };
        add(conn, &names, &spent, -signed(reserved)).await?;
    }
    query("DELETE FROM purses WHERE run = $1 AND lease = $2 AND day = $3")
        .bind(run)
        .bind(lease)
        .bind(day)
        .execute(conn)
        .await?;
    Ok(())
}
