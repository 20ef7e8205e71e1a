//! What a holder writes: each statement looks at the lease. It doesn't decide what to write.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Store, events};
use crate::error::Fault;
use crate::rules::{self, clean};
use crate::{Change, Committed, Hold, OnCancel, StoreError};
use pipeline::{Job, Publication, Status, Timestamp};
use sqlx::{Row as _, query};
use std::collections::BTreeSet;

pub(super) async fn commit(
    store: &Store,
    hold: &Hold,
    change: &Change,
) -> Result<Committed, Fault> {
    let job = &change.step.next;
    let told = rules::kept(&change.step.events);
    let mut tx = store.begin().await?;
    let Some(seq) = write(store, &mut tx, hold, change, told.len()).await? else {
        return Ok(why_not(&mut tx, hold).await?);
    };
    events::add(store, &mut tx, Some(hold.job), seq, &told).await?;
    for (digest, bytes) in &change.blobs {
        query(
            "INSERT INTO blobs (digest, owner, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(&digest.0)
        .bind(hold.job.0)
        .bind(bytes.as_slice())
        .execute(&mut *tx)
        .await?;
    }
    for (place, publication) in (0_i64..).zip(&change.step.publish) {
        publish(store, &mut tx, job, place, publication).await?;
    }
    let mut sites = !change.step.publish.is_empty();
    if job.status == Status::Succeeded {
        sites |= take_back(&mut tx, job).await?;
    }
    tx.commit().await?;
    store.ring(rules::wakes(job, told.len(), sites));
    Ok(Committed::Done { seq })
}

/// Writes the job's row; the number of its last event, or nothing where it may not.
async fn write(
    store: &Store,
    conn: &mut Conn,
    hold: &Hold,
    change: &Change,
    told: usize,
) -> Result<Option<i64>, Fault> {
    let job = &change.step.next;
    let (until, pause) = rules::wait(job, change.now);
    let row = query(concat!(
        "UPDATE jobs SET body = $1, status = $2, revision = $3, root = $4, finished_at = $5, ",
        "wait_until = coalesce(CAST($6 AS bigint), ",
        now!("$7"),
        " + CAST($8 AS bigint)), ",
        "ready = (CAST($2 AS text) = 'queued'), event_seq = event_seq + $9, ",
        "host = CASE WHEN CAST($2 AS text) = 'running' THEN host END, ",
        "lease_until = CASE WHEN CAST($2 AS text) = 'running' THEN lease_until END ",
        "WHERE id = $10 AND lease = $11 AND host = $12 AND status = 'running' ",
        "AND (NOT cancel_requested OR $13) RETURNING event_seq"
    ))
    .bind(rules::json(job)?)
    .bind(job.status.word())
    .bind(i64::from(job.revision))
    .bind(job.root.as_ref().map(|root| root.0.as_str()))
    .bind(job.finished_at.map(Timestamp::as_millis))
    .bind(until)
    .bind(store.now())
    .bind(pause)
    .bind(i64::try_from(told).unwrap_or(i64::MAX))
    .bind(hold.job.0)
    .bind(hold.lease.0)
    .bind(&hold.host.0)
    .bind(change.on_cancel == OnCancel::Ignore)
    .fetch_optional(&mut *conn)
    .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Why a commit found no row: the cancel request where the lease still holds.
async fn why_not(conn: &mut Conn, hold: &Hold) -> Result<Committed, sqlx::Error> {
    let held = query(
        "SELECT 1 FROM jobs WHERE id = $1 AND lease = $2 AND host = $3 AND status = 'running'",
    )
    .bind(hold.job.0)
    .bind(hold.lease.0)
    .bind(&hold.host.0)
    .fetch_optional(conn)
    .await?;
    Ok(match held {
        Some(_) => Committed::CancelRequested,
        None => Committed::LeaseLost,
    })
}

/// Puts a site's row in place, where the address is the job's or nobody's.
async fn publish(
    store: &Store,
    conn: &mut Conn,
    job: &Job,
    place: i64,
    publication: &Publication,
) -> Result<(), Fault> {
    // Reserved before, as a rule; not so where the site was deleted in between.
    query(
        "INSERT INTO slugs (slug, job, place, wish) VALUES ($1, $2, $3, $1) ON CONFLICT DO NOTHING",
    )
    .bind(&publication.slug)
    .bind(job.id.0)
    .bind(place)
    .execute(&mut *conn)
    .await?;
    let done = query(concat!(
        "INSERT INTO sites (slug, job, revision, publication, published_at) ",
        "SELECT $1, $2, $3, $4, ",
        now!("$5"),
        " WHERE EXISTS (SELECT 1 FROM slugs WHERE slug = $1 AND job = $2) ",
        "ON CONFLICT (slug) DO UPDATE SET revision = excluded.revision, ",
        "publication = excluded.publication, published_at = excluded.published_at ",
        "WHERE sites.job = excluded.job"
    ))
    .bind(&publication.slug)
    .bind(job.id.0)
    .bind(i64::from(job.revision))
    .bind(rules::json(publication)?)
    .bind(store.now())
    .execute(conn)
    .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::SlugTaken {
            slug: publication.slug.clone(),
        }
        .into());
    }
    Ok(())
}

