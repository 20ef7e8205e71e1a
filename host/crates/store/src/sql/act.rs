//! What people do: submit, act, delete. What follows from an input, `pipeline::step` says.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Store, events, retain, rows};
use crate::error::Fault;
use crate::rules::{self, clean};
use crate::{Acted, Deleted, Idempotency, NewJob, Submitted, Wake};
use pipeline::{
    IllegalTransition, Input, InputName, Job, JobId, Limits, RootId, StateName, Status, Timestamp,
    step,
};
use sqlx::{Row as _, query};

pub(super) async fn submit(store: &Store, new: &NewJob) -> Result<Submitted, Fault> {
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
        let told = rules::submitted(&new.job);
        let mut job = new.job.clone();
        job.number = insert(&mut tx, &job).await?;
        events::add(store, &mut tx, Some(job.id), 1, &[&told]).await?;
        tx.commit().await?;
        store.ring(rules::wakes(&job, 1, false));
        return Ok(Submitted::New(Box::new(job)));
    }
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

async fn insert(conn: &mut Conn, job: &Job) -> Result<i64, Fault> {
    // What a person asked for is a moment, whoever looked at the clock.
    let until = job.wait.as_ref().map(|wait| wait.until.as_millis());
    let row = query(
        "INSERT INTO jobs (id, name_folded, pipeline, group_key, priority, revision, status, \
         wait_until, ready, created_at, submitter, event_seq, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12) RETURNING number",
    )
    .bind(job.id.0)
    .bind(rules::folded(&job.name))
    .bind(clean(&job.spec.name))
    .bind(job.group.as_deref().map(clean))
    .bind(job.priority)
    .bind(i64::from(job.revision))
    .bind(job.status.word())
    .bind(until)
    .bind(job.status == Status::Queued)
    .bind(job.created_at.as_millis())
    .bind(clean(&job.submitter))
    .bind(rules::json(job)?)
    .fetch_one(conn)
    .await?;
    Ok(row.try_get(0)?)
}

pub(super) async fn act(
    store: &Store,
    id: JobId,
    input: Input,
    limits: &Limits,
    now: Timestamp,
) -> Result<Acted, Fault> {
    let mut tx = store.begin().await?;
    let row = query(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE id = $1",
        lock!()
    ))
    .bind(id.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else {
        return Ok(Acted::NotFound);
    };
    let mut job = rows::job(&row)?;
    if job.status == Status::Running {
        if input != Input::Cancel {
            return Ok(Acted::Illegal(IllegalTransition {
                state: StateName::of(&job),
                input: InputName::of(&input),
            }));
        }
        query("UPDATE jobs SET cancel_requested = true WHERE id = $1")
            .bind(id.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        store.ring(vec![Wake::Cancel(id)]);
        job.cancel_requested = true;
        return Ok(Acted::Done(Box::new(job)));
    }
    if let Some(not) = retain::without_workspace(store, &mut tx, &job, &input).await? {
        return Ok(not);
    }
    let step = match step(&job, input, limits, now) {
        Ok(step) => step,
        Err(illegal) => return Ok(Acted::Illegal(illegal)),
    };
    let told = rules::kept(&step.events);
    let seq = write(store, &mut tx, &step.next, now, told.len()).await?;
    events::add(store, &mut tx, Some(id), seq, &told).await?;
    tx.commit().await?;
    store.ring(rules::wakes(&step.next, told.len(), false));
    Ok(Acted::Done(Box::new(step.next)))
}

/// Writes the row of a job that nobody holds, and that is locked; the number of its last event.
async fn write(
    store: &Store,
    conn: &mut Conn,
    job: &Job,
    now: Timestamp,
    told: usize,
) -> Result<i64, Fault> {
    let (until, pause) = rules::wait(job, now);
    let row = query(concat!(
        "UPDATE jobs SET body = $1, status = $2, revision = $3, finished_at = $4, ",
        "wait_until = coalesce(CAST($5 AS bigint), ",
        now!("$6"),
        " + CAST($7 AS bigint)), ",
        "ready = (CAST($2 AS text) = 'queued'), cancel_requested = $8, ",
        "event_seq = event_seq + $9 WHERE id = $10 RETURNING event_seq"
    ))
    .bind(rules::json(job)?)
    .bind(job.status.word())
    .bind(i64::from(job.revision))
    .bind(job.finished_at.map(Timestamp::as_millis))
    .bind(until)
    .bind(store.now())
    .bind(pause)
    .bind(job.cancel_requested)
    .bind(i64::try_from(told).unwrap_or(i64::MAX))
    .bind(job.id.0)
    .fetch_one(conn)
    .await?;
    Ok(row.try_get(0)?)
}

pub(super) async fn delete(store: &Store, id: JobId) -> Result<Deleted, Fault> {
    let mut tx = store.begin().await?;
    let row = query(concat!(
        "SELECT status, root FROM jobs WHERE id = $1",
        lock!()
    ))
    .bind(id.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else {
        return Ok(Deleted::NotFound);
    };
    let status: String = row.try_get("status")?;
    if status == Status::Running.word() {
        return Ok(Deleted::Running);
    }
    let root: Option<String> = row.try_get("root")?;
    let sites = query("DELETE FROM sites WHERE job = $1")
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
    delete_rows(&mut tx, id).await?;
    tx.commit().await?;
    let mut wakes = vec![Wake::Events(Some(id))];
    if sites.rows_affected() > 0 {
        wakes.push(Wake::Sites);
    }
    store.ring(wakes);
    Ok(Deleted::Done(root.map(RootId)))
}

/// Deletes a job and all that is its, but for its sites.
pub(super) async fn delete_rows(conn: &mut Conn, id: JobId) -> Result<(), sqlx::Error> {
    for sql in [
        "DELETE FROM slugs WHERE job = $1",
        "DELETE FROM events WHERE job = $1",
        "DELETE FROM logs WHERE job = $1",
        "DELETE FROM outputs WHERE job = $1",
        "DELETE FROM plugin_calls WHERE job = $1",
        "DELETE FROM blobs WHERE owner = $1",
        "DELETE FROM requests WHERE job = $1",
        "DELETE FROM workspaces_gone WHERE job = $1",
        "DELETE FROM jobs WHERE id = $1",
    ] {
        query(sql).bind(id.0).execute(&mut *conn).await?;
    }
    Ok(())
}
