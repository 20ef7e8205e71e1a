//! The time of a claim where the queue is long, and where it is long of jobs that may not run,
//! against a short one. Each claim takes what a host of that size would, and as many jobs come
//! after it as it took.

use std::time::{Duration, Instant};

use ::pipeline::HostId;
use sqlx::Row as _;
use store::{Ask, DriverStore as _, TakeOver};
use tests::bench::{Row, Times, say};

use crate::postgres::{Bed, run};
use crate::scale::Scale;

const SHORT: i64 = 1_000;
const LONG: i64 = 1_000_000;
const LONG_QUICK: i64 = 100_000;
const CALLS: usize = 300;
const CALLS_QUICK: usize = 100;
const WARM_UP: usize = 20;
const LIMIT: u32 = 16;
const TIMES_SHORT: f64 = 1.5;

pub(crate) async fn rows(scale: &Scale) -> Vec<Row> {
    let (long, calls) = (scale.of(LONG, LONG_QUICK), scale.of(CALLS, CALLS_QUICK));
    let queued = format!("claim of {LIMIT} jobs with {long} queued, p50 of {calls}");
    let full = format!("the same with {SHORT}, and {long} of a group that is full");
    let Some(short) = Bed::new().await else {
        let row = |id, what| Row::missing(id, what, "ms", "no PostgreSQL server");
        return vec![row("claim-long", &queued), row("claim-full", &full)];
    };
    short.fill(SHORT).await;
    short.settle().await;
    let mut rows = Vec::new();
    let beside = |id: &str, what: String, [short, long]: [Times; 2]| {
        say(format_args!("{id}: {long}, against {short}"));
        let row = Row::new(id, what, "ms", long.ms(50));
        row.against(&format!("{SHORT} queued"), short.ms(50))
            .at_most(TIMES_SHORT * short.ms(50))
    };
    if let Some(bed) = Bed::new().await {
        bed.fill(long).await;
        bed.settle().await;
        rows.push(beside(
            "claim-long",
            queued,
            claims([&short, &bed], calls).await,
        ));
    }
    if let Some(bed) = full_group(long).await {
        let times = claims([&short, &bed], calls).await;
        rows.push(beside("claim-full", full, times));
    }
    rows
}

/// A queue with a short line of ready jobs, and this many of a group whose only place another
/// host's job has.
async fn full_group(jobs: i64) -> Option<Bed> {
    let bed = Bed::new().await?;
    let gate = "INSERT INTO gates (kind, name, capacity) VALUES ('group', 'full', 1)";
    run(&bed.pool, gate).await;
    let has_the_place = [
        ("group_key", "'full'"),
        ("group_slot", "true"),
        ("ready", "false"),
        ("status", "'running'"),
        ("host", "'another'"),
        ("lease_until", "old.created_at + 86400000"),
    ];
    bed.fill_with(1, &has_the_place).await;
    let in_line = [
        ("group_key", "'full'"),
        ("ready", "false"),
        ("status", "'waiting'"),
        ("line", "'group'"),
    ];
    bed.fill_with(jobs, &in_line).await;
    bed.fill(SHORT).await;
    bed.settle().await;
    Some(bed)
}

/// Both in turns, so that what disturbs the machine disturbs both.
async fn claims(beds: [&Bed; 2], calls: usize) -> [Times; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for call in 0..WARM_UP + calls {
        for (bed, times) in beds.iter().zip(&mut times) {
            let took = claim(bed).await;
            if call >= WARM_UP {
                times.push(took);
            }
        }
    }
    times.map(Times::new)
}

async fn claim(bed: &Bed) -> Duration {
    let ask = Ask {
        host: HostId("bench".to_owned()),
        roots: Vec::new(),
        engines: Vec::new(),
        limit: LIMIT,
        look: true,
        lease_time: Duration::from_secs(30),
        held: Vec::new(),
        take_over: TakeOver::Expired,
    };
    // As after each end of a job of a group: whoever claims next looks at the line.
    run(&bed.pool, "UPDATE gates SET open_at = 0").await;
    let begin = Instant::now();
    let claimed = bed.store.claim(&ask).await.unwrap();
    let took = begin.elapsed();
    assert_eq!(claimed.len(), LIMIT as usize, "as many as were asked for");
    let rows = sqlx::query(
        "SELECT CAST(id AS text) FROM jobs WHERE status = 'running' AND host = 'bench'",
    )
    .fetch_all(&bed.pool)
    .await
    .unwrap();
    for row in rows {
        let id: String = row.get(0);
        run(&bed.pool, &format!("DELETE FROM events WHERE job = '{id}'")).await;
        run(&bed.pool, &format!("DELETE FROM jobs WHERE id = '{id}'")).await;
    }
    bed.fill(i64::from(LIMIT)).await;
    took
}
