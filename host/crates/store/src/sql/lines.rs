//! Lines before gates: which jobs a full group, a full pipeline or a pause keeps back, and who is
//! let through when there is room. A job that is let through is ready, and has its place from
//! then on: a claim looks at no limit, and the rows of a full group aren't in what it reads.
//!
//! Places are counted, not kept as a number: they are the rows that are ready or run. So what is
//! counted can't differ from what is, whatever died in between.
//!
//! A gate is locked while its places are given, always in the order of [`Door`], and after the
//! row of the job that left. Lines are read past rows that others have locked.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Store};
use crate::GateKind;
use crate::error::Fault;
use sqlx::{Row as _, query};
use std::collections::BTreeSet;

/// Jobs that one statement moves: no transaction is long.
const STEP: i64 = 1000;

/// A line that may move on, in the order in which gates are locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Door {
    /// What a pause of everything kept back.
    PauseOfAll,
    /// What this pipeline's pause kept back.
    PauseOf(String),
    /// What waits for a place in this group.
    Group(String),
    /// What has its place in its group, if it needs one, and waits for one in this pipeline.
    Pipeline(String),
}

impl Door {
    fn gate(&self) -> (&'static str, &str) {
        match self {
            Self::PauseOfAll => (GateKind::All.word(), ""),
            Self::PauseOf(name) | Self::Pipeline(name) => (GateKind::Pipeline.word(), name),
            Self::Group(name) => (GateKind::Group.word(), name),
        }
    }

    /// What moves when this gate is looked at.
    fn of(kind: GateKind, name: String) -> Vec<Self> {
        match kind {
            GateKind::All => vec![Self::PauseOfAll],
            GateKind::Group => vec![Self::Group(name)],
            GateKind::Pipeline => vec![Self::PauseOf(name.clone()), Self::Pipeline(name)],
        }
    }
}

/// The doors that a job which gives up its places opens.
pub(super) fn left(
    group: Option<&str>,
    pipeline: &str,
    (group_slot, pipeline_slot): (bool, bool),
) -> impl Iterator<Item = Door> {
    let group = group
        .filter(|_| group_slot)
        .map(|name| Door::Group(name.to_owned()));
    let pipeline = pipeline_slot.then(|| Door::Pipeline(pipeline.to_owned()));
    group.into_iter().chain(pipeline)
}

/// The doors that a job stands before which has just come into this line.
pub(super) fn entered(line: Option<&str>, group: Option<&str>, pipeline: &str) -> Option<Door> {
    match line? {
        "group" => group.map(|name| Door::Group(name.to_owned())),
        "pipeline" => Some(Door::Pipeline(pipeline.to_owned())),
        _ => None,
    }
}

/// Lets through whom there is room for. Whether anybody became ready.
pub(super) async fn open(
    store: &Store,
    conn: &mut Conn,
    mut doors: BTreeSet<Door>,
) -> Result<bool, Fault> {
    let mut any = false;
    // Who passes one gate stands before a later one.
    while let Some(door) = doors.pop_first() {
        let moved = match &door {
            Door::PauseOfAll | Door::PauseOf(_) => unpause(store, conn, &door).await?,
            Door::Group(_) | Door::Pipeline(_) => pass(store, conn, &door).await?,
        };
        any |= moved.ready;
        doors.extend(moved.before.into_iter().filter(|next| *next > door));
    }
    Ok(any)
}

/// Lets new ones through where there is room. A gate that is full is locked with those that
/// come to it, not against them: whoever leaves meanwhile waits for these to be in their line.
/// Those that got room in between are to be opened in the next transaction, since two of these
/// must not wait for each other's lock.
pub(super) async fn approach(
    store: &Store,
    conn: &mut Conn,
    doors: BTreeSet<Door>,
) -> Result<BTreeSet<Door>, Fault> {
    let (mut free, mut later) = (BTreeSet::new(), BTreeSet::new());
    for door in doors {
        if !is_full(conn, &door).await? {
            free.insert(door);
            continue;
        }
        let (kind, name) = door.gate();
        query(concat!(
            "SELECT 1 FROM gates WHERE kind = $1 AND name = $2",
            lock_shared!()
        ))
        .bind(kind)
        .bind(name)
        .fetch_optional(&mut *conn)
        .await?;
        if !is_full(conn, &door).await? {
            later.insert(door);
        }
    }
    open(store, conn, free).await?;
    Ok(later)
}

