//! Events and lines in PostgreSQL, many in a statement, and the stream that skips none.
//! Their numbers come from the job's row, which the caller has locked.

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
    query(concat!(
        "INSERT INTO events (job, seq, kind, at, phase, attempt, data) SELECT job, seq, kind, ",
        now!("$1"),
        ", phase, attempt, data FROM unnest(CAST($2 AS uuid[]), $3, $4, CAST($5 AS text[]), ",
        "CAST($6 AS bigint[]), $7) ",
        "WITH ORDINALITY AS told (job, seq, kind, phase, attempt, data, n) ORDER BY n"
    ))
    .bind(store.now())
    .bind(
        told.iter()
            .map(|it| it.job.map(|job| job.0))
            .collect::<Vec<_>>(),
    )
    .bind(told.iter().map(|it| it.seq).collect::<Vec<_>>())
    .bind(
        told.iter()
            .map(|it| it.told.kind.as_str())
            .collect::<Vec<_>>(),
    )
    .bind(
        told.iter()
            .map(|it| it.told.phase.as_deref())
            .collect::<Vec<_>>(),
    )
    .bind(told.iter().map(|it| it.told.attempt).collect::<Vec<_>>())
    .bind(
        told.iter()
            .map(|it| it.told.data.as_str())
            .collect::<Vec<_>>(),
    )
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
    let seqs: Vec<i64> = rules::numbers(last, lines.len()).collect();
    let phases: Vec<_> = lines.iter().map(|l| l.phase.as_deref().map(text)).collect();
    let attempts: Vec<_> = lines.iter().map(|l| l.attempt.map(i64::from)).collect();
    let levels: Vec<&str> = lines.iter().map(|line| line.level.word()).collect();
    let texts: Vec<String> = lines.iter().map(|line| text(&line.text)).collect();
    query(concat!(
        "INSERT INTO logs (job, seq, at, phase, attempt, level, line) SELECT $1, seq, ",
        now!("$2"),
        ", phase, attempt, level, line FROM unnest($3, $4, $5, $6, $7) ",
        "AS told (seq, phase, attempt, level, line)"
    ))
    .bind(job.0)
    .bind(store.now())
    .bind(seqs)
    .bind(phases)
    .bind(attempts)
    .bind(levels)
    .bind(texts)
    .execute(conn)
    .await?;
    Ok(())
}

fn text(text: &str) -> String {
    clean(text).into_owned()
}

/// Ordered by transaction, and only up to the oldest one that is still open: ids are given before
/// the commit, so that by them alone a reader would skip what commits late.
pub(super) async fn stream(
    store: &Store,
    after: Position,
    limit: u32,
) -> Result<Vec<StoredEvent>, Fault> {
    let found = query(concat!(
        "SELECT ",
        event_columns!(),
        " FROM events WHERE (xid, id) > (CAST($1 AS xid8), $2) ",
        "AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY events.xid, id LIMIT $3"
    ))
    .bind(after.0.max(0).to_string())
    .bind(after.1)
    .bind(i64::from(limit))
    .fetch_all(store.reads())
    .await?;
    // One event of a later version must not hold up the stream.
    read::readable(&found.iter().collect::<Vec<_>>(), rows::event)
}

/// The place before the oldest transaction that is still open.
pub(super) async fn stream_end(store: &Store) -> Result<Position, Fault> {
    let row = query("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")
        .fetch_one(store.reads())
        .await?;
    let open: i64 = row.try_get(0)?;
    Ok((open - 1, i64::MAX))
}
