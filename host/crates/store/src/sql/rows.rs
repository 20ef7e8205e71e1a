//! How columns become the rows of `rules`. What a row means is said there.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::Row;
use crate::Site;
use crate::error::Fault;
use crate::rules::{EventRow, JobRow, LineRow, SiteRow};
use crate::write::{Entered, NewRow};
use pipeline::{HostId, Job, LogLine, StoredEvent};
use sqlx::Row as _;
use std::collections::HashMap;
use uuid::Uuid;

pub(super) fn job(row: &Row) -> Result<Job, Fault> {
    Ok(job_row(row)?.job()?)
}

/// For the host that is about to take it.
pub(super) fn taken(row: &Row, by: &HostId) -> Result<Job, Fault> {
    Ok(job_row(row)?.taken_by(by)?)
}

fn job_row(row: &Row) -> Result<JobRow, Fault> {
    Ok(JobRow {
        id: row.try_get("id")?,
        number: row.try_get("number")?,
        status: row.try_get("status")?,
        wait_until: row.try_get("wait_until")?,
        cancel_requested: row.try_get("cancel_requested")?,
        host: row.try_get("host")?,
        engine: row.try_get("engine")?,
        line: row.try_get("line")?,
        line_until: row.try_get("line_until")?,
        live: row.try_get("live")?,
        body: row.try_get("body")?,
    })
}

pub(super) fn event(row: &Row) -> Result<StoredEvent, Fault> {
    let row = EventRow {
        position: (row.try_get("xid")?, row.try_get("id")?),
        job: row.try_get("job")?,
        seq: row.try_get("seq")?,
        kind: row.try_get("kind")?,
        at: row.try_get("at")?,
        phase: row.try_get("phase")?,
        attempt: row.try_get("attempt")?,
        data: row.try_get("data")?,
    };
    Ok(row.event()?)
}

pub(super) fn line(row: &Row) -> Result<LogLine, Fault> {
    let row = LineRow {
        seq: row.try_get("seq")?,
        at: row.try_get("at")?,
        phase: row.try_get("phase")?,
        attempt: row.try_get("attempt")?,
        level: row.try_get("level")?,
        line: row.try_get("line")?,
    };
    Ok(row.line())
}

pub(super) fn site(row: &Row) -> Result<Site, Fault> {
    let row = SiteRow {
        number: row.try_get("number")?,
        slug: row.try_get("slug")?,
        job: row.try_get("job")?,
        revision: row.try_get("revision")?,
        publication: row.try_get("publication")?,
        published_at: row.try_get("published_at")?,
    };
    Ok(row.site()?)
}

/// New jobs that came into no line, in the order in which they were given.
pub(super) fn entered(found: &[Row], new: &[&NewRow]) -> Result<Vec<Entered>, Fault> {
    let mut entered = HashMap::with_capacity(found.len());
    for row in found {
        let at = Entered {
            number: row.try_get("number")?,
            rank: row.try_get("rank")?,
            begins: row.try_get("begins")?,
        };
        entered.insert(row.try_get::<Uuid, _>("id")?, at);
    }
    Ok(new.iter().filter_map(|it| entered.remove(&it.id)).collect())
}
