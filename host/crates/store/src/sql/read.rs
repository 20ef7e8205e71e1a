//! What is only read, a statement each. A row that can't be read fails the call that asks for
//! it, but is left out of a list, with an error in the log.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Row, Store, rows};
use crate::error::Fault;
use crate::rules::{self, clean};
use crate::{Filter, HostReport, HostState, Page, PipelineEntry, Site};
use pipeline::{Digest, Job, JobId, LogLine, Status, StoredEvent, Timestamp};
use sqlx::{Row as _, query};
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn job(store: &Store, id: JobId) -> Result<Option<Job>, Fault> {
    let row = query(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE id = $1"
    ))
    .bind(id.0)
    .fetch_optional(store.reads())
    .await?;
    row.as_ref().map(rows::job).transpose()
}

/// Jobs of a filter; what is added to it keeps an index of its own useful.
macro_rules! jobs_where {
    ($($more:tt)*) => {
        concat!(
            "SELECT ",
            job_columns!(),
            " FROM jobs WHERE (CAST($1 AS text) IS NULL OR status = $1) ",
            "AND (CAST($2 AS text) IS NULL OR pipeline = $2) ",
            "AND (CAST($3 AS text) IS NULL OR group_key = $3) ",
            "AND (CAST($4 AS text) IS NULL OR name_folded LIKE $4 ESCAPE '!') ",
            "AND (CAST($5 AS bigint) IS NULL OR number < $5) ",
            $($more)*
            "ORDER BY number DESC LIMIT $6"
        )
    };
}

pub(super) async fn jobs(store: &Store, filter: &Filter) -> Result<Page<Job>, Fault> {
    let mut asked = query(match &filter.groups {
        None => jobs_where!(),
        Some(_) => jobs_where!("AND ", in_list!("group_key", "$7"), " ",),
    })
    .bind(filter.status.map(Status::word))
    .bind(filter.pipeline.as_deref().map(clean))
    .bind(filter.group.as_deref().map(clean))
    .bind(filter.q.as_deref().map(rules::pattern))
    .bind(filter.cursor)
    .bind(rules::rows(filter.limit));
    if let Some(groups) = &filter.groups {
        asked = asked.bind(super::list(groups)?);
    }
    let found = asked.fetch_all(store.reads()).await?;
    // The page is cut by rows, so that one that can't be read doesn't end the list.
    let mut numbered = Vec::with_capacity(found.len());
    for row in &found {
        numbered.push((row.try_get::<i64, _>("number")?, row));
    }
    let page = rules::page(numbered, filter.limit, |(number, _)| *number);
    let read: Vec<&Row> = page.items.into_iter().map(|(_, row)| row).collect();
    Ok(Page {
        items: readable(&read, rows::job)?,
        next_cursor: page.next_cursor,
    })
}