/// Takes back what the job published before and doesn't any more; whether there was any.
async fn take_back(conn: &mut Conn, job: &Job) -> Result<bool, sqlx::Error> {
    let keep: BTreeSet<&str> = job.sites.iter().map(|site| site.slug.as_str()).collect();
    let rows = query("SELECT slug FROM sites WHERE job = $1")
        .bind(job.id.0)
        .fetch_all(&mut *conn)
        .await?;
    let mut any = false;
    for row in rows {
        let slug: String = row.try_get(0)?;
        if !keep.contains(slug.as_str()) {
            query("DELETE FROM sites WHERE slug = $1")
                .bind(slug)
                .execute(&mut *conn)
                .await?;
            any = true;
        }
    }
    Ok(any)
}

pub(super) async fn reserve_slug(
    store: &Store,
    hold: &Hold,
    wish: &str,
    index: u32,
) -> Result<Option<String>, Fault> {
    let mut tx = store.begin().await?;
    let held = query(concat!(
        "SELECT 1 FROM jobs WHERE id = $1 AND lease = $2 AND host = $3 AND status = 'running'",
        lock!()
    ))
    .bind(hold.job.0)
    .bind(hold.lease.0)
    .bind(&hold.host.0)
    .fetch_optional(&mut *tx)
    .await?;
    if held.is_none() {
        return Ok(None);
    }
    let has = query("SELECT slug FROM slugs WHERE job = $1 AND place = $2")
        .bind(hold.job.0)
        .bind(i64::from(index))
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(row) = has {
        return Ok(Some(row.try_get(0)?));
    }
    let wish = pipeline::slug_from(&clean(wish));
    let slug = take_slug(&mut tx, hold, &wish, index).await?;
    tx.commit().await?;
    Ok(Some(slug))
}

/// The first free address from where the count of this wish says that one may be.
async fn take_slug(
    conn: &mut Conn,
    hold: &Hold,
    wish: &str,
    index: u32,
) -> Result<String, sqlx::Error> {
    let taken: i64 = query("SELECT count(*) FROM slugs WHERE wish = $1")
        .bind(wish)
        .fetch_one(&mut *conn)
        .await?
        .try_get(0)?;
    let mut n = taken + 1;
    loop {
        let slug = rules::address(wish, n);
        let done = query(
            "INSERT INTO slugs (slug, job, place, wish) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (slug) DO NOTHING",
        )
        .bind(&slug)
        .bind(hold.job.0)
        .bind(i64::from(index))
        .bind(wish)
        .execute(&mut *conn)
        .await?;
        if done.rows_affected() == 1 {
            return Ok(slug);
        }
        n += 1;
    }
}
