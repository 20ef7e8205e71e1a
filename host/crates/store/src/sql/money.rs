//! Accounts, purses and budgets. Each booking locks the accounts that it touches, always in the
//! same order, and judges them together.
// Compiled once for each database: `super` is `postgres` or `sqlite`.

use super::{Conn, Face, Row, Store};
use crate::error::Fault;
use crate::money::{
    AccountState, Booked, Booking, BudgetState, DayMoney, JobMoney, MoneyStore, Payer, Spending,
    grant,
};
use crate::rules::{bytes as signed, clean};
use crate::{Hold, StoreError};
use async_trait::async_trait;
use pipeline::{BudgetKind, JobId, Timestamp, Usage};
use sqlx::{Row as _, query};
use std::borrow::Cow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What is read of an account.
macro_rules! account_columns {
    () => {
        "kind, name, spent, assumed, reserved, requests, input_tokens, cache_read_tokens, \
         cache_write_tokens, output_tokens"
    };
}

/// Of a purse, that nobody holds its run any more.
macro_rules! orphaned {
    () => {
        "WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = purses.job \
         AND jobs.status = 'running' AND jobs.lease = purses.lease)"
    };
}

/// Purses that one call books in full.
const ORPHANS: i64 = 100;

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

async fn book(store: &Store, payer: &Payer, booking: &Booking) -> Result<Booked, Fault> {
    let mut tx = store.begin().await?;
    let Some(today) = held(store, &mut tx, &payer.hold).await? else {
        return Ok(Booked::LeaseLost);
    };
    let names = |day| Names {
        run: clean(&payer.run),
        phase: Cow::Owned(phase_name(payer.hold.job, payer.revision, &payer.phase)),
        job: payer.hold.job,
        group: payer
            .group
            .as_deref()
            .map(|group| clean(group).into_owned()),
        day,
    };
    let purses = purses(&mut tx, payer).await?;
    let mut done = purses.iter().filter(|purse| purse.turn == booking.turn);
    if let Some(purse) = done.clone().find(|purse| purse.granted > 0).or(done.next()) {
        return Ok(Booked::Done {
            day: purse.day.clone(),
            granted: purse.granted,
            budgets: budgets(&mut tx, payer, &names(&today)).await?,
        });
    }
    if booking.spent != Spending::default() || booking.freed > 0 {
        let day = booking.day.as_deref().unwrap_or(&today);
        let there = purses.iter().find(|purse| purse.day == day);
        // Never more than this purse holds: the rest of an account's is others'.
        let freed = booking.freed.min(there.map_or(0, |purse| purse.reserved));
        add(&mut tx, &names(day), &booking.spent, -signed(freed)).await?;
        put(&mut tx, payer, &names(day), -signed(freed), booking.turn, 0).await?;
    }
    let names = names(&today);
    let mut budgets = budgets(&mut tx, payer, &names).await?;
    let granted = grant(&budgets, booking.want, booking.least);
    if granted > 0 {
        add(&mut tx, &names, &Spending::default(), signed(granted)).await?;
        put(
            &mut tx,
            payer,
            &names,
            signed(granted),
            booking.turn,
            granted,
        )
        .await?;
    }
    tx.commit().await?;
    for budget in &mut budgets {
        budget.reserved += granted;
    }
    Ok(Booked::Done {
        day: today,
        granted,
        budgets,
    })
}

/// Today in UTC, where the hold still holds.
async fn held(store: &Store, conn: &mut Conn, hold: &Hold) -> Result<Option<String>, Fault> {
    let row = query(concat!(
        "SELECT ",
        now!("$1"),
        " AS now FROM jobs WHERE id = $2 AND lease = $3 AND host = $4 AND status = 'running'"
    ))
    .bind(store.now())
    .bind(hold.job.0)
    .bind(hold.lease.0)
    .bind(&hold.host.0)
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok(day_of(row.try_get("now")?))).transpose()
}

/// The day in UTC, as `2026-11-30`.
fn day_of(now_ms: i64) -> String {
    let text = Timestamp::from_millis(now_ms).to_string();
    text.chars().take(10).collect()
}

struct Purse {
    day: String,
    reserved: u64,
    turn: u64,
    granted: u64,
}

