//! Jobs finished a second by one host over a full queue, beside both peers, each one by one and
//! in its batches; and the same on SQLite. All count in a window that opens after a warm-up.

use std::time::Duration;

use serde_json::json;
use tests::bench::Row;
use tokio::time::sleep;

use crate::hosts::Host;
use crate::peers;
use crate::postgres::{self, Bed};
use crate::scale::Scale;
use crate::sqlite;
use crate::window::Window;

const AT_ONCE: [usize; 2] = [16, 64];
const WHAT: &str = "jobs finished a second, one host, PostgreSQL";
const UNIT: &str = "jobs/s";
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Queued before each run; where it is empty before the window closes, that is its end.
const QUEUED: i64 = 100_000;
const QUEUED_QUICK: i64 = 40_000;
/// So many times that for batches, which come through so many more.
const FOR_BATCHES: i64 = 3;
/// Of pg-boss, as it is usual.
const BATCH: usize = 100;

fn window(scale: &Scale) -> Window {
    Window {
        warm_up: scale.of(3, 2),
        length: scale.of(12, 5),
    }
}

pub(crate) async fn rows(scale: &Scale) -> Vec<Row> {
    let queued = scale.of(QUEUED, QUEUED_QUICK);
    let mut rows = Vec::new();
    for at_once in AT_ONCE {
        rows.extend(at(at_once, queued, window(scale)).await);
    }
    rows
}

/// On SQLite, which waits for the disk at each commit (`synchronous=FULL`).
pub(crate) async fn on_sqlite(scale: &Scale) -> Vec<Row> {
    let at_once = AT_ONCE[0];
    let data = tempfile::tempdir().unwrap();
    let bed = sqlite::Bed::new(data.path()).await;
    bed.fill(scale.of(QUEUED, QUEUED_QUICK)).await;
    let settings = [
        ("DATABASE_URL", bed.url()),
        ("MAX_CONCURRENT", at_once.to_string()),
    ];
    let window = window(scale);
    let mut host = Host::start("all", data.path(), &settings);
    while !bed.begun().await {
        host.must_run();
        sleep(LOOK_AGAIN).await;
    }
    drive(&mut host, window).await;
    let (begun, ends) = bed.times().await;
    let rate = window.rate("SQLite", begun, &ends);
    let what = format!("jobs finished a second, SQLite, synchronous=FULL, {at_once} at once");
    vec![Row::new("finished-sqlite", what, UNIT, rate).at_least(2000.0)]
}

async fn at(at_once: usize, queued: i64, window: Window) -> Vec<Row> {
    let id = format!("finished-{at_once}");
    let what = format!("{WHAT}, {at_once} at once");
    let Some(ours) = ours(at_once, queued, window).await else {
        return vec![Row::missing(&id, &what, UNIT, "no PostgreSQL server")];
    };
    let ask = |batches: bool| {
        json!({
            "measure": "throughput", "concurrency": at_once, "batches": batches,
            "batchSize": BATCH, "jobs": if batches { queued * FOR_BATCHES } else { queued },
            "warmUp": window.warm_up, "window": window.length,
        })
    };
    let graphile = peers::rate("graphile-worker", &ask(false)).await;
    let boss = peers::rate("pg-boss", &ask(false)).await;
    let graphile_batches = peers::rate("graphile-worker", &ask(true)).await;
    let boss_batches = peers::rate("pg-boss", &ask(true)).await;
    let mut row = Row::new(&id, what, UNIT, ours);
    let named = [("graphile-worker", graphile), ("pg-boss", boss)];
    let better = named
        .into_iter()
        .filter_map(|(name, rate)| Some((name, rate?)))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((name, rate)) = better {
        let name = format!("{name}, one by one");
        row = row.against(&name, rate).at_least(2.0 * rate);
    }
    let batched = "graphile-worker, in its batches";
    let others = [
        ("graphile", "graphile-worker, one by one", graphile),
        ("pg-boss", "pg-boss, one by one", boss),
        ("graphile-batches", batched, graphile_batches),
        (
            "pg-boss-batches",
            "pg-boss, in batches of 100",
            boss_batches,
        ),
    ];
    let others = others.into_iter().filter_map(|(short, name, rate)| {
        let id = format!("{id}-{short}");
        let rate = rate?;
        Some(Row::another(&id, "the same", UNIT, name, rate))
    });
    std::iter::once(row).chain(others).collect()
}

async fn ours(at_once: usize, queued: i64, window: Window) -> Option<f64> {
    let bed = Bed::new().await?;
    bed.fill(queued).await;
    bed.settle().await;
    let data = tempfile::tempdir().unwrap();
    let settings = [
        ("DATABASE_URL", bed.url()),
        ("MAX_CONCURRENT", at_once.to_string()),
    ];
    let mut host = Host::start("driver", data.path(), &settings);
    let begun =
        "SELECT count(*) FROM (SELECT 1 FROM events WHERE kind = 'job.started' LIMIT 1) AS one";
    while postgres::number(&bed.pool, begun).await == 0 {
        host.must_run();
        sleep(LOOK_AGAIN).await;
    }
    drive(&mut host, window).await;
    let bad = "SELECT count(*) FROM jobs WHERE status IN ('failed', 'cancelled', 'waiting')";
    assert_eq!(postgres::number(&bed.pool, bad).await, 0, "{}", host.log());
    let (begun, ends) = bed.times().await;
    Some(window.rate(&format!("PostgreSQL, {at_once} at once"), begun, &ends))
}

/// Lets a host that has begun work until the window has closed, and ends it.
async fn drive(host: &mut Host, window: Window) {
    for _ in 0..=window.end() {
        host.must_run();
        sleep(Duration::from_secs(1)).await;
    }
    host.terminate();
}
