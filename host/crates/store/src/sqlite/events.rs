//! Events and lines in SQLite, many in a statement, in the caller's transaction. The stream is by
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
    if told.is_empty() {
        return Ok(());
    }
    let rows = told.iter().map(|it| {
        let Numbered { job, seq, told } = it;
        (job, seq, &told.kind, &told.phase, told.attempt, &told.data)
    });
    query(concat!(
        "INSERT INTO events (job, seq, kind, at, phase, attempt, data) ",
        "SELECT unhex(value ->> 0, '-'), value ->> 1, value ->> 2, ",
        now!("$2"),
        ", value ->> 3, value ->> 4, value ->> 5 FROM json_each($1) ORDER BY key"
    ))
    .bind(rules::json(&rows.collect::<Vec<_>>())?)
    .bind(store.now())
    .execute(conn)
    .await?;
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
    if lines.is_empty() {
        return Ok(());
    }
    let rows = rules::numbers(last, lines.len()).zip(lines);
    let rows = rows.map(|(seq, line)| {
        let phase = line.phase.as_deref().map(clean);
        (
            seq,
            phase,
            line.attempt,
            line.level.word(),
            clean(&line.text),
        )
    });
    query(concat!(
        "INSERT INTO logs (job, seq, at, phase, attempt, level, line) ",
        "SELECT $1, value ->> 0, ",
        now!("$2"),
        ", value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each($3)"
    ))
    .bind(job.0)
    .bind(store.now())
    .bind(rules::json(&rows.collect::<Vec<_>>())?)
    .execute(conn)
    .await?;
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
