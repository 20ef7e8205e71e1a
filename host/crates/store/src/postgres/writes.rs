//! Rows of jobs in PostgreSQL, many in a statement. What goes into them is in `sql/commit` and
//! `sql/submit`.

use super::{Conn, Row, Store, holds::roots, rows};
use crate::Ask;
use crate::error::Fault;
use crate::rules::{PRIORITY_MS, millis};
use crate::write::{Changed, Entered, JobChange, NewRow, Placed, Told};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Row as _, query};
use std::collections::HashMap;
use uuid::Uuid;

/// The changed rows, as a table: see [`rows_of`].
macro_rules! given {
    () => {
        "WITH given AS MATERIALIZED (SELECT * FROM unnest($1, $2, CAST($3 AS text[]), \
         CAST($4 AS text[]), CAST($5 AS text[]), $6, CAST($7 AS text[]), CAST($8 AS text[]), \
         CAST($9 AS bigint[]), CAST($10 AS bigint[]), CAST($11 AS bigint[]), $12, $13) \
         AS given (id, lease, host, body, status, revision, root, engine, finished_at, until, \
         pause, told, ignore)), "
    };
}

/// What becomes of them. One that runs on has its lease until then.
macro_rules! changed {
    ($lease_until:expr, $where:expr) => {
        concat!(
            "changed AS (UPDATE jobs SET body = given.body, status = given.status, ",
            "revision = given.revision, root = given.root, engine = given.engine, ",
            "finished_at = given.finished_at, wait_until = coalesce(given.until, ",
            now!("$14"),
            " + given.pause), line = NULL, ready = (given.status = 'queued'), ",
            "event_seq = jobs.event_seq + given.told, lease = given.lease, ",
            "host = CASE WHEN given.status = 'running' THEN given.host END, ",
            "lease_until = CASE WHEN given.status = 'running' THEN ",
            $lease_until,
            " END ",
            $where,
            " RETURNING jobs.id, jobs.event_seq, given.told, jobs.group_slot, jobs.pipeline_slot)"
        )
    };
}

/// And the events of those that were changed, in the same statement: one way to the database and
/// back.
macro_rules! and_tell {
    () => {
        concat!(
            ", added AS (INSERT INTO events (job, seq, kind, at, phase, attempt, data) ",
            "SELECT changed.id, changed.event_seq - changed.told + nth, kind, ",
            now!("$14"),
            ", phase, attempt, data FROM unnest($15, $16, $17, CAST($18 AS text[]), ",
            "CAST($19 AS bigint[]), $20) WITH ORDINALITY ",
            "AS news (job, nth, kind, phase, attempt, data, n) ",
            "JOIN changed ON changed.id = news.job ORDER BY n) SELECT * FROM changed"
        )
    };
}

