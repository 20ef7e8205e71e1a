//! Accounts, purses and budgets, and what people give. Booking is in `book`, what nobody tells any
//! more in `left`, and what people read in `read`.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Face, Row, Store};
use crate::error::Fault;
use crate::money::{Booked, Booking, DayMoney, JobMoney, MoneyStore, Payer, Spending};
use crate::rules::{bytes as signed, clean};
use crate::{Hold, StoreError};
use async_trait::async_trait;
use pipeline::{BudgetKind, JobId, Timestamp, Usage};
use sqlx::{Row as _, query};
use std::borrow::Cow;
use std::time::Duration;
use uuid::Uuid;

#[path = "money/book.rs"]
mod book;
#[path = "money/left.rs"]
mod left;
#[path = "money/read.rs"]
mod read;

use book::book;
use left::{book_left, book_orphans};
use read::{day_money, job_money, spent_by};

#[async_trait]
impl MoneyStore for Face {
    async fn book(&self, payer: &Payer, booking: &Booking) -> Result<Booked, StoreError> {
        self.store.within(book(&self.store, payer, booking)).await
    }

    async fn book_left(&self, hold: &Hold) -> Result<(), StoreError> {
        self.store.within(book_left(&self.store, hold)).await
    }

    async fn book_orphans(&self) -> Result<u64, StoreError> {
        self.store.within(book_orphans(&self.store)).await
    }

    async fn spent_by(&self, run: &str) -> Result<Spending, StoreError> {
        self.store.within(spent_by(&self.store, run)).await
    }

    async fn job_money(&self, job: JobId, revision: u32) -> Result<JobMoney, StoreError> {
        self.store
            .within(job_money(&self.store, job, revision))
            .await
    }

    async fn day_money(&self) -> Result<DayMoney, StoreError> {
        self.store.within(day_money(&self.store)).await
    }

    async fn forget_days(&self, older: Duration) -> Result<u64, StoreError> {
        self.store.within(forget_days(&self.store, older)).await
    }

    async fn set_job_budget(
        &self,
        job: JobId,
        phase: Option<(u32, &str)>,
        micro_usd: Option<u64>,
    ) -> Result<(), StoreError> {
        let (kind, name) = match phase {
            None => (BudgetKind::Job, job.to_string()),
            Some((revision, phase)) => (BudgetKind::Phase, phase_name(job, revision, phase)),
        };
        let set = set_budget(&self.store, kind, &name, Some(job.0), micro_usd);
        self.store.within(set).await
    }

    async fn set_day_budget(
        &self,
        group: Option<&str>,
        micro_usd: Option<u64>,
    ) -> Result<(), StoreError> {
        let (kind, name) = match group {
            None => (BudgetKind::Day, ""),
            Some(group) => (BudgetKind::Group, group),
        };
        let set = set_budget(&self.store, kind, name, None, micro_usd);
        self.store.within(set).await
    }
}

/// Names of the accounts that a run's money goes through, of one day.
struct Names<'a> {
    run: Cow<'a, str>,
    phase: Cow<'a, str>,
    job: JobId,
    group: Option<String>,
    day: &'a str,
}

impl Names<'_> {
    /// Kind, name, and the job with which it goes. In the order of the keys.
    fn all(&self) -> Vec<(&'static str, String, Option<Uuid>)> {
        let job = Some(self.job.0);
        let mut all = vec![
            ("day", self.day.to_owned(), None),
            ("job", self.job.to_string(), job),
            ("phase", self.phase.clone().into_owned(), job),
            ("run", self.run.clone().into_owned(), job),
        ];
        if let Some(group) = &self.group {
            all.insert(1, ("group", group_name(self.day, group), None));
        }
        all
    }
}

fn phase_name(job: JobId, revision: u32, phase: &str) -> String {
    format!("{job}/r{revision}/{}", clean(phase))
}

fn group_name(day: &str, group: &str) -> String {
    format!("{day} {}", clean(group))
}

