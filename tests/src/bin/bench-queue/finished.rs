//! Jobs finished a second by one host over a full queue, beside both peers, each one by one and
//! in its batches. All measure in the same way: a window that opens after a warm-up.

use std::time::Duration;

use serde_json::json;
use sqlx::Row as _;
use tests::bench::{Row, say};
use tokio::time::sleep;

use crate::hosts::Host;
use crate::postgres::{self, Bed};
use crate::scale::Scale;
use crate::{peers, pipeline};

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

/// Seconds.
#[derive(Clone, Copy)]
struct Window {
    warm_up: u32,
    length: u32,
}

pub(crate) async fn rows(scale: &Scale) -> Vec<Row> {
    let window = Window {
        warm_up: scale.of(3, 2),
        length: scale.of(12, 5),
    };
    let queued = scale.of(QUEUED, QUEUED_QUICK);
    let mut rows = Vec::new();
    for at_once in AT_ONCE {
        rows.extend(at(at_once, queued, window).await);
    }
    rows
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
    let others = [
        ("graphile", "graphile-worker, one by one", graphile),
        ("pg-boss", "pg-boss, one by one", boss),
        (
            "graphile-batches",
            "graphile-worker, in batches",
            graphile_batches,
        ),
        (
            "pg-boss-batches",
            "pg-boss, in batches of 100",
            boss_batches,
        ),
    ];
    let others = others.into_iter().filter_map(|(short, name, rate)| {
        let what = format!("the same, {name}");
        Some(Row::another(
            &format!("{id}-{short}"),
            what,
            UNIT,
            name,
            rate?,
        ))
    });
    std::iter::once(row).chain(others).collect()
}

/// By the times of the events, which are the database's.
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
    let begun = "SELECT count(*) FROM jobs WHERE status = 'running'";
    while postgres::number(&bed.pool, begun).await == 0 {
        host.must_run();
        sleep(LOOK_AGAIN).await;
    }
    let left = "SELECT CAST(EXISTS (SELECT 1 FROM jobs WHERE status IN ('queued', 'running')) AS \
                int)::bigint";
    for _ in 0..(window.warm_up + window.length + 1) * 10 {
        host.must_run();
        sleep(LOOK_AGAIN).await;
    }
    let emptied = postgres::number(&bed.pool, left).await == 0;
    host.terminate();
    let bad = "SELECT count(*) FROM jobs WHERE status IN ('failed', 'cancelled', 'waiting')";
    assert_eq!(postgres::number(&bed.pool, bad).await, 0, "{}", host.log());
    let row = sqlx::query(
        "WITH ends AS (SELECT at FROM events WHERE kind = 'job.succeeded'), \
         opened AS (SELECT min(at) + $1 AS at FROM events WHERE kind = 'job.started'), \
         closed AS (SELECT least((SELECT max(at) FROM ends), at + $2) AS at FROM opened) \
         SELECT count(*), max(closed.at) - max(opened.at) FROM ends, opened, closed \
         WHERE ends.at > opened.at AND ends.at <= closed.at",
    )
    .bind(i64::from(window.warm_up) * 1000)
    .bind(i64::from(window.length) * 1000)
    .fetch_one(&bed.pool)
    .await
    .unwrap();
    let (jobs, ms): (i64, Option<i64>) = (row.get(0), row.get(1));
    let seconds = ms.expect("jobs end after the warm-up") as f64 / 1e3;
    say(format_args!(
        "{}, {at_once} at once: {jobs} jobs in {seconds:.1} s{}",
        pipeline::NAME,
        if emptied {
            ", and the queue was empty then"
        } else {
            ""
        }
    ));
    Some(jobs as f64 / seconds)
}
