//! Taking jobs in: each once a key, and once a group where that is asked for; many that come
//! together in one transaction. What comes into no line is one statement, in which it begins where
//! the driver of this process stands by.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::lines::{self, Door};
use super::{Conn, Store, act, claim, events, gates, rows, writes};
use crate::error::Fault;
use crate::rules::{self, clean};
use crate::taker::Room;
use crate::write::{JobChange, NewRow, Numbered, Told};
use crate::{Claimed, Hold, Idempotency, StoreError, Submitted, Unique, Wake};
use pipeline::{Input, Job, JobId, Lease, Limits, Status, Timestamp};
use sqlx::{Row as _, query};
use std::collections::BTreeSet;

/// Adds jobs that look at no others.
pub(super) async fn together(
    store: &Store,
    new: Vec<NewRow>,
) -> Vec<Result<Submitted, StoreError>> {
    let rows: Vec<&NewRow> = new.iter().collect();
    let all = async {
        let mut conn = store.single().await?;
        let plain = plain(store, &mut conn, &rows).await?;
        store.end(conn).await?;
        if let Some((jobs, given)) = plain {
            store.ring(given.committed(&jobs));
            return Ok(jobs);
        }
        let mut tx = store.begin().await?;
        let (jobs, later) = add(store, &mut tx, &rows).await?;
        let given = give(store, &mut tx, &jobs).await?;
        tx.commit().await?;
        store.ring(given.committed(&jobs));
        lines::open_later(store, later).await?;
        Ok::<_, Fault>(jobs)
    };
    match store.within(all).await {
        Ok(jobs) => jobs
            .into_iter()
            .map(|job| Ok(Submitted::New(Box::new(job))))
            .collect(),
        // Which of them it was shows when they go one by one.
        Err(error) if new.len() > 1 && !error.passes() => {
            let mut answers = Vec::with_capacity(new.len());
            for row in new {
                answers.push(store.within(alone(store, &row)).await);
            }
            answers
        }
        Err(error) => rules::all_failed(error, new.len()),
    }
}

/// Adds one, once a key, and once a group.
pub(super) async fn alone(store: &Store, row: &NewRow) -> Result<Submitted, Fault> {
    let new = &row.new;
    loop {
        let mut tx = store.begin().await?;
        if let Some(request) = &new.idempotency
            && !first(&mut tx, request, new.job.id).await?
        {
            match again(&mut tx, request).await? {
                Some(answer) => return Ok(answer),
                // Its job was deleted just now, and the key with it.
                None => continue,
            }
        }
        let mut wakes = Vec::new();
        if let Some((unique, group)) = new.unique.zip(row.group.as_deref()) {
            super::lock_group(&mut tx, group).await?;
            let (waiting, under_way) = unfinished(&mut tx, group).await?;
            if unique == Unique::Replace {
                for job in waiting {
                    wakes.extend(replaced(store, &mut tx, &job, new.job.created_at).await?);
                }
            } else if let Some(job) = under_way.into_iter().chain(waiting).next() {
                if unique == Unique::Keep {
                    stands_for(&mut tx, new.idempotency.as_ref(), job.id).await?;
                    tx.commit().await?;
                }
                return Ok(Submitted::Open(Box::new(job)));
            }
        }
        let (mut jobs, given, later) = match plain(store, &mut tx, &[row]).await? {
            Some((jobs, given)) => (jobs, given, BTreeSet::new()),
            None => {
                let (jobs, later) = add(store, &mut tx, &[row]).await?;
                let given = give(store, &mut tx, &jobs).await?;
                (jobs, given, later)
            }
        };
        tx.commit().await?;
        wakes.extend(given.committed(&jobs));
        store.ring(wakes);
        lines::open_later(store, later).await?;
        let job = jobs.swap_remove(0);
        return Ok(Submitted::New(Box::new(job)));
    }
}

/// What the driver of this process is given.
struct Given {
    room: Option<(Room, Vec<Claimed>)>,
    wakes: Vec<Wake>,
}

