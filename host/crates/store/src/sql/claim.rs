//! Giving jobs to hosts, and keeping them there: what is asked in which order, and what the
//! answer is. How rows are chosen and locked is each database's own: see `holds` of both.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Row, Store, commit, holds, lines, report, rows};
use crate::error::Fault;
use crate::rules;
use crate::taker::Room;
use crate::{Ask, Beat, Begin, Claimed, Hold, TakeOver, Wake};
use pipeline::{HostId, Lease};
use sqlx::{Row as _, query};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

pub(super) async fn claim(
    store: &Store,
    ask: &Ask,
    begin: &Begin<'_>,
) -> Result<Vec<Claimed>, Fault> {
    if ask.limit == 0 {
        return Ok(Vec::new());
    }
    let mut tx = store.begin().await?;
    let mut chosen: Vec<(Row, bool)> = Vec::new();
    if ask.take_over != TakeOver::None {
        let found = holds::choose_left(store, &mut tx, ask).await?;
        chosen.extend(found.into_iter().map(|row| (row, true)));
    }
    let left = i64::from(ask.limit) - i64::try_from(chosen.len()).unwrap_or(0);
    if left > 0 {
        if ask.look {
            // What waits and is due comes to its line, or joins the ready ones.
            let mut due = BTreeSet::new();
            for row in holds::make_ready(store, &mut tx).await? {
                let line: Option<&str> = row.try_get("line")?;
                due.extend(lines::entered(
                    line,
                    row.try_get("group_key")?,
                    row.try_get("pipeline")?,
                ));
            }
            lines::open(store, &mut tx, due).await?;
            lines::settle(store, &mut tx).await?;
        }
        let found = holds::choose_ready(&mut tx, ask, left).await?;
        chosen.extend(found.into_iter().map(|row| (row, false)));
    }
    let (claimed, wakes) = take(store, &mut tx, ask, chosen, begin).await?;
    tx.commit().await?;
    store.ring(wakes);
    Ok(claimed)
}

/// Gives jobs that this transaction brings to the driver of this process; whom to wake once it is
/// committed.
pub(super) async fn give(
    store: &Store,
    conn: &mut Conn,
    room: &Room,
) -> Result<(Vec<Claimed>, Vec<Wake>), Fault> {
    let Room { taker, ask, .. } = room;
    let found = holds::choose_ready(conn, ask, i64::from(ask.limit)).await?;
    let chosen = found.into_iter().map(|row| (row, false));
    take(store, conn, ask, chosen, &|claimed| taker.begin(claimed)).await
}

/// Gives what was chosen to the host that asks, and has it begin: one version of its row.
async fn take(
    store: &Store,
    conn: &mut Conn,
    ask: &Ask,
    chosen: impl IntoIterator<Item = (Row, bool)>,
    begin: &Begin<'_>,
) -> Result<(Vec<Claimed>, Vec<Wake>), Fault> {
    let mut claimed = Vec::new();
    for (row, rescued) in chosen {
        match rows::taken(&row, &ask.host) {
            Ok(job) => claimed.push(Claimed {
                job,
                lease: Lease(row.try_get::<i64, _>("lease")? + 1),
                rank: row.try_get("rank")?,
                rescued,
                begun: false,
            }),
            Err(Fault::Store(error)) => {
                tracing::error!(%error, "a job is left to hosts that can read it");
                leave(store, conn, row.try_get("id")?).await?;
            }
            Err(error) => return Err(error),
        }
    }
    rules::order(&mut claimed);
    let wakes = commit::begin(store, conn, ask, &mut claimed, begin).await?;
    Ok((claimed, wakes))
}

/// How long nothing will be there to be claimed, unless somebody wakes; none where nothing is in
/// sight.
pub(super) async fn idle_for(store: &Store, ask: &Ask) -> Result<Option<Duration>, Fault> {
    let row = holds::next(store, ask).await?;
    let next: Option<i64> = row.try_get(0)?;
    Ok(next.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
}

/// Puts aside a chosen job that this version can't read: one bad row must not stop the others.
async fn leave(store: &Store, conn: &mut Conn, job: Uuid) -> Result<(), sqlx::Error> {
    query(concat!(
        "UPDATE jobs SET status = 'waiting', ready = false, host = NULL, lease_until = NULL, ",
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
    held: &[Hold],
    lease_time: Duration,
) -> Result<Vec<Beat>, Fault> {
    if held.is_empty() {
        let mut conn = store.single().await?;
        report::seen(store, &mut conn, host, lease_time).await?;
        store.end(conn).await?;
        return Ok(Vec::new());
    }
    let mut tx = store.begin().await?;
    report::seen(store, &mut tx, host, lease_time).await?;
    let beats = holds::extend(store, &mut tx, host, held, lease_time).await?;
    tx.commit().await?;
    Ok(beats)
}