/// What [`approach`] left for later.
pub(super) async fn open_later(store: &Store, later: BTreeSet<Door>) -> Result<(), Fault> {
    if later.is_empty() {
        return Ok(());
    }
    let mut tx = store.begin().await?;
    open(store, &mut tx, later).await?;
    tx.commit().await?;
    Ok(())
}

/// Whether a gate has a limit, and all of its places are taken.
async fn is_full(conn: &mut Conn, door: &Door) -> Result<bool, sqlx::Error> {
    let (kind, name) = door.gate();
    let row = query("SELECT capacity FROM gates WHERE kind = $1 AND name = $2")
        .bind(kind)
        .bind(name)
        .fetch_optional(&mut *conn)
        .await?;
    let capacity: Option<i32> = row.map(|row| row.try_get(0)).transpose()?.flatten();
    match capacity {
        None => Ok(false),
        Some(capacity) => Ok(taken(conn, door).await? >= i64::from(capacity)),
    }
}

/// Those that moved.
#[derive(Default)]
struct Moved {
    /// How many got a place.
    passed: i64,
    /// Whether one of them became ready.
    ready: bool,
    /// The gates that the others stand before now.
    before: BTreeSet<Door>,
}

impl Moved {
    fn add(&mut self, rows: &[super::Row]) -> Result<(), sqlx::Error> {
        for row in rows {
            let (line, group): (Option<&str>, Option<&str>) =
                (row.try_get("line")?, row.try_get("group_key")?);
            self.ready |= line.is_none();
            self.passed += i64::from(line != Some("pause"));
            self.before
                .extend(entered(line, group, row.try_get("pipeline")?));
        }
        Ok(())
    }
}

/// A gate, locked.
struct Locked {
    now: i64,
    capacity: Option<i64>,
    rate: Option<(i64, i64)>,
    paid: i64,
    closed: bool,
}

impl Locked {
    /// How many the rate lets start now, and when the next one may where it is none.
    ///
    /// Each start is worth `per / jobs` of time; what was started may run ahead of the clock by
    /// one `per`.
    fn by_rate(&self) -> (i64, Option<i64>) {
        let Some((jobs, per)) = self.rate else {
            return (STEP, None);
        };
        let each = (per / jobs).max(1);
        let ahead = self.paid.max(self.now) - self.now;
        let starts = ((per - ahead) / each).clamp(0, jobs);
        let next = self.paid + each - per;
        (starts, (starts == 0).then_some(next.max(self.now + 1)))
    }
}

async fn lock(store: &Store, conn: &mut Conn, door: &Door) -> Result<Option<Locked>, Fault> {
    let (kind, name) = door.gate();
    let row = query(concat!(
        "SELECT capacity, rate_jobs, rate_ms, next_start, ",
        now!("$1"),
        " AS at, paused OR EXISTS (SELECT 1 FROM gates WHERE kind = 'all' AND paused) AS closed ",
        "FROM gates WHERE kind = $2 AND name = $3",
        lock!()
    ))
    .bind(store.now())
    .bind(kind)
    .bind(name)
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let jobs: Option<i32> = row.try_get("rate_jobs")?;
    let per: Option<i64> = row.try_get("rate_ms")?;
    let capacity: Option<i32> = row.try_get("capacity")?;
    Ok(Some(Locked {
        now: row.try_get("at")?,
        capacity: capacity.map(i64::from),
        rate: jobs.map(i64::from).zip(per),
        paid: row.try_get::<Option<i64>, _>("next_start")?.unwrap_or(0),
        closed: row.try_get("closed")?,
    }))
}

