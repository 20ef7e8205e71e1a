//! What hosts remember of plugins together. Whose fault a fault is, `pipeline::blame` says; what
//! is said here holds on every host.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Row, Store, events};
use crate::error::Fault;
use crate::rules::{self, NOBODY, clean};
use crate::write::{Told, of_no_job};
use crate::{Faulted, RolledBack, Wake};
use pipeline::{
    Accused, BlameRule, Digest, Event, EventKind, HoldKind, JobId, PluginFault, PluginGeneration,
    PluginHold, PluginPin, RecordedCall, Timestamp, blame,
};
use serde_json::{Map, Value, json};
use sqlx::{Row as _, query};

/// Faults of a digest that are looked at together.
const FAULTS: i64 = 1_000;
/// Faults older than this are forgotten, ms: a day.
const FORGET_FAULT_MS: i64 = 86_400_000;
/// Recorded calls of a plugin, and their bytes together.
const CALLS: i64 = 50;
const CALL_BYTES: i64 = 64 << 20;

pub(super) async fn accepted(
    store: &Store,
    file: &str,
    pin: &PluginPin,
    bytes: &[u8],
) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    query("INSERT INTO blobs (digest, owner, bytes) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(&pin.digest.0)
        .bind(NOBODY)
        .bind(bytes)
        .execute(&mut *tx)
        .await?;
    let newest =
        query("SELECT digest FROM plugin_generations WHERE file = $1 ORDER BY at DESC LIMIT 1")
            .bind(clean(file))
            .fetch_optional(&mut *tx)
            .await?;
    let newest: Option<String> = newest.map(|row| row.try_get(0)).transpose()?;
    if newest.as_deref() != Some(&pin.digest.0) {
        query(concat!(
            "INSERT INTO plugin_generations (file, digest, name, version, at) VALUES ",
            "($1, $2, $3, $4, ",
            now!("$5"),
            ") ON CONFLICT (file, digest) DO UPDATE SET at = excluded.at"
        ))
        .bind(clean(file))
        .bind(&pin.digest.0)
        .bind(clean(&pin.name))
        .bind(clean(&pin.version))
        .bind(store.now())
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

pub(super) async fn held_by(store: &Store, file: &str) -> Result<Vec<PluginGeneration>, Fault> {
    let rows = query(
        "SELECT file, name, version, digest, at FROM plugin_generations \
         WHERE file = $1 ORDER BY at DESC, digest",
    )
    .bind(clean(file))
    .fetch_all(&mut *store.reads().acquire().await?)
    .await?;
    rows.iter().map(generation).collect()
}

pub(super) async fn forget_file(store: &Store, file: &str) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    query("DELETE FROM plugin_generations WHERE file = $1")
        .bind(clean(file))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn faulted(
    store: &Store,
    fault: &Faulted,
    rule: &BlameRule,
) -> Result<Option<PluginHold>, Fault> {
    let Faulted {
        pin,
        job,
        step,
        message,
    } = fault;
    let mut tx = store.begin().await?;
    // Its rows first: two faults at once see each other.
    let since = query(concat!(
        "SELECT at FROM plugin_generations WHERE digest = $1 ORDER BY file",
        lock!()
    ))
    .bind(&pin.digest.0)
    .fetch_all(&mut *tx)
    .await?;
    let since: Result<Vec<i64>, _> = since.iter().map(|row| row.try_get(0)).collect();
    let since = since?.into_iter().max();
    let now: i64 = query(concat!(
        "INSERT INTO plugin_faults (digest, job, submitter, step, message, at) VALUES ($1, $2, ",
        "coalesce((SELECT submitter FROM jobs WHERE id = $2), 'local'), $3, $4, ",
        now!("$5"),
        ") RETURNING at"
    ))
    .bind(&pin.digest.0)
    .bind(job.0)
    .bind(clean(step))
    .bind(clean(message))
    .bind(store.now())
    .fetch_one(&mut *tx)
    .await?
    .try_get(0)?;
    query("DELETE FROM plugin_faults WHERE at < $1")
        .bind(now.saturating_sub(FORGET_FAULT_MS))
        .execute(&mut *tx)
        .await?;
    if let Some(hold) = hold_on(&mut tx, &pin.digest).await? {
        tx.commit().await?;
        return Ok(Some(hold));
    }
    let accused = Accused {
        faults: faults_of(&mut tx, &pin.digest).await?,
        submitters: submitters(&mut tx).await?,
        since: Timestamp::from_millis(since.unwrap_or(now)),
        has_older: has_another(&mut tx, pin).await?,
    };
    let Some(kind) = blame(&accused, rule, Timestamp::from_millis(now)) else {
        tx.commit().await?;
        return Ok(None);
    };
    let minutes = rule.within.as_secs().div_ceil(60);
    let message = format!(
        "the calls of {} jobs faulted within {minutes} min; the last: {message}",
        rule.jobs
    );
    let hold = hold(store, &mut tx, pin, kind, &message).await?;
    tx.commit().await?;
    store.ring(vec![Wake::Plugins, Wake::Events(None)]);
    Ok(Some(hold))
}

pub(super) async fn roll_back(
    store: &Store,
    pin: &PluginPin,
    message: &str,
) -> Result<RolledBack, Fault> {
    let mut tx = store.begin().await?;
    if let Some(hold) = hold_on(&mut tx, &pin.digest).await? {
        return Ok(RolledBack::Held(hold));
    }
    if !has_another(&mut tx, pin).await? {
        return Ok(RolledBack::NothingElse);
    }
    let hold = hold(store, &mut tx, pin, HoldKind::RolledBack, message).await?;
    tx.commit().await?;
    store.ring(vec![Wake::Plugins, Wake::Events(None)]);
    Ok(RolledBack::Held(hold))
}

pub(super) async fn release(store: &Store, name: &str) -> Result<Vec<Digest>, Fault> {
    let mut tx = store.begin().await?;
    let rows = query("DELETE FROM plugin_holds WHERE name = $1 RETURNING digest")
        .bind(clean(name))
        .fetch_all(&mut *tx)
        .await?;
    let digests: Result<Vec<Digest>, _> =
        rows.iter().map(|row| row.try_get(0).map(Digest)).collect();
    let digests = digests?;
    for digest in &digests {
        // It begins anew, or its next fault would bring the hold back.
        query("DELETE FROM plugin_faults WHERE digest = $1")
            .bind(&digest.0)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    if !digests.is_empty() {
        store.ring(vec![Wake::Plugins]);
    }
    Ok(digests)
}

pub(super) async fn holds(store: &Store) -> Result<Vec<PluginHold>, Fault> {
    let rows = query(
        "SELECT name, version, digest, kind, message, at FROM plugin_holds ORDER BY at, digest",
    )
    .fetch_all(&mut *store.reads().acquire().await?)
    .await?;
    rows.iter().map(plugin_hold).collect()
}

pub(super) async fn record(store: &Store, call: &RecordedCall) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    query(
        "INSERT INTO plugin_calls (name, version, digest, step, job, at, size, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(clean(&call.pin.name))
    .bind(clean(&call.pin.version))
    .bind(&call.pin.digest.0)
    .bind(clean(&call.step))
    .bind(call.job.0)
    .bind(call.at.as_millis())
    .bind(i64::try_from(call.body.len()).unwrap_or(i64::MAX))
    .bind(&call.body)
    .execute(&mut *tx)
    .await?;
    query(
        "DELETE FROM plugin_calls WHERE name = $1 AND id NOT IN (SELECT id FROM \
         (SELECT id, row_number() OVER newest AS place, sum(size) OVER newest AS total \
          FROM plugin_calls WHERE name = $1 WINDOW newest AS (ORDER BY id DESC)) AS ranked \
         WHERE place <= $2 AND total <= $3)",
    )
    .bind(clean(&call.pin.name))
    .bind(CALLS)
    .bind(CALL_BYTES)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

pub(super) async fn recorded(
    store: &Store,
    name: &str,
    limit: u32,
) -> Result<Vec<RecordedCall>, Fault> {
    let rows = query(
        "SELECT name, version, digest, step, job, at, body FROM plugin_calls \
         WHERE name = $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(clean(name))
    .bind(i64::from(limit))
    .fetch_all(&mut *store.reads().acquire().await?)
    .await?;
    let call = |row: &Row| -> Result<RecordedCall, Fault> {
        Ok(RecordedCall {
            pin: pin(row)?,
            step: row.try_get("step")?,
            job: JobId(row.try_get("job")?),
            at: Timestamp::from_millis(row.try_get("at")?),
            body: row.try_get("body")?,
        })
    };
    rows.iter().map(call).collect()
}

async fn hold(
    store: &Store,
    conn: &mut Conn,
    pin: &PluginPin,
    kind: HoldKind,
    message: &str,
) -> Result<PluginHold, Fault> {
    let row = query(concat!(
        "INSERT INTO plugin_holds (digest, name, version, kind, message, at) ",
        "VALUES ($1, $2, $3, $4, $5, ",
        now!("$6"),
        ") ON CONFLICT (digest) DO UPDATE SET kind = plugin_holds.kind ",
        "RETURNING name, version, digest, kind, message, at"
    ))
    .bind(&pin.digest.0)
    .bind(clean(&pin.name))
    .bind(clean(&pin.version))
    .bind(kind.word())
    .bind(clean(message))
    .bind(store.now())
    .fetch_one(&mut *conn)
    .await?;
    let told = Event {
        kind: match kind {
            HoldKind::RolledBack => EventKind::PluginRolledBack,
            HoldKind::Quarantined => EventKind::PluginQuarantined,
        },
        phase: None,
        attempt: None,
        data: object(json!({
            "name": pin.name, "version": pin.version, "digest": pin.digest, "message": message,
        })),
    };
    events::add(store, conn, &of_no_job(&[Told::of(&told)?])).await?;
    plugin_hold(&row)
}

async fn hold_on(conn: &mut Conn, digest: &Digest) -> Result<Option<PluginHold>, Fault> {
    let row = query(
        "SELECT name, version, digest, kind, message, at FROM plugin_holds WHERE digest = $1",
    )
    .bind(&digest.0)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(plugin_hold).transpose()
}

async fn faults_of(conn: &mut Conn, digest: &Digest) -> Result<Vec<PluginFault>, Fault> {
    let rows = query(
        "SELECT job, submitter, at FROM plugin_faults WHERE digest = $1 ORDER BY at DESC LIMIT $2",
    )
    .bind(&digest.0)
    .bind(FAULTS)
    .fetch_all(conn)
    .await?;
    let fault = |row: &Row| -> Result<PluginFault, Fault> {
        Ok(PluginFault {
            job: JobId(row.try_get(0)?),
            submitter: row.try_get(1)?,
            at: Timestamp::from_millis(row.try_get(2)?),
        })
    };
    rows.iter().map(fault).collect()
}

async fn submitters(conn: &mut Conn) -> Result<usize, Fault> {
    let row = query("SELECT count(DISTINCT submitter) FROM jobs")
        .fetch_one(conn)
        .await?;
    let found: i64 = row.try_get(0)?;
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

/// Whether another digest of this name was accepted and may answer.
async fn has_another(conn: &mut Conn, pin: &PluginPin) -> Result<bool, Fault> {
    let row = query(
        "SELECT count(*) FROM plugin_generations WHERE name = $1 AND digest <> $2 \
         AND digest NOT IN (SELECT digest FROM plugin_holds)",
    )
    .bind(clean(&pin.name))
    .bind(&pin.digest.0)
    .fetch_one(conn)
    .await?;
    let found: i64 = row.try_get(0)?;
    Ok(found > 0)
}

fn pin(row: &Row) -> Result<PluginPin, Fault> {
    Ok(PluginPin {
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        digest: Digest(row.try_get("digest")?),
    })
}

fn generation(row: &Row) -> Result<PluginGeneration, Fault> {
    Ok(PluginGeneration {
        file: row.try_get("file")?,
        pin: pin(row)?,
        at: Timestamp::from_millis(row.try_get("at")?),
    })
}

fn plugin_hold(row: &Row) -> Result<PluginHold, Fault> {
    let kind: String = row.try_get("kind")?;
    Ok(PluginHold {
        pin: pin(row)?,
        kind: rules::hold_kind(&kind),
        message: row.try_get("message")?,
        at: Timestamp::from_millis(row.try_get("at")?),
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