async fn set_budget(
    store: &Store,
    kind: BudgetKind,
    name: &str,
    job: Option<Uuid>,
    micro_usd: Option<u64>,
) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    let sql = match micro_usd {
        None => "DELETE FROM budgets WHERE kind = $1 AND name = $2",
        Some(_) => {
            "INSERT INTO budgets (kind, name, job, micro_usd) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (kind, name) DO UPDATE SET micro_usd = excluded.micro_usd"
        }
    };
    let mut set = query(sql).bind(kind.word()).bind(clean(name));
    if let Some(micro_usd) = micro_usd {
        set = set.bind(job).bind(signed(micro_usd));
    }
    set.execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Days and groups that nobody asks for any more.
async fn forget_days(store: &Store, older: Duration) -> Result<u64, Fault> {
    let older = i64::try_from(older.as_millis()).unwrap_or(i64::MAX);
    let first = day_of(now(store).await?.saturating_sub(older).max(0));
    let mut tx = store.begin().await?;
    // A group's account is named after its day first.
    let gone = query("DELETE FROM accounts WHERE kind IN ('day', 'group') AND name < $1")
        .bind(first)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(gone.rows_affected())
}

/// By the database's clock, in milliseconds since 1970.
async fn now(store: &Store) -> Result<i64, Fault> {
    let row = query(concat!("SELECT ", now!("$1"), " AS now"))
        .bind(store.now())
        .fetch_one(store.reads())
        .await?;
    Ok(row.try_get("now")?)
}

/// The day in UTC, as `2026-11-30`.
fn day_of(now_ms: i64) -> String {
    let text = Timestamp::from_millis(now_ms).to_string();
    text.chars().take(10).collect()
}

/// Adds to each account, which is made where it isn't there.
async fn add(
    conn: &mut Conn,
    names: &Names<'_>,
    spent: &Spending,
    reserved: i64,
) -> Result<(), Fault> {
    let usage = &spent.usage;
    for (kind, name, job) in names.all() {
        query(
            "INSERT INTO accounts AS old (kind, name, job, spent, assumed, reserved, requests, \
             input_tokens, cache_read_tokens, cache_write_tokens, output_tokens) \
             VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 > 0 THEN $6 ELSE 0 END, $7, $8, $9, $10, $11) \
             ON CONFLICT (kind, name) DO UPDATE SET spent = old.spent + $4, \
             assumed = old.assumed + $5, \
             reserved = CASE WHEN old.reserved + $6 > 0 THEN old.reserved + $6 ELSE 0 END, \
             requests = old.requests + $7, input_tokens = old.input_tokens + $8, \
             cache_read_tokens = old.cache_read_tokens + $9, \
             cache_write_tokens = old.cache_write_tokens + $10, \
             output_tokens = old.output_tokens + $11",
        )
        .bind(kind)
        .bind(name)
        .bind(job)
        .bind(signed(usage.cost_micro_usd))
        .bind(signed(spent.assumed_micro_usd))
        .bind(reserved)
        .bind(signed(spent.requests))
        .bind(signed(usage.input_tokens))
        .bind(signed(usage.cache_read_tokens))
        .bind(signed(usage.cache_write_tokens))
        .bind(signed(usage.output_tokens))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

fn spending(row: &Row) -> Result<Spending, Fault> {
    Ok(Spending {
        requests: unsigned(row, "requests")?,
        usage: Usage {
            cost_micro_usd: unsigned(row, "spent")?,
            input_tokens: unsigned(row, "input_tokens")?,
            cache_read_tokens: unsigned(row, "cache_read_tokens")?,
            cache_write_tokens: unsigned(row, "cache_write_tokens")?,
            output_tokens: unsigned(row, "output_tokens")?,
        },
        assumed_micro_usd: unsigned(row, "assumed")?,
    })
}

fn unsigned(row: &Row, column: &str) -> Result<u64, sqlx::Error> {
    let value: i64 = row.try_get(column)?;
    Ok(u64::try_from(value).unwrap_or(0))
}