/// Gives the places of one gate that are free.
async fn pass(store: &Store, conn: &mut Conn, door: &Door) -> Result<Moved, Fault> {
    let mut moved = Moved::default();
    let (kind, name) = door.gate();
    let group = matches!(door, Door::Group(_));
    let Some(gate) = lock(store, conn, door).await? else {
        return Ok(moved);
    };
    if gate.closed && !group {
        return Ok(moved);
    }
    let (starts, next) = gate.by_rate();
    let mut room = starts.min(STEP);
    if let Some(capacity) = gate.capacity {
        room = room.min(capacity - taken(conn, door).await?);
    }
    // Those whose pipeline is paused leave the line without a place: so look again.
    let mut more = room > 0;
    while more && moved.passed < room {
        let sql = if group { PASS_GROUP } else { PASS_PIPELINE };
        let rows = query(sql)
            .bind(name)
            .bind(room - moved.passed)
            .bind(gate.capacity.is_some())
            .fetch_all(&mut *conn)
            .await?;
        moved.add(&rows)?;
        more = !rows.is_empty();
    }
    let paid = gate
        .rate
        .map(|(jobs, per)| gate.paid.max(gate.now) + moved.passed * (per / jobs).max(1));
    // Where a whole step went through, there may be more of them.
    let again = if moved.passed == STEP {
        Some(gate.now)
    } else {
        next
    };
    if again.is_some() || (moved.passed > 0 && paid.is_some()) {
        let again = match (again, gate.rate) {
            (None, Some(_)) => {
                Locked {
                    paid: paid.unwrap_or(0),
                    ..gate
                }
                .by_rate()
                .1
            }
            (again, _) => again,
        };
        query(
            "UPDATE gates SET open_at = $1, next_start = coalesce($2, next_start) \
             WHERE kind = $3 AND name = $4",
        )
        .bind(again)
        .bind(paid)
        .bind(kind)
        .bind(name)
        .execute(conn)
        .await?;
    }
    Ok(moved)
}

const PASS_GROUP: &str = concat!(
    "WITH next AS MATERIALIZED (SELECT id, pipeline FROM jobs WHERE line = 'group' ",
    "AND group_key = $1 ORDER BY rank, number LIMIT $2",
    skip_locked!(),
    "), way AS MATERIALIZED (SELECT id, ",
    line_after_group!("next.pipeline"),
    " AS line FROM next) ",
    "UPDATE jobs SET line = way.line, ready = (way.line IS NULL), ",
    "status = CASE WHEN way.line IS NULL THEN 'queued' ELSE 'waiting' END, ",
    "group_slot = ($3 AND way.line IS DISTINCT FROM 'pause'), pipeline_slot = false ",
    "FROM way WHERE jobs.id",
    among!("way"),
    " AND jobs.id = way.id AND jobs.line = 'group' ",
    "RETURNING jobs.line, jobs.group_key, jobs.pipeline"
);

const PASS_PIPELINE: &str = concat!(
    "WITH next AS MATERIALIZED (SELECT id FROM jobs WHERE line = 'pipeline' AND pipeline = $1 ",
    "ORDER BY rank, number LIMIT $2",
    skip_locked!(),
    ") UPDATE jobs SET line = NULL, ready = true, status = 'queued', pipeline_slot = $3 ",
    "WHERE jobs.id",
    among!("next"),
    " AND jobs.line = 'pipeline' ",
    "RETURNING jobs.line, jobs.group_key, jobs.pipeline"
);

/// Places of a gate that are taken.
async fn taken(conn: &mut Conn, door: &Door) -> Result<i64, sqlx::Error> {
    let sql = match door {
        Door::Group(_) => {
            "SELECT count(*) FROM jobs WHERE group_key = $1 AND group_slot \
             AND (status = 'running' OR ready OR line = 'pipeline')"
        }
        _ => {
            "SELECT count(*) FROM jobs WHERE pipeline = $1 AND pipeline_slot \
             AND (status = 'running' OR ready)"
        }
    };
    let row = query(sql).bind(door.gate().1).fetch_one(conn).await?;
    row.try_get(0)
}

/// Sends back into their lines those whom a pause kept that is over.
async fn unpause(store: &Store, conn: &mut Conn, door: &Door) -> Result<Moved, Fault> {
    let mut moved = Moved::default();
    let name = match door {
        Door::PauseOf(name) => Some(name.as_str()),
        _ => None,
    };
    let rows = query(concat!(
        "WITH next AS MATERIALIZED (SELECT id, pipeline, group_key FROM jobs WHERE line = 'pause' ",
        "AND (CAST($1 AS text) IS NULL OR pipeline = $1) ",
        "AND NOT EXISTS (SELECT 1 FROM gates WHERE paused ",
        "AND (kind = 'all' OR kind = 'pipeline' AND name = jobs.pipeline)) ",
        "ORDER BY rank, number LIMIT $2",
        skip_locked!(),
        "), way AS MATERIALIZED (SELECT id, ",
        line!("next.pipeline", "next.group_key"),
        " AS line FROM next) ",
        "UPDATE jobs SET line = way.line, ready = (way.line IS NULL), ",
        "status = CASE WHEN way.line IS NULL THEN 'queued' ELSE 'waiting' END, ",
        "group_slot = false, pipeline_slot = false ",
        "FROM way WHERE jobs.id",
        among!("way"),
        " AND jobs.id = way.id AND jobs.line = 'pause' ",
        "RETURNING jobs.line, jobs.group_key, jobs.pipeline"
    ))
    .bind(name)
    .bind(STEP)
    .fetch_all(&mut *conn)
    .await?;
    moved.add(&rows)?;
    let full = i64::try_from(rows.len()).unwrap_or(STEP) == STEP;
    if full {
        look_again(store, conn, door).await?;
    }
    Ok(moved)
}

