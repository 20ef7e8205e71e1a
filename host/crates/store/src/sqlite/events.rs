//! Events and lines in SQLite, a statement each, in the caller's transaction. The stream is by
//! row id: with one writer, ids are in the order of the commits.

use super::{Conn, Store, read, rows};
use crate::Position;
use crate::error::Fault;
use crate::rules::{self, clean};
use crate::write::Numbered;
use pipeline::{JobId, LogLine, StoredEvent};
use sqlx::{Row as _, query};

/// Adds events, of any jobs.
pub(super) async fn add(
    store: &Store,
    conn: &mut Conn,
    told: &[Numbered<'_>],
) -> Result<(), Fault> {
    for Numbered { job, seq, told } in told {
        query(concat!(
            "INSERT INTO events (job, seq, kind, at, phase, attempt, data) VALUES ($1, $2, $3, ",
            now!("$4"),
            ", $5, $6, $7)"
        ))
        .bind(job.map(|job| job.0))
        .bind(seq)
        .bind(&told.kind)
        .bind(store.now())
        .bind(&told.phase)
        .bind(told.attempt)
        .bind(&told.data)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Adds lines, the last of which has the number `last`.
pub(super) async fn add_lines(
    store: &Store,
    conn: &mut Conn,
    job: JobId,
    last: i64,
    lines: &[LogLine],
) -> Result<(), Fault> {
    for (seq, line) in rules::numbers(last, lines.len()).zip(lines) {
        query(concat!(
            "INSERT INTO logs (job, seq, at, phase, attempt, level, line) VALUES ($1, $2, ",
            now!("$3"),
            ", $4, $5, $6, $7)"
        ))
        .bind(job.0)
        .bind(seq)
        .bind(store.now())
        .bind(line.phase.as_deref().map(clean))
        .bind(line.attempt.map(i64::from))
        .bind(line.level.word())
        .bind(clean(&line.text))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

pub(super) async fn stream(
    store: &Store,
    after: Position,
    limit: u32,
) -> Result<Vec<StoredEvent>, Fault> {
    let found = query(concat!(
        "SELECT ",
        event_columns!(),
        " FROM events WHERE id > $1 ORDER BY id LIMIT $2"
    ))
    .bind(after.1)
    .bind(i64::from(limit))
    .fetch_all(store.reads())
    .await?;
    // One event of a later version must not hold up the stream.
    read::readable(&found.iter().collect::<Vec<_>>(), rows::event)
}

pub(super) async fn stream_end(store: &Store) -> Result<Position, Fault> {
    let row = query("SELECT coalesce(max(id), 0) FROM events")
        .fetch_one(store.reads())
        .await?;
    Ok((0, row.try_get(0)?))
}