/// A statement with what [`given!`] and [`and_tell!`] ask for.
fn rows_of<'q>(
    store: &Store,
    sql: &'static str,
    changes: &'q [&'q JobChange],
) -> Query<'q, sqlx::Postgres, PgArguments> {
    let column =
        |of: fn(&JobChange) -> i64| -> Vec<i64> { changes.iter().map(|it| of(it)).collect() };
    let numbered = |it: &&'q JobChange| {
        (1_i64..)
            .zip(vec![it.hold.job.0; it.told.len()])
            .collect::<Vec<_>>()
    };
    let (nth, jobs): (Vec<i64>, Vec<Uuid>) = changes.iter().flat_map(numbered).unzip();
    let told: Vec<&Told> = changes.iter().flat_map(|it| &it.told).collect();
    query(sql)
        .bind(ids(changes))
        .bind(column(|it| it.hold.lease.0))
        .bind(
            changes
                .iter()
                .map(|it| it.hold.host.0.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            changes
                .iter()
                .map(|it| it.body.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            changes
                .iter()
                .map(|it| it.status.word())
                .collect::<Vec<_>>(),
        )
        .bind(column(|it| it.revision))
        .bind(
            changes
                .iter()
                .map(|it| it.root.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(
            changes
                .iter()
                .map(|it| it.engine.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(changes.iter().map(|it| it.finished_at).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.until).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.pause).collect::<Vec<_>>())
        .bind(column(|it| {
            i64::try_from(it.told.len()).unwrap_or(i64::MAX)
        }))
        .bind(
            changes
                .iter()
                .map(|it| it.ignore_cancel)
                .collect::<Vec<_>>(),
        )
        .bind(store.now())
        .bind(jobs)
        .bind(nth)
        .bind(told.iter().map(|it| it.kind.as_str()).collect::<Vec<_>>())
        .bind(
            told.iter()
                .map(|it| it.phase.as_deref())
                .collect::<Vec<_>>(),
        )
        .bind(told.iter().map(|it| it.attempt).collect::<Vec<_>>())
        .bind(told.iter().map(|it| it.data.as_str()).collect::<Vec<_>>())
}

fn ids(changes: &[&JobChange]) -> Vec<Uuid> {
    changes.iter().map(|it| it.hold.job.0).collect()
}

/// In the order of the changes; none where a row wasn't changed.
fn in_order(rows: Vec<Row>, changes: &[&JobChange]) -> Result<Vec<Option<Changed>>, Fault> {
    let mut done = HashMap::with_capacity(rows.len());
    for row in rows {
        let changed = Changed {
            seq: row.try_get("event_seq")?,
            slots: (row.try_get("group_slot")?, row.try_get("pipeline_slot")?),
        };
        done.insert(row.try_get::<Uuid, _>("id")?, changed);
    }
    Ok(ids(changes).iter().map(|id| done.remove(id)).collect())
}

/// Changes what is held under just these leases, and adds the events of those that were changed.
/// None where the lease is lost, or an end is asked for. Rows are locked in the order of their
/// ids, as heartbeats do.
pub(super) async fn change_and_tell(
    store: &Store,
    conn: &mut Conn,
    changes: &[&JobChange],
) -> Result<Vec<Option<Changed>>, Fault> {
    let sql = concat!(
        given!(),
        "mine AS MATERIALIZED (SELECT jobs.id FROM jobs JOIN given ON jobs.id = given.id ",
        "AND jobs.lease = given.lease AND jobs.host = given.host WHERE jobs.id = ANY($1) ",
        "AND jobs.status = 'running' AND (NOT jobs.cancel_requested OR given.ignore) ",
        "ORDER BY jobs.id FOR UPDATE OF jobs), ",
        changed!(
            "jobs.lease_until",
            "FROM given, mine WHERE jobs.id = mine.id AND given.id = mine.id \
             AND jobs.lease = given.lease AND jobs.host = given.host \
             AND jobs.status = 'running' AND (NOT jobs.cancel_requested OR given.ignore)"
        ),
        and_tell!()
    );
    let rows = rows_of(store, sql, changes).fetch_all(conn).await?;
    in_order(rows, changes)
}

/// Gives what this transaction has chosen, and so locked, to the host that asks, changed, and
/// adds the events.
pub(super) async fn take_and_tell(
    store: &Store,
    conn: &mut Conn,
    ask: &Ask,
    changes: &[&JobChange],
) -> Result<Vec<Option<Changed>>, Fault> {
    let sql = concat!(
        given!(),
        changed!(
            concat!(now!("$14"), " + $21"),
            "FROM given WHERE jobs.id = ANY($1) AND jobs.id = given.id \
             AND jobs.lease = given.lease - 1"
        ),
        and_tell!()
    );
    let rows = rows_of(store, sql, changes)
        .bind(millis(ask.lease_time))
        .fetch_all(conn)
        .await?;
    in_order(rows, changes)
}

/// Adds jobs; where each stands.
pub(super) async fn insert(
    store: &Store,
    conn: &mut Conn,
    new: &[&NewRow],
) -> Result<Vec<Placed>, Fault> {
    let ids: Vec<Uuid> = new.iter().map(|it| it.id).collect();
    let text = |of: fn(&NewRow) -> &str| -> Vec<&str> { new.iter().map(|it| of(it)).collect() };
    let rows = query(concat!(
        "INSERT INTO jobs (id, name_folded, pipeline, group_key, priority, revision, status, ",
        "wait_until, line, ready, rank, created_at, submitter, event_seq, body) ",
        "SELECT id, name_folded, pipeline, group_key, priority, revision, ",
        "CASE WHEN until IS NULL AND line IS NULL THEN 'queued' ELSE 'waiting' END, until, line, ",
        "until IS NULL AND line IS NULL, coalesce(until, ",
        now!("$1"),
        ") - CAST(priority AS bigint) * $2, created_at, submitter, 1, body FROM (SELECT given.*, ",
        "CASE WHEN until IS NULL THEN ",
        line!("given.pipeline", "given.group_key"),
        " END AS line FROM unnest($3, $4, $5, CAST($6 AS text[]), $7, $8, ",
        "CAST($9 AS bigint[]), $10, $11, $12) WITH ORDINALITY AS given (id, name_folded, ",
        "pipeline, group_key, priority, revision, until, created_at, submitter, body, n)) ",
        "AS placed ORDER BY n RETURNING id, number, line"
    ))
    .bind(store.now())
    .bind(PRIORITY_MS)
    .bind(&ids)
    .bind(text(|it| &it.name_folded))
    .bind(text(|it| &it.pipeline))
    .bind(new.iter().map(|it| it.group.as_deref()).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.priority).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.revision).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.until).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.created_at).collect::<Vec<_>>())
    .bind(text(|it| &it.submitter))
    .bind(text(|it| &it.body))
    .fetch_all(conn)
    .await?;
    let mut placed = HashMap::with_capacity(rows.len());
    for row in rows {
        let place = Placed {
            number: row.try_get("number")?,
            line: row.try_get("line")?,
        };
        placed.insert(row.try_get::<Uuid, _>("id")?, place);
    }
    let missing = || Fault::Sql(sqlx::Error::RowNotFound);
    ids.iter()
        .map(|id| placed.remove(id).ok_or_else(missing))
        .collect()
}

