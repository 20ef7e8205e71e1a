//! The gates themselves: what limits and pauses there are, set by people and by pipelines' files.
//! Who stands before them, and who is let through, is `lines`' matter.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Store, lines};
use crate::error::Fault;
use crate::rules::{self, clean};
use crate::{Gate, GateChange, GateKind, PipelineEntry, Rate};
use sqlx::{Row as _, query};
use std::time::Duration;

/// Makes the gates of groups that have none from the one called `*`.
pub(super) async fn adopt(conn: &mut Conn, group: &str) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO gates (kind, name, capacity, rate_jobs, rate_ms, own) \
         SELECT 'group', $1, capacity, rate_jobs, rate_ms, false FROM gates \
         WHERE kind = 'group' AND name = '*' ON CONFLICT DO NOTHING",
    )
    .bind(group)
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets limits or a pause; what it concerns by now moves in steps, each a transaction.
pub(super) async fn set(
    store: &Store,
    kind: GateKind,
    name: &str,
    change: &GateChange,
) -> Result<(), Fault> {
    let name = clean(name);
    let name = name.as_ref();
    let mut tx = store.begin().await?;
    write(store, &mut tx, kind, name, change).await?;
    if kind == GateKind::Group && name == "*" {
        let rows = query("SELECT name FROM gates WHERE kind = 'group' AND NOT own")
            .fetch_all(&mut *tx)
            .await?;
        for row in rows {
            write(store, &mut tx, kind, row.try_get(0)?, change).await?;
        }
    } else {
        query("UPDATE gates SET own = true WHERE kind = $1 AND name = $2")
            .bind(kind.word())
            .bind(name)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    while lines::hold_back(store, kind, name).await? {}
    let mut tx = store.begin().await?;
    lines::settle(store, &mut tx).await?;
    tx.commit().await?;
    store.ring(vec![crate::Wake::Ready]);
    Ok(())
}

/// Writes the gate, and counts those that run under a limit that is new.
async fn write(
    store: &Store,
    conn: &mut Conn,
    kind: GateKind,
    name: &str,
    change: &GateChange,
) -> Result<(), Fault> {
    query("INSERT INTO gates (kind, name) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(kind.word())
        .bind(name)
        .execute(&mut *conn)
        .await?;
    let row = query(concat!(
        "SELECT capacity FROM gates WHERE kind = $1 AND name = $2",
        lock!()
    ))
    .bind(kind.word())
    .bind(name)
    .fetch_one(&mut *conn)
    .await?;
    let before: Option<i32> = row.try_get(0)?;
    let rate = change.rate.flatten();
    let jobs = rate.map(|rate| i32::try_from(rate.jobs).unwrap_or(i32::MAX));
    let capacity = change.capacity.flatten();
    query(concat!(
        "UPDATE gates SET capacity = CASE WHEN $1 THEN CAST($2 AS integer) ELSE capacity END, ",
        "rate_jobs = CASE WHEN $3 THEN CAST($4 AS integer) ELSE rate_jobs END, ",
        "rate_ms = CASE WHEN $3 THEN CAST($5 AS bigint) ELSE rate_ms END, ",
        "next_start = CASE WHEN $3 THEN NULL ELSE next_start END, ",
        "paused = coalesce(CAST($6 AS boolean), paused), open_at = ",
        now!("$7"),
        " WHERE kind = $8 AND name = $9"
    ))
    .bind(change.capacity.is_some())
    .bind(capacity.map(|most| i32::try_from(most).unwrap_or(i32::MAX)))
    .bind(change.rate.is_some())
    .bind(jobs)
    .bind(rate.map(|rate| rules::millis(rate.per)))
    .bind(change.paused)
    .bind(store.now())
    .bind(kind.word())
    .bind(name)
    .execute(&mut *conn)
    .await?;
    if before.is_none() && capacity.is_some() {
        query(match kind {
            GateKind::Group => concat!(
                "UPDATE jobs SET group_slot = true WHERE id IN (SELECT id FROM jobs ",
                "WHERE group_key = $1 AND status = 'running' ORDER BY id",
                lock!(),
                ")"
            ),
            _ => concat!(
                "UPDATE jobs SET pipeline_slot = true WHERE id IN (SELECT id FROM jobs ",
                "WHERE pipeline = $1 AND status = 'running' ORDER BY id",
                lock!(),
                ")"
            ),
        })
        .bind(name)
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Gives pipelines the limits that their files say, where they say others than before.
pub(super) async fn follow(store: &Store, pipelines: &[PipelineEntry]) -> Result<(), Fault> {
    let gates = list(store).await?;
    for entry in pipelines {
        let PipelineEntry::Ready(spec) = entry else {
            continue;
        };
        let mut of_pipelines = gates.iter().filter(|gate| gate.kind == GateKind::Pipeline);
        let gate = of_pipelines.find(|gate| gate.name == spec.name);
        if gate.and_then(|gate| gate.capacity) != spec.concurrency {
            let change = GateChange {
                capacity: Some(spec.concurrency),
                ..GateChange::default()
            };
            set(store, GateKind::Pipeline, &clean(&spec.name), &change).await?;
        }
    }
    Ok(())
}

/// Every gate, by kind and name.
pub(super) async fn list(store: &Store) -> Result<Vec<Gate>, Fault> {
    let rows = query(
        "SELECT kind, name, capacity, rate_jobs, rate_ms, paused, CASE kind \
         WHEN 'group' THEN (SELECT count(*) FROM jobs WHERE group_key = gates.name AND group_slot \
         AND (status = 'running' OR ready OR line = 'pipeline')) \
         WHEN 'pipeline' THEN (SELECT count(*) FROM jobs WHERE pipeline = gates.name \
         AND pipeline_slot AND (status = 'running' OR ready)) ELSE 0 END AS taken, CASE kind \
         WHEN 'group' THEN (SELECT count(*) FROM jobs WHERE line = 'group' \
         AND group_key = gates.name) \
         WHEN 'pipeline' THEN (SELECT count(*) FROM jobs WHERE line IN ('pipeline', 'pause') \
         AND pipeline = gates.name) \
         ELSE (SELECT count(*) FROM jobs WHERE line = 'pause') END AS waiting \
         FROM gates ORDER BY kind, name",
    )
    .fetch_all(store.reads())
    .await?;
    let mut gates = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(kind) = GateKind::from_word(row.try_get("kind")?) else {
            continue;
        };
        let whole = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let small = |column: &str| -> Result<Option<u32>, sqlx::Error> {
            let number: Option<i32> = row.try_get(column)?;
            Ok(number.map(|number| whole(i64::from(number))))
        };
        let per: Option<i64> = row.try_get("rate_ms")?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        gates.push(Gate {
            kind,
            name: row.try_get("name")?,
            capacity: small("capacity")?,
            rate: small("rate_jobs")?.zip(per).map(|(jobs, per)| Rate {
                jobs,
                per: Duration::from_millis(count(per)),
            }),
            paused: row.try_get("paused")?,
            taken: count(row.try_get("taken")?),
            waiting: count(row.try_get("waiting")?),
        });
    }
    Ok(gates)
}
