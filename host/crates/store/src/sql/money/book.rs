//! One booking: it locks what it touches, always in the same order, and judges all budgets together.

use super::super::{Conn, Row, Store};
use super::{Names, add, day_of, phase_name, unsigned};
use crate::Hold;
use crate::error::Fault;
use crate::money::{Booked, Booking, BudgetState, Payer, Spending, grant};
use crate::rules::{bytes as signed, clean};
use pipeline::BudgetKind;
use sqlx::{Row as _, query};
use std::borrow::Cow;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) async fn book(store: &Store, payer: &Payer, booking: &Booking) -> Result<Booked, Fault> {
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
