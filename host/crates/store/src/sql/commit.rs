//! What a holder writes: each statement looks at the lease. It doesn't decide what to write.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::lines::{self, Door};
use super::{Conn, Store, holds, writes};
use crate::error::Fault;
use crate::rules::{self, clean};
use crate::write::{Changed, JobChange};
use crate::{Ask, Begin, Claimed, Committed, Hold, StoreError, Wake};
use pipeline::{Digest, JobId, Publication};
use sqlx::{Row as _, query};
use std::collections::BTreeSet;

/// Commits what can fail for no reason of its own, as one transaction.
pub(super) async fn together(
    store: &Store,
    changes: Vec<JobChange>,
) -> Vec<Result<Committed, StoreError>> {
    let all: Vec<&JobChange> = changes.iter().collect();
    match store.within(commit(store, &all)).await {
        Ok(done) => done.into_iter().map(Ok).collect(),
        // Which of them it was shows when they go one by one.
        Err(error) if changes.len() > 1 && !error.passes() => {
            let mut answers = Vec::with_capacity(changes.len());
            for change in &changes {
                answers.push(store.within(alone(store, change)).await);
            }
            answers
        }
        Err(error) => rules::all_failed(error, changes.len()),
    }
}

/// Commits one by itself.
pub(super) async fn alone(store: &Store, change: &JobChange) -> Result<Committed, Fault> {
    Ok(commit(store, &[change]).await?.swap_remove(0))
}

async fn commit(store: &Store, changes: &[&JobChange]) -> Result<Vec<Committed>, Fault> {
    if changes.iter().all(|change| change.is_plain()) {
        return plain(store, changes).await;
    }
    let mut tx = store.begin().await?;
    let (done, wakes) = apply(store, &mut tx, changes).await?;
    let mut answers = Vec::with_capacity(changes.len());
    for (change, done) in changes.iter().zip(done) {
        answers.push(match done {
            Some(seq) => Committed::Done { seq },
            None => why_not(&mut tx, &change.hold).await?,
        });
    }
    tx.commit().await?;
    store.ring(wakes);
    Ok(answers)
}

/// Has the chosen jobs begin; whom to wake once it is committed. What can fail for a reason of
/// its own, or is asked to end, is only taken: a commit of its own follows.
pub(super) async fn begin(
    store: &Store,
    conn: &mut Conn,
    ask: &Ask,
    claimed: &mut [Claimed],
    begin: &Begin<'_>,
) -> Result<Vec<Wake>, Fault> {
    let (mut begun, mut taken) = (Vec::with_capacity(claimed.len()), Vec::new());
    for claimed in claimed {
        let hold = Hold {
            job: claimed.job.id,
            lease: claimed.lease,
            host: ask.host.clone(),
        };
        let change = match claimed.job.cancel_requested {
            true => None,
            false => begin(claimed),
        };
        let row = change.and_then(|it| Some((JobChange::of(&hold, &it).ok()?, it.step.next)));
        match row {
            Some((row, next)) if !row.alone() => {
                claimed.job = next;
                claimed.begun = true;
                begun.push(row);
            }
            _ => taken.push(hold),
        }
    }
    if !taken.is_empty() {
        holds::take(store, conn, ask, &taken).await?;
    }
    if begun.is_empty() {
        return Ok(Vec::new());
    }
    let begun: Vec<&JobChange> = begun.iter().collect();
    let done = writes::take_and_tell(store, conn, ask, &begun).await?;
    let (_, wakes) = follow(store, conn, &begun, done).await?;
    Ok(wakes)
}

/// Writes all that changes; the number of each one's last event, none where the lease is lost or
/// an end is asked for, and whom to wake.
async fn apply(
    store: &Store,
    conn: &mut Conn,
    changes: &[&JobChange],
) -> Result<(Vec<Option<i64>>, Vec<Wake>), Fault> {
    let done = writes::change_and_tell(store, conn, changes).await?;
    follow(store, conn, changes, done).await
}

/// What goes with rows that were changed, in the same transaction.
async fn follow(
    store: &Store,
    conn: &mut Conn,
    changes: &[&JobChange],
    done: Vec<Option<Changed>>,
) -> Result<(Vec<Option<i64>>, Vec<Wake>), Fault> {
    let mut seqs = Vec::with_capacity(changes.len());
    let (mut doors, mut wakes) = (BTreeSet::new(), Vec::new());
    for (change, done) in changes.iter().zip(done) {
        seqs.push(done.as_ref().map(|done| done.seq));
        let Some(Changed { slots, .. }) = done else {
            continue;
        };
        wakes.extend(&change.wakes);
        doors.extend(opens(change, slots));
        for (digest, bytes) in &change.blobs {
            keep(conn, change.hold.job, digest, bytes).await?;
        }
        for (place, publication) in (0_i64..).zip(&change.publish) {
            publish(store, conn, change, place, publication).await?;
        }
        if let Some(keep) = &change.keep
            && take_back(conn, change.hold.job, keep).await?
        {
            wakes.push(Wake::Sites);
        }
    }
    if lines::open(store, conn, doors).await? {
        wakes.push(Wake::Ready);
    }
    Ok((seqs, wakes))
}

/// Commits rows and events and nothing else, in as few words as there are.
async fn plain(store: &Store, changes: &[&JobChange]) -> Result<Vec<Committed>, Fault> {
    let mut conn = store.single().await?;
    let done = writes::change_and_tell(store, &mut conn, changes).await?;
    let mut answers = Vec::with_capacity(changes.len());
    let (mut doors, mut wakes) = (BTreeSet::new(), Vec::new());
    for (change, done) in changes.iter().zip(done) {
        let Some(Changed { seq, slots }) = done else {
            answers.push(why_not(&mut conn, &change.hold).await?);
            continue;
        };
        answers.push(Committed::Done { seq });
        wakes.extend(&change.wakes);
        doors.extend(opens(change, slots));
    }
    store.end(conn).await?;
    // Its pipeline has a limit since it was submitted. Should this host die here, a sweep opens.
    lines::open_later(store, doors).await?;
    store.ring(wakes);
    Ok(answers)
}

/// The doors that a job which leaves its places opens.
fn opens(change: &JobChange, slots: (bool, bool)) -> Vec<Door> {
    match change.leaves() {
        true => lines::left(change.group.as_deref(), &change.pipeline, slots).collect(),
        false => Vec::new(),
    }
}

async fn keep(
    conn: &mut Conn,
    job: JobId,
    digest: &Digest,
    bytes: &[u8],
) -> Result<(), sqlx::Error> {
    query("INSERT INTO blobs (digest, owner, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(&digest.0)
        .bind(job.0)
        .bind(bytes)
        .execute(conn)
        .await?;
    Ok(())
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
    change: &JobChange,
    place: i64,
    publication: &Publication,
) -> Result<(), Fault> {
    // Reserved before, as a rule; not so where the site was deleted in between.
    query(
        "INSERT INTO slugs (slug, job, place, wish) VALUES ($1, $2, $3, $1) ON CONFLICT DO NOTHING",
    )
    .bind(&publication.slug)
    .bind(change.hold.job.0)
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
    .bind(change.hold.job.0)
    .bind(change.revision)
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
async fn take_back(conn: &mut Conn, job: JobId, keep: &[String]) -> Result<bool, sqlx::Error> {
    let rows = query("SELECT slug FROM sites WHERE job = $1")
        .bind(job.0)
        .fetch_all(&mut *conn)
        .await?;
    let mut any = false;
    for row in rows {
        let slug: String = row.try_get(0)?;
        if !keep.contains(&slug) {
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