/// What this holder has set aside for the run, locked: purses always before accounts.
async fn purses(conn: &mut Conn, payer: &Payer) -> Result<Vec<Purse>, Fault> {
    let rows = query(concat!(
        "SELECT day, reserved, turn, granted FROM purses WHERE run = $1 AND lease = $2 ORDER BY day",
        lock!()
    ))
    .bind(clean(&payer.run))
    .bind(payer.hold.lease.0)
    .fetch_all(conn)
    .await?;
    let of = |row: &Row| -> Result<Purse, Fault> {
        Ok(Purse {
            day: row.try_get("day")?,
            reserved: unsigned(row, "reserved")?,
            turn: unsigned(row, "turn")?,
            granted: unsigned(row, "granted")?,
        })
    };
    rows.iter().map(of).collect()
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

/// Notes in the holder's purse what this turn did.
async fn put(
    conn: &mut Conn,
    payer: &Payer,
    names: &Names<'_>,
    reserved: i64,
    turn: u64,
    granted: u64,
) -> Result<(), Fault> {
    query(
        "INSERT INTO purses AS old (run, lease, day, job, phase, group_key, reserved, turn, granted) \
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 > 0 THEN $7 ELSE 0 END, $8, $9) \
         ON CONFLICT (run, lease, day) DO UPDATE SET \
         reserved = CASE WHEN old.reserved + $7 > 0 THEN old.reserved + $7 ELSE 0 END, \
         turn = $8, granted = $9",
    )
    .bind(names.run.as_ref())
    .bind(payer.hold.lease.0)
    .bind(names.day)
    .bind(names.job.0)
    .bind(names.phase.as_ref())
    .bind(&names.group)
    .bind(reserved)
    .bind(signed(turn))
    .bind(signed(granted))
    .execute(conn)
    .await?;
    Ok(())
}

/// How each budget stands that holds for the run, its account locked until the end.
async fn budgets(
    conn: &mut Conn,
    payer: &Payer,
    names: &Names<'_>,
) -> Result<Vec<BudgetState>, Fault> {
    let own = own_budgets(conn, names).await?;
    let mut budgets = Vec::new();
    for (word, name, job) in names.all() {
        let Some(kind) = BudgetKind::from_word(word) else {
            continue;
        };
        let of = payer.budgets.get(&kind).copied().unwrap_or_default();
        let Some(limit) = of.limit(own.get(&kind).copied()) else {
            continue;
        };
        let row = locked(conn, word, &name, job).await?;
        budgets.push(BudgetState {
            kind,
            limit,
            spent: unsigned(&row, "spent")?,
            reserved: unsigned(&row, "reserved")?,
        });
    }
    Ok(budgets)
}

/// An account, locked; made where it isn't there, since nobody could lock it then.
async fn locked(
    conn: &mut Conn,
    kind: &str,
    name: &str,
    job: Option<Uuid>,
) -> Result<Row, sqlx::Error> {
    const SELECT: &str = concat!(
        "SELECT spent, reserved FROM accounts WHERE kind = $1 AND name = $2",
        lock!()
    );
    let select = || query(SELECT).bind(kind).bind(name);
    if let Some(row) = select().fetch_optional(&mut *conn).await? {
        return Ok(row);
    }
    query("INSERT INTO accounts (kind, name, job) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(kind)
        .bind(name)
        .bind(job)
        .execute(&mut *conn)
        .await?;
    select().fetch_one(conn).await
}

/// What people gave, by kind. A group's own goes before that of groups without one.
async fn own_budgets(
    conn: &mut Conn,
    names: &Names<'_>,
) -> Result<BTreeMap<BudgetKind, u64>, Fault> {
    let rows = query(
        "SELECT kind, name, micro_usd FROM budgets WHERE (kind = 'job' AND name = $1) \
         OR (kind = 'phase' AND name = $2) OR (kind = 'group' AND name IN ($3, '*')) \
         OR (kind = 'day' AND name = '') ORDER BY kind, CASE WHEN name = '*' THEN 0 ELSE 1 END",
    )
    .bind(names.job.to_string())
    .bind(names.phase.as_ref())
    .bind(&names.group)
    .fetch_all(conn)
    .await?;
    let mut own = BTreeMap::new();
    for row in &rows {
        let kind: &str = row.try_get("kind")?;
        if let Some(kind) = BudgetKind::from_word(kind) {
            own.insert(kind, unsigned(row, "micro_usd")?);
        }
    }
    Ok(own)
}

async fn book_left(store: &Store, hold: &Hold) -> Result<(), Fault> {
    let mut tx = store.begin().await?;
    let rows = query(concat!(
        "SELECT run, lease, day, job, phase, group_key, reserved FROM purses ",
        "WHERE job = $1 AND lease < $2 ORDER BY run, lease, day",
        lock!()
    ))
    .bind(hold.job.0)
    .bind(hold.lease.0)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        book_in_full(&mut tx, row).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// As a rule there are none, which takes one statement to see.
async fn book_orphans(store: &Store) -> Result<u64, Fault> {
    let any = query(concat!("SELECT 1 FROM purses ", orphaned!(), " LIMIT 1"))
        .fetch_optional(store.reads())
        .await?;
    if any.is_none() {
        return Ok(0);
    }
    let mut tx = store.begin().await?;
    let rows = query(concat!(
        "SELECT run, lease, day, job, phase, group_key, reserved FROM purses ",
        orphaned!(),
        " ORDER BY run, lease, day LIMIT $1",
        skip_locked!()
    ))
    .bind(ORPHANS)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        book_in_full(&mut tx, row).await?;
    }
    tx.commit().await?;
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}

/// Nobody knows what became of it: all of it counts as spent.
async fn book_in_full(conn: &mut Conn, row: &Row) -> Result<(), Fault> {
    let run: &str = row.try_get("run")?;
    let day: &str = row.try_get("day")?;
    let lease: i64 = row.try_get("lease")?;
    let phase: &str = row.try_get("phase")?;
    let reserved = unsigned(row, "reserved")?;
    if reserved > 0 {
        let names = Names {
            run: Cow::Borrowed(run),
            phase: Cow::Borrowed(phase),
            job: JobId(row.try_get("job")?),
            group: row.try_get("group_key")?,
            day,
        };
        let spent = Spending {
            usage: Usage {
                cost_micro_usd: reserved,
                ..Usage::default()
            },
            assumed_micro_usd: reserved,
            ..Spending::default()
        };
        add(conn, &names, &spent, -signed(reserved)).await?;
    }
    query("DELETE FROM purses WHERE run = $1 AND lease = $2 AND day = $3")
        .bind(run)
        .bind(lease)
        .bind(day)
        .execute(conn)
        .await?;
    Ok(())
}

async fn spent_by(store: &Store, run: &str) -> Result<Spending, Fault> {
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

async fn job_money(store: &Store, job: JobId, revision: u32) -> Result<JobMoney, Fault> {
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

async fn day_money(store: &Store) -> Result<DayMoney, Fault> {
    let row = query(concat!("SELECT ", now!("$1"), " AS now"))
        .bind(store.now())
        .fetch_one(store.reads())
        .await?;
    let day = day_of(row.try_get("now")?);
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
