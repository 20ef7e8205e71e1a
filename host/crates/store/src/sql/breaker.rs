//! The providers' breakers: a row each, locked while it is judged. When one opens and who may
//! probe, `pipeline::Breaker` says.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Row, Store};
use crate::error::Fault;
use crate::rules::{self, clean};
use pipeline::{Breaker, BreakerGate, BreakerRule, JobId, Timestamp};
use sqlx::{Row as _, query};
use std::collections::BTreeMap;

pub(super) async fn ask(
    store: &Store,
    provider: &str,
    job: JobId,
    rule: &BreakerRule,
) -> Result<BreakerGate, Fault> {
    // As a rule all is well, and nothing needs a lock.
    if seen(store, provider).await?.away().is_none() {
        return Ok(BreakerGate::Go);
    }
    let mut tx = store.begin().await?;
    let (mut breaker, now) = locked(store, &mut tx, provider).await?;
    let before = breaker.clone();
    let gate = breaker.ask(job, rule, now);
    if breaker != before {
        write(&mut tx, provider, &breaker).await?;
    }
    tx.commit().await?;
    Ok(gate)
}

pub(super) async fn failed(
    store: &Store,
    provider: &str,
    job: JobId,
    rule: &BreakerRule,
) -> Result<Option<Breaker>, Fault> {
    let mut tx = store.begin().await?;
    let (mut breaker, now) = locked(store, &mut tx, provider).await?;
    let opened = breaker.failed(job, rule, now);
    write(&mut tx, provider, &breaker).await?;
    tx.commit().await?;
    Ok(opened.then_some(breaker))
}

pub(super) async fn answered(store: &Store, provider: &str) -> Result<bool, Fault> {
    if seen(store, provider).await? == Breaker::default() {
        return Ok(false);
    }
    let mut tx = store.begin().await?;
    let (mut breaker, _) = locked(store, &mut tx, provider).await?;
    let was_away = breaker.away().is_some();
    breaker.answered();
    write(&mut tx, provider, &breaker).await?;
    tx.commit().await?;
    Ok(was_away)
}

pub(super) async fn all(store: &Store) -> Result<BTreeMap<String, Breaker>, Fault> {
    let rows = query("SELECT provider, body FROM breakers ORDER BY provider")
        .fetch_all(store.reads())
        .await?;
    let of = |row: &Row| -> Result<(String, Breaker), Fault> {
        let provider: String = row.try_get("provider")?;
        let breaker = parsed(row, &provider)?;
        Ok((provider, breaker))
    };
    rows.iter().map(of).collect()
}

async fn seen(store: &Store, provider: &str) -> Result<Breaker, Fault> {
    let row = query("SELECT body FROM breakers WHERE provider = $1")
        .bind(clean(provider))
        .fetch_optional(store.reads())
        .await?;
    row.map_or_else(|| Ok(Breaker::default()), |row| parsed(&row, provider))
}

/// The row, made where it isn't there, and the database's now.
async fn locked(
    store: &Store,
    conn: &mut Conn,
    provider: &str,
) -> Result<(Breaker, Timestamp), Fault> {
    query("INSERT INTO breakers (provider, body) VALUES ($1, '{}') ON CONFLICT DO NOTHING")
        .bind(clean(provider))
        .execute(&mut *conn)
        .await?;
    let row = query(concat!(
        "SELECT body, ",
        now!("$1"),
        " AS now FROM breakers WHERE provider = $2",
        lock!()
    ))
    .bind(store.now())
    .bind(clean(provider))
    .fetch_one(conn)
    .await?;
    let now = Timestamp::from_millis(row.try_get("now")?);
    Ok((parsed(&row, provider)?, now))
}

fn parsed(row: &Row, provider: &str) -> Result<Breaker, Fault> {
    let body: String = row.try_get("body")?;
    Ok(rules::parse(&body, || {
        format!("the breaker of `{provider}`")
    })?)
}

async fn write(conn: &mut Conn, provider: &str, breaker: &Breaker) -> Result<(), Fault> {
    query("UPDATE breakers SET body = $1 WHERE provider = $2")
        .bind(rules::json(breaker)?)
        .bind(clean(provider))
        .execute(conn)
        .await?;
    Ok(())
}