impl Given {
    /// Hands them over; whom to wake. Nobody is told to ask for what is given already.
    fn committed(self, jobs: &[Job]) -> Vec<Wake> {
        let Self { room, mut wakes } = self;
        let (room, claimed) = room.unzip();
        let claimed = claimed.unwrap_or_default();
        let is_given = |job: &Job| claimed.iter().any(|it: &Claimed| it.job.id == job.id);
        for job in jobs {
            let given = is_given(job);
            let told = rules::wakes(job, 1, false).into_iter();
            wakes.extend(told.filter(|wake| !given || *wake != Wake::Ready));
        }
        if let Some(room) = room {
            room.committed(claimed);
        }
        wakes
    }
}

/// Gives as many jobs as have just come, if somebody takes them.
async fn give(store: &Store, conn: &mut Conn, jobs: &[Job]) -> Result<Given, Fault> {
    let ready = jobs.iter().filter(|job| job.status == Status::Queued);
    let count = ready.count();
    let Some(room) = (count > 0).then(|| store.stand.reserve(count)).flatten() else {
        return Ok(Given {
            room: None,
            wakes: Vec::new(),
        });
    };
    let (claimed, wakes) = claim::give(store, conn, &room).await?;
    Ok(Given {
        room: Some((room, claimed)),
        wakes,
    })
}

/// Adds jobs that come into no line; none, and nothing is added, where one of them does. Those
/// that the driver of this process has room for have begun with it, where nothing that it may take
/// is ready before them.
async fn plain(
    store: &Store,
    conn: &mut Conn,
    new: &[&NewRow],
) -> Result<Option<(Vec<Job>, Given)>, Fault> {
    if new.iter().any(|row| row.group.is_some()) {
        return Ok(None);
    }
    let at_once = new.iter().filter(|row| row.until.is_none()).count();
    let room = (at_once > 0).then(|| store.stand.reserve(at_once));
    let room = room.flatten();
    let mut begun = begun(room.as_ref(), new);
    let changes: Vec<_> = begun
        .iter()
        .map(|it| it.as_ref().map(|(change, _)| change))
        .collect();
    let ask = room.as_ref().map(|room| &room.ask);
    let placed = writes::insert_plain(store, conn, new, &changes, ask).await?;
    if placed.is_empty() {
        if let Some(room) = room {
            room.committed(Vec::new());
        }
        return Ok(None);
    }
    let (mut jobs, mut claimed, mut wakes) = (Vec::new(), Vec::new(), Vec::new());
    for ((row, at), begun) in new.iter().zip(placed).zip(&mut begun) {
        let mut job = row.new.job.clone();
        job.number = at.number;
        jobs.push(job);
        if at.begins
            && let Some((change, mut given)) = begun.take()
        {
            given.job.number = at.number;
            given.rank = at.rank;
            wakes.extend(change.wakes);
            claimed.push(given);
        }
    }
    let room = room.map(|room| (room, claimed));
    Ok(Some((jobs, Given { room, wakes })))
}

/// What becomes of those that there is room for.
fn begun(room: Option<&Room>, new: &[&NewRow]) -> Vec<Option<(JobChange, Claimed)>> {
    let mut left = room.map_or(0, |room| room.ask.limit);
    let begin = |row: &&NewRow| {
        let room = room.filter(|_| left > 0 && row.until.is_none())?;
        let mut job = row.new.job.clone();
        (job.status, job.host) = (Status::Running, Some(room.ask.host.clone()));
        let mut claimed = Claimed {
            job,
            lease: Lease(1),
            rank: 0,
            rescued: false,
            begun: true,
        };
        let change = room.taker.begin(&claimed)?;
        let hold = Hold {
            job: claimed.job.id,
            lease: claimed.lease,
            host: room.ask.host.clone(),
        };
        let row = JobChange::of(&hold, &change).ok()?;
        claimed.job = change.step.next;
        left -= 1;
        row.is_plain().then_some((row, claimed))
    };
    new.iter().map(begin).collect()
}