/// What can be read of these rows.
pub(super) fn readable<T>(
    found: &[&Row],
    read: impl Fn(&Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut items = Vec::with_capacity(found.len());
    for row in found {
        match read(row) {
            Ok(item) => items.push(item),
            Err(Fault::Store(error)) => tracing::error!(%error, "left out of a list"),
            Err(error) => return Err(error),
        }
    }
    Ok(items)
}

pub(super) async fn job_events(
    store: &Store,
    id: JobId,
    after: i64,
    limit: u32,
) -> Result<Vec<StoredEvent>, Fault> {
    let found = query(concat!(
        "SELECT ",
        event_columns!(),
        " FROM events WHERE job = $1 AND seq > $2 ORDER BY seq LIMIT $3"
    ))
    .bind(id.0)
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(store.reads())
    .await?;
    readable(&found.iter().collect::<Vec<_>>(), rows::event)
}

pub(super) async fn logs(
    store: &Store,
    id: JobId,
    after: i64,
    limit: u32,
) -> Result<Vec<LogLine>, Fault> {
    let found = query(
        "SELECT seq, at, phase, attempt, level, line FROM logs \
         WHERE job = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    )
    .bind(id.0)
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(store.reads())
    .await?;
    found.iter().map(rows::line).collect()
}

/// Sites of a list; what is added to it keeps it short.
macro_rules! sites_where {
    ($($more:tt)*) => {
        concat!(
            "SELECT number, slug, job, revision, publication, published_at FROM sites ",
            "WHERE (CAST($1 AS bigint) IS NULL OR number < $1) ",
            $($more)*
            "ORDER BY number DESC LIMIT $2"
        )
    };
}

pub(super) async fn sites(
    store: &Store,
    limit: u32,
    cursor: Option<i64>,
    groups: Option<&BTreeSet<String>>,
) -> Result<Page<Site>, Fault> {
    let mut asked = query(match groups {
        None => sites_where!(),
        Some(_) => sites_where!(
            "AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = sites.job AND ",
            in_list!("jobs.group_key", "$3"),
            ") ",
        ),
    })
    .bind(cursor)
    .bind(rules::rows(limit));
    if let Some(groups) = groups {
        asked = asked.bind(super::list(groups)?);
    }
    let found = asked.fetch_all(store.reads()).await?;
    let found = readable(&found.iter().collect::<Vec<_>>(), rows::site)?;
    Ok(rules::page(found, limit, |site| site.number))
}

pub(super) async fn published(store: &Store) -> Result<Vec<Site>, Fault> {
    let found = query(
        "SELECT number, slug, job, revision, publication, published_at FROM sites ORDER BY number",
    )
    .fetch_all(store.reads())
    .await?;
    // Whoever tidies up by this list would take a site that is left out for one that is gone.
    found.iter().map(rows::site).collect()
}

pub(super) async fn site(store: &Store, slug: &str) -> Result<Option<Site>, Fault> {
    let row = query(
        "SELECT number, slug, job, revision, publication, published_at FROM sites WHERE slug = $1",
    )
    .bind(clean(slug))
    .fetch_optional(store.reads())
    .await?;
    row.as_ref().map(rows::site).transpose()
}

pub(super) async fn hosts(store: &Store) -> Result<Vec<HostState>, Fault> {
    let found = query(concat!(
        "SELECT host, report, seen_at, seen_at + coalesce(lease_ms, CAST($2 AS bigint)) > ",
        now!("$1"),
        " AS alive FROM hosts WHERE report <> '' ORDER BY host"
    ))
    .bind(store.now())
    .bind(rules::HOST_WITHOUT_LEASE_MS)
    .fetch_all(store.reads())
    .await?;
    let state = |row: &Row| {
        let host: String = row.try_get("host")?;
        let report: String = row.try_get("report")?;
        let report: HostReport = rules::parse(&report, || format!("host {host}"))?;
        let seen_at = Timestamp::from_millis(row.try_get("seen_at")?);
        let alive = row.try_get("alive")?;
        Ok(HostState {
            report,
            seen_at,
            alive,
        })
    };
    readable(&found.iter().collect::<Vec<_>>(), state)
}

pub(super) async fn pipelines(store: &Store) -> Result<Vec<PipelineEntry>, Fault> {
    let found = query("SELECT name, entry FROM pipelines ORDER BY name")
        .fetch_all(store.reads())
        .await?;
    let entry = |row: &Row| {
        let name: String = row.try_get("name")?;
        let entry: String = row.try_get("entry")?;
        Ok(rules::parse(&entry, || format!("pipeline `{name}`"))?)
    };
    readable(&found.iter().collect::<Vec<_>>(), entry)
}

pub(super) async fn counts(
    store: &Store,
    groups: Option<&BTreeSet<String>>,
) -> Result<BTreeMap<Status, u64>, Fault> {
    let mut counts: BTreeMap<Status, u64> =
        Status::ALL.into_iter().map(|status| (status, 0)).collect();
    let found = match groups {
        None => query("SELECT status, count(*) AS jobs FROM jobs GROUP BY status"),
        Some(groups) => query(concat!(
            "SELECT status, count(*) AS jobs FROM jobs WHERE ",
            in_list!("group_key", "$1"),
            " GROUP BY status"
        ))
        .bind(super::list(groups)?),
    };
    let found = found.fetch_all(store.reads()).await?;
    for row in found {
        let status: String = row.try_get("status")?;
        let jobs: i64 = row.try_get("jobs")?;
        if let Some(status) = Status::from_word(&status) {
            counts.insert(status, u64::try_from(jobs).unwrap_or(0));
        }
    }
    Ok(counts)
}

pub(super) async fn blob(store: &Store, digest: &Digest) -> Result<Option<Vec<u8>>, Fault> {
    let row = query("SELECT bytes FROM blobs WHERE digest = $1 LIMIT 1")
        .bind(clean(&digest.0))
        .fetch_optional(store.reads())
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

pub(super) async fn installation(store: &Store) -> Result<String, Fault> {
    let row = query("SELECT id FROM installation")
        .fetch_one(store.reads())
        .await?;
    Ok(row.try_get(0)?)
}

pub(super) async fn ping(store: &Store) -> Result<(), Fault> {
    query("SELECT 1").fetch_one(store.reads()).await?;
    Ok(())
}