/// Adds jobs of no group, and what is told of them, in one statement; nothing where one of them
/// comes into a line. One with a change has begun with it where the host that `ask`s may take
/// nothing else that is ready.
pub(super) async fn insert_plain(
    store: &Store,
    conn: &mut Conn,
    new: &[&NewRow],
    begun: &[Option<&JobChange>],
    ask: Option<&Ask>,
) -> Result<Vec<Entered>, Fault> {
    let told = new.iter().zip(begun).flat_map(|(row, begun)| {
        let more = begun.iter().flat_map(|it| &it.told);
        let told = std::iter::once(&row.told).chain(more);
        (1_i64..).zip(told).map(|(nth, told)| (row.id, nth, told))
    });
    let told: Vec<(Uuid, i64, &Told)> = told.collect();
    let text = |of: fn(&NewRow) -> &str| -> Vec<&str> { new.iter().map(|it| of(it)).collect() };
    let found = query(concat!(
        "WITH given AS MATERIALIZED (SELECT given.*, ",
        line_after_group!("given.pipeline"),
        " AS line, begun_body IS NOT NULL AND (SELECT rank FROM jobs ",
        "WHERE status IN ('queued', 'waiting') AND ready AND ",
        may_take!("$27", "$28"),
        "ORDER BY rank, number LIMIT 1) IS NULL AS begins, coalesce(until, ",
        now!("$1"),
        ") - CAST(priority AS bigint) * $2 AS rank FROM unnest($3, $4, $5, $6, $7, ",
        "CAST($8 AS bigint[]), $9, $10, $11, CAST($12 AS text[]), CAST($13 AS text[]), ",
        "CAST($14 AS text[]), CAST($15 AS text[]), CAST($16 AS bigint[]), ",
        "CAST($17 AS bigint[]), CAST($18 AS bigint[])) WITH ORDINALITY AS given (id, ",
        "name_folded, pipeline, priority, revision, until, created_at, submitter, body, ",
        "begun_body, begun_status, root, engine, finished_at, pause, told, n)), ",
        "added AS (INSERT INTO jobs (id, name_folded, pipeline, priority, revision, created_at, ",
        "submitter, rank, body, status, ready, wait_until, event_seq, lease, host, lease_until, ",
        "root, engine, finished_at) SELECT id, name_folded, pipeline, priority, revision, ",
        "created_at, submitter, rank, CASE WHEN begins THEN begun_body ELSE body END, ",
        "CASE WHEN begins THEN begun_status WHEN until IS NULL THEN 'queued' ELSE 'waiting' END, ",
        "CASE WHEN begins THEN begun_status = 'queued' ELSE until IS NULL END, ",
        "CASE WHEN begins THEN ",
        now!("$1"),
        " + pause ELSE until END, CASE WHEN begins THEN 1 + told ELSE 1 END, ",
        "CASE WHEN begins THEN 1 ELSE 0 END, ",
        "CASE WHEN begins AND begun_status = 'running' THEN $19 END, ",
        "CASE WHEN begins AND begun_status = 'running' THEN ",
        now!("$1"),
        " + $20 END, CASE WHEN begins THEN root END, CASE WHEN begins THEN engine END, ",
        "CASE WHEN begins THEN finished_at END FROM given ",
        "WHERE NOT EXISTS (SELECT 1 FROM given WHERE until IS NULL AND line IS NOT NULL) ",
        "ORDER BY n RETURNING id, number, rank, lease), ",
        "told AS (INSERT INTO events (job, seq, kind, at, phase, attempt, data) ",
        "SELECT added.id, nth, kind, ",
        now!("$1"),
        ", phase, attempt, data FROM unnest($21, $22, $23, CAST($24 AS text[]), ",
        "CAST($25 AS bigint[]), $26) WITH ORDINALITY ",
        "AS news (job, nth, kind, phase, attempt, data, n) ",
        "JOIN added ON added.id = news.job AND (nth = 1 OR lease = 1) ORDER BY n) ",
        "SELECT id, number, rank, lease = 1 AS begins FROM added"
    ))
    .bind(store.now())
    .bind(PRIORITY_MS)
    .bind(new.iter().map(|it| it.id).collect::<Vec<_>>())
    .bind(text(|it| &it.name_folded))
    .bind(text(|it| &it.pipeline))
    .bind(new.iter().map(|it| it.priority).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.revision).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.until).collect::<Vec<_>>())
    .bind(new.iter().map(|it| it.created_at).collect::<Vec<_>>())
    .bind(text(|it| &it.submitter))
    .bind(text(|it| &it.body))
    .bind(of(begun, |it| Some(it.body.as_str())))
    .bind(of(begun, |it| Some(it.status.word())))
    .bind(of(begun, |it| it.root.as_deref()))
    .bind(of(begun, |it| it.engine.as_deref()))
    .bind(of(begun, |it| it.finished_at))
    .bind(of(begun, |it| it.pause))
    .bind(of(begun, |it| i64::try_from(it.told.len()).ok()))
    .bind(ask.map(|ask| ask.host.0.as_str()))
    .bind(ask.map(|ask| millis(ask.lease_time)))
    .bind(told.iter().map(|it| it.0).collect::<Vec<_>>())
    .bind(told.iter().map(|it| it.1).collect::<Vec<_>>())
    .bind(told.iter().map(|it| it.2.kind.as_str()).collect::<Vec<_>>())
    .bind(
        told.iter()
            .map(|it| it.2.phase.as_deref())
            .collect::<Vec<_>>(),
    )
    .bind(told.iter().map(|it| it.2.attempt).collect::<Vec<_>>())
    .bind(told.iter().map(|it| it.2.data.as_str()).collect::<Vec<_>>())
    .bind(ask.map(roots))
    .bind(ask.map(|ask| &ask.engines))
    .fetch_all(conn)
    .await?;
    rows::entered(&found, new)
}

/// A column of those that have begun.
fn of<'a, T>(
    begun: &[Option<&'a JobChange>],
    column: impl Fn(&'a JobChange) -> Option<T>,
) -> Vec<Option<T>> {
    begun.iter().map(|it| it.and_then(&column)).collect()
}

/// The lines that these jobs stand in by now.
pub(super) async fn lines(conn: &mut Conn, new: &[&NewRow]) -> Result<Vec<Option<String>>, Fault> {
    let ids: Vec<Uuid> = new.iter().map(|it| it.id).collect();
    let rows = query("SELECT id, line FROM jobs WHERE id = ANY($1)")
        .bind(&ids)
        .fetch_all(conn)
        .await?;
    let mut found: HashMap<Uuid, Option<String>> = HashMap::with_capacity(rows.len());
    for row in rows {
        found.insert(row.try_get("id")?, row.try_get("line")?);
    }
    Ok(ids.iter().map(|id| found.remove(id).flatten()).collect())
}
