//! What is written without a lease: what hosts say of themselves, pipelines, plugins' bytes
//! and events. None of it touches a job.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Store, events, gates};
use crate::error::Fault;
use crate::rules::{self, NOBODY, clean};
use crate::write::{Told, of_no_job};
use crate::{HostReport, PipelineEntry, Wake};
use pipeline::{Digest, Event, HostId};
use sqlx::{Row as _, query};
use std::collections::BTreeSet;
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
    let stay = clear_pipelines(&mut tx).await?;
    let mut put = pipelines.to_vec();
    put.retain(|entry| !stay.contains(&*clean(entry.name())));
    for entry in &put {
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
    store.ring(vec![Wake::Pipelines]);
    gates::follow(store, &put).await
}

/// Takes away what this version can read, which it is about to write anew; the names of the
/// rest, which hosts of a later version have put there.
async fn clear_pipelines(conn: &mut Conn) -> Result<BTreeSet<String>, Fault> {
    let rows = query("SELECT name, entry FROM pipelines")
        .fetch_all(&mut *conn)
        .await?;
    let mut stay = BTreeSet::new();
    for row in rows {
        let (name, entry): (String, String) = (row.try_get("name")?, row.try_get("entry")?);
        let what = || format!("pipeline `{name}`");
        if let Err(error) = rules::parse::<PipelineEntry>(&entry, what) {
            tracing::warn!(%error, "a pipeline stays as a later version has put it");
            stay.insert(name);
            continue;
        }
        query("DELETE FROM pipelines WHERE name = $1")
            .bind(&name)
            .execute(&mut *conn)
            .await?;
    }
    Ok(stay)
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
