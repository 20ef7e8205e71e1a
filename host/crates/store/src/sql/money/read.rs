//! Money as people and hosts ask for it.

use super::super::{Row, Store};
use super::{day_of, group_name, now, phase_name, spending, unsigned};
use crate::error::Fault;
use crate::money::{AccountState, DayMoney, JobMoney, Spending};
use crate::rules::clean;
use pipeline::{BudgetKind, JobId};
use sqlx::{Row as _, query};

/// What is read of an account.
macro_rules! account_columns {
    () => {
        "kind, name, spent, assumed, reserved, requests, input_tokens, cache_read_tokens, \
         cache_write_tokens, output_tokens"
    };
}

pub(super) async fn spent_by(store: &Store, run: &str) -> Result<Spending, Fault> {
    let row = query(concat!(
        "SELECT ",
        account_columns!(),
        " FROM accounts WHERE kind = 'run' AND name = $1"
    ))
    .bind(clean(run))
    .fetch_optional(store.reads())
    .await?;
    row.map_or_else(|| Ok(Spending::default()), |row| spending(&row))
}

pub(super) async fn job_money(store: &Store, job: JobId, revision: u32) -> Result<JobMoney, Fault> {
    let rows = query(concat!(
        "SELECT ",
        account_columns!(),
        " FROM accounts WHERE job = $1 AND kind IN ('job', 'phase')"
    ))
    .bind(job.0)
    .fetch_all(store.reads())
    .await?;
    let mut money = JobMoney::default();
    let prefix = phase_name(job, revision, "");
    for row in &rows {
        if let Some(account) = of_job(&mut money, row, &prefix)? {
            account.spent = spending(row)?;
            account.reserved = unsigned(row, "reserved")?;
        }
    }
    let rows = query("SELECT kind, name, micro_usd FROM budgets WHERE job = $1")
        .bind(job.0)
        .fetch_all(store.reads())
        .await?;
    for row in &rows {
        if let Some(account) = of_job(&mut money, row, &prefix)? {
            account.own = Some(unsigned(row, "micro_usd")?);
        }
    }
    Ok(money)
}

/// The account that a row is of; none where it is of another revision.
fn of_job<'m>(
    money: &'m mut JobMoney,
    row: &Row,
    prefix: &str,
) -> Result<Option<&'m mut AccountState>, Fault> {
    let (kind, name): (&str, &str) = (row.try_get("kind")?, row.try_get("name")?);
    if kind == BudgetKind::Job.word() {
        return Ok(Some(&mut money.job));
    }
    let phase = name.strip_prefix(prefix);
    Ok(phase.map(|phase| money.phases.entry(phase.to_owned()).or_default()))
}

pub(super) async fn day_money(store: &Store) -> Result<DayMoney, Fault> {
    let day = day_of(now(store).await?);
    let mut money = DayMoney {
        day: day.clone(),
        ..DayMoney::default()
    };
    let first = group_name(&day, "");
    let rows = query(concat!(
        "SELECT ",
        account_columns!(),
        " FROM accounts WHERE (kind = 'day' AND name = $1) ",
        "OR (kind = 'group' AND name LIKE $2)"
    ))
    .bind(&day)
    .bind(format!("{first}%"))
    .fetch_all(store.reads())
    .await?;
    for row in &rows {
        let (kind, name): (&str, &str) = (row.try_get("kind")?, row.try_get("name")?);
        let account = match name.strip_prefix(&first) {
            Some(group) if kind == "group" => money.groups.entry(group.to_owned()).or_default(),
            _ => &mut money.all,
        };
        account.spent = spending(row)?;
        account.reserved = unsigned(row, "reserved")?;
    }
    let rows = query("SELECT kind, name, micro_usd FROM budgets WHERE kind IN ('group', 'day')")
        .fetch_all(store.reads())
        .await?;
    for row in &rows {
        let (kind, name): (&str, &str) = (row.try_get("kind")?, row.try_get("name")?);
        let account = match kind {
            "group" => money.groups.entry(name.to_owned()).or_default(),
            _ => &mut money.all,
        };
        account.own = Some(unsigned(row, "micro_usd")?);
    }
    Ok(money)
}