async fn look_again(store: &Store, conn: &mut Conn, door: &Door) -> Result<(), sqlx::Error> {
    let (kind, name) = door.gate();
    query(concat!(
        "UPDATE gates SET open_at = ",
        now!("$1"),
        " WHERE kind = $2 AND name = $3"
    ))
    .bind(store.now())
    .bind(kind)
    .bind(name)
    .execute(conn)
    .await?;
    Ok(())
}

/// Looks at the gates whose time has come. Whether anybody became ready.
pub(super) async fn settle(store: &Store, conn: &mut Conn) -> Result<bool, Fault> {
    let rows = query(concat!(
        "UPDATE gates SET open_at = NULL WHERE open_at <= ",
        now!("$1"),
        " RETURNING kind, name"
    ))
    .bind(store.now())
    .fetch_all(&mut *conn)
    .await?;
    let mut doors = BTreeSet::new();
    for row in rows {
        let kind = GateKind::from_word(row.try_get("kind")?);
        doors.extend(
            kind.into_iter()
                .flat_map(|kind| Door::of(kind, row.try_get("name").unwrap_or_default())),
        );
    }
    open(store, conn, doors).await
}

/// Has every line looked at that somebody stands in, should a turn have been missed.
pub(super) async fn sweep(store: &Store) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    query(concat!(
        "UPDATE gates SET open_at = ",
        now!("$1"),
        " WHERE open_at IS NULL AND CASE kind ",
        "WHEN 'group' THEN EXISTS (SELECT 1 FROM jobs WHERE line = 'group' ",
        "AND group_key = gates.name) ",
        "WHEN 'pipeline' THEN EXISTS (SELECT 1 FROM jobs WHERE line = 'pipeline' ",
        "AND pipeline = gates.name) OR NOT paused AND EXISTS (SELECT 1 FROM jobs ",
        "WHERE line = 'pause' AND pipeline = gates.name) ",
        "ELSE NOT paused AND EXISTS (SELECT 1 FROM jobs WHERE line = 'pause') END"
    ))
    .bind(store.now())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Puts ready jobs without a place into their line; whether there may be more of them.
pub(super) async fn hold_back(store: &Store, kind: GateKind, name: &str) -> Result<bool, Fault> {
    let mut tx = store.begin().await?;
    let rows = query(concat!(
        "WITH way AS MATERIALIZED (SELECT id, line FROM (SELECT id, ",
        line!("jobs.pipeline", "jobs.group_key"),
        " AS line, group_slot, pipeline_slot FROM jobs ",
        "WHERE status IN ('queued', 'waiting') AND ready AND CASE $1 WHEN 'all' THEN true ",
        "WHEN 'group' THEN group_key = $2 OR $2 = '*' AND group_key IS NOT NULL ",
        "ELSE pipeline = $2 END",
        ") AS seen WHERE line = 'pause' OR line = 'group' AND NOT group_slot ",
        "OR line = 'pipeline' AND NOT pipeline_slot ORDER BY id LIMIT $3) ",
        "UPDATE jobs SET line = way.line, ready = false, status = 'waiting', ",
        "group_slot = false, pipeline_slot = false ",
        "FROM way WHERE jobs.id",
        among!("way"),
        " AND jobs.id = way.id AND jobs.ready ",
        "RETURNING jobs.line, jobs.group_key, jobs.pipeline"
    ))
    .bind(kind.word())
    .bind(name)
    .bind(STEP)
    .fetch_all(&mut *tx)
    .await?;
    let mut moved = Moved::default();
    moved.add(&rows)?;
    open(store, &mut tx, moved.before).await?;
    tx.commit().await?;
    Ok(i64::try_from(rows.len()).unwrap_or(0) == STEP)
}
