//! How the database finds what the queue asks for: the plans of the store's own statements, as they
//! run, at a million rows. It looks at rows and indexes, never at a clock.
//!
//! PostgreSQL explains each statement as it runs it (`auto_explain`), and the driver passes that on
//! to the log. SQLite is asked again for each statement that the driver logs; its planner goes by
//! the indexes alone, so that no rows are needed there.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a case ends where something is wrong, and says so where it can't run"
)]

#[expect(dead_code, reason = "made for the conformance suite")]
#[path = "conformance/setup.rs"]
mod setup;

#[path = "plans/postgres.rs"]
mod postgres;
#[path = "plans/seen.rs"]
mod seen;
#[path = "plans/sqlite.rs"]
mod sqlite;

use pipeline::{Failure, FailureKind, Input, Job};
use setup::{Store, ask, go, hold_of, job, real_now, submit};
use std::sync::Arc;
use store::{Ask, GateChange, GateKind, TakeOver};

/// The group of whose jobs one may run.
const FULL: &str = "tenant";

fn of_group(name: &str) -> Job {
    let mut job = job(name, real_now());
    job.group = Some(FULL.to_owned());
    job
}

async fn one_at_once(store: &Arc<dyn Store>) {
    let change = GateChange {
        capacity: Some(Some(1)),
        ..GateChange::default()
    };
    store
        .set_gate(GateKind::Group, FULL, &change)
        .await
        .unwrap();
}

/// A host that takes one job at a time; whether it also looks at what is due, left or let through.
fn asks(look: bool) -> Ask {
    Ask {
        look,
        limit: 1,
        take_over: match look {
            true => TakeOver::Expired,
            false => TakeOver::None,
        },
        ..ask("a")
    }
}

/// Takes a job in both ways, looks how long there is nothing to do, beats, and ends both.
async fn claim_and_finish(store: &Arc<dyn Store>) {
    let mut held = Vec::new();
    for look in [false, true] {
        let mut asks = asks(look);
        asks.held = held.iter().map(|(_, hold)| hold).cloned().collect();
        for claimed in store.claim(&asks).await.unwrap() {
            let hold = hold_of(&claimed.job, claimed.lease, &asks.host);
            held.push((claimed.job, hold));
        }
        store.idle_for(&asks).await.unwrap();
    }
    assert_eq!(held.len(), 2, "one by each way");
    let holds: Vec<_> = held.iter().map(|(_, hold)| hold.clone()).collect();
    store
        .heartbeat(&holds[0].host, &holds, setup::LEASE)
        .await
        .unwrap();
    for (job, hold) in held {
        let begun = go(store, &hold, &job, Input::Claimed { rescued: false }).await;
        let failure = Failure::new(FailureKind::Internal, "enough");
        go(store, &hold, &begun, Input::Broken(failure)).await;
    }
}

/// What the queue does all the time: jobs come, are taken, and end.
async fn all_day(store: &Arc<dyn Store>) {
    submit(store, job("another", real_now())).await;
    submit(store, of_group("one more of the full group")).await;
    claim_and_finish(store).await;
}