/// A group's jobs that haven't ended: those that nobody has begun, and the others; oldest first.
async fn unfinished(conn: &mut Conn, group: &str) -> Result<(Vec<Job>, Vec<Job>), Fault> {
    let found = query(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE group_key = $1 AND status IN ('queued', 'waiting', 'running') ",
        "ORDER BY number",
        lock!()
    ))
    .bind(group)
    .fetch_all(conn)
    .await?;
    let jobs: Result<Vec<Job>, Fault> = found.iter().map(rows::job).collect();
    let untouched = |job: &Job| job.at.is_none() && job.status != Status::Running;
    Ok(jobs?.into_iter().partition(untouched))
}

/// Takes back a job that another one is submitted in place of.
async fn replaced(
    store: &Store,
    conn: &mut Conn,
    job: &Job,
    now: Timestamp,
) -> Result<Vec<Wake>, Fault> {
    // A cancel asks for no limit.
    match pipeline::step(job, Input::Cancel, &Limits::default(), now) {
        Ok(step) => act::rest(store, conn, &step, now).await,
        Err(_) => Ok(Vec::new()),
    }
}

/// Has a key stand for the job that was there, not for the one that wasn't taken in.
async fn stands_for(
    conn: &mut Conn,
    request: Option<&Idempotency>,
    job: JobId,
) -> Result<(), sqlx::Error> {
    if let Some(request) = request {
        query("UPDATE requests SET job = $1 WHERE key = $2")
            .bind(job.0)
            .bind(clean(&request.key))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Adds rows and what is told of them; the jobs as they stand then.
/// The gates are left for later that [`lines::approach`] names.
async fn add(
    store: &Store,
    conn: &mut Conn,
    new: &[&NewRow],
) -> Result<(Vec<Job>, BTreeSet<Door>), Fault> {
    let groups: BTreeSet<&str> = new.iter().filter_map(|row| row.group.as_deref()).collect();
    for group in groups {
        gates::adopt(conn, group).await?;
    }
    let placed = writes::insert(store, conn, new).await?;
    let mut doors = BTreeSet::new();
    for (row, at) in new.iter().zip(&placed) {
        let (line, group) = (at.line.as_deref(), row.group.as_deref());
        doors.extend(lines::entered(line, group, &row.pipeline));
    }
    // Where there is room, they are let through at once.
    let came = !doors.is_empty();
    let later = lines::approach(store, conn, doors).await?;
    let kept_back = match came {
        true => writes::lines(conn, new).await?,
        false => placed.iter().map(|at| at.line.clone()).collect(),
    };
    let mut jobs = Vec::with_capacity(new.len());
    let mut told = Vec::with_capacity(new.len());
    for ((row, at), line) in new.iter().zip(placed).zip(kept_back) {
        let mut job = row.new.job.clone();
        job.number = at.number;
        if let Some(line) = &line {
            job.wait = Some(rules::kept_back(line, None, &job));
            job.status = Status::Waiting;
        }
        told.push(Told::of(&rules::submitted(&job))?);
        jobs.push(job);
    }
    let told: Vec<Numbered<'_>> = jobs
        .iter()
        .zip(&told)
        .map(|(job, told)| Numbered {
            job: Some(job.id),
            seq: 1,
            told,
        })
        .collect();
    events::add(store, conn, &told).await?;
    Ok((jobs, later))
}

/// Whether this key wasn't used before. Waits for another transaction that is using it.
async fn first(conn: &mut Conn, request: &Idempotency, job: JobId) -> Result<bool, sqlx::Error> {
    let done =
        query("INSERT INTO requests (key, body, job) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(clean(&request.key))
            .bind(&request.body.0)
            .bind(job.0)
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// The answer to a key that was used before.
async fn again(conn: &mut Conn, request: &Idempotency) -> Result<Option<Submitted>, Fault> {
    let row = query(concat!(
        "SELECT ",
        job_columns!(),
        ", requests.body AS request_body ",
        "FROM requests JOIN jobs ON jobs.id = requests.job WHERE requests.key = $1"
    ))
    .bind(clean(&request.key))
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let body: String = row.try_get("request_body")?;
    if body != request.body.0 {
        return Ok(Some(Submitted::KeyReused));
    }
    Ok(Some(Submitted::Same(Box::new(rows::job(&row)?))))
}
