//! What is written without a lease: what hosts say of themselves, pipelines, plugins' bytes
//! and events. None of it touches a job.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Store, events, lines};
use crate::error::Fault;
use crate::rules::{self, NOBODY, clean};
use crate::write::{Told, of_no_job};
use crate::{HostReport, PipelineEntry, Wake};
use pipeline::{Digest, Event, HostId};
use sqlx::query;
use std::time::Duration;

/// Notes a heartbeat: the host is alive for as long as its lease.
pub(super) async fn seen(
    store: &Store,
    conn: &mut Conn,
    host: &HostId,
    lease_time: Duration,
) -> Result<(), Fault> {
    // A host that hasn't reported yet has a row without a report, which no list shows.
    query(concat!(
        "INSERT INTO hosts (host, report, seen_at, lease_ms) VALUES ($1, '', ",
        now!("$2"),
        ", $3) ON CONFLICT (host) DO UPDATE SET ",
        "seen_at = excluded.seen_at, lease_ms = excluded.lease_ms"
    ))
    .bind(&host.0)
    .bind(store.now())
    .bind(rules::millis(lease_time))
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn report_host(store: &Store, report: &HostReport) -> Result<(), Fault> {
    // Two statements that need no transaction around them.
    let mut conn = store.single().await?;
    query(concat!(
        "INSERT INTO hosts (host, report, seen_at) VALUES ($1, $2, ",
        now!("$3"),
        ") ON CONFLICT (host) DO UPDATE SET report = excluded.report, seen_at = excluded.seen_at"
    ))
    .bind(&report.host.0)
    .bind(rules::json(report)?)
    .bind(store.now())
    .execute(&mut *conn)
    .await?;
    query(concat!(
        "DELETE FROM hosts WHERE seen_at < ",
        now!("$1"),
        " - $2"
    ))
    .bind(store.now())
    .bind(rules::FORGET_HOST_MS)
    .execute(&mut *conn)
    .await?;
    store.end(conn).await?;
    Ok(())
}

pub(super) async fn put_pipelines(store: &Store, pipelines: &[PipelineEntry]) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    super::lock_pipelines(&mut tx).await?;
    query("DELETE FROM pipelines").execute(&mut *tx).await?;
    for entry in pipelines {
        query(
            "INSERT INTO pipelines (name, entry) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET entry = excluded.entry",
        )
        .bind(clean(entry.name()))
        .bind(rules::json(entry)?)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    lines::follow(store, pipelines).await
}

pub(super) async fn put_blob(store: &Store, bytes: &[u8]) -> Result<Digest, Fault> {
    let digest = Digest::of(bytes);
    let mut tx = store.begin().await?;
    query("INSERT INTO blobs (digest, owner, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(&digest.0)
        .bind(NOBODY)
        .bind(bytes)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(digest)
}

pub(super) async fn tell(store: &Store, told: &[Event]) -> Result<(), Fault> {
    let told = Told::kept(told)?;
    let mut tx = store.begin().await?;
    events::add(store, &mut tx, &of_no_job(&told)).await?;
    tx.commit().await?;
    store.ring(vec![Wake::Events(None)]);
    Ok(())
}

pub(super) async fn delete_site(store: &Store, slug: &str) -> Result<bool, Fault> {
    let mut tx = store.begin().await?;
    let done = query("DELETE FROM sites WHERE slug = $1")
        .bind(clean(slug))
        .execute(&mut *tx)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    query("DELETE FROM slugs WHERE slug = $1")
        .bind(clean(slug))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    store.ring(vec![Wake::Sites]);
    Ok(true)
}
