//! A day's jobs in ten minutes: whether tables and dead tuples level out. They come at that pace,
//! and all are kept.

use std::time::{Duration, Instant};

use tests::bench::{Row, say};
use tokio::time::sleep;

use crate::hosts::Host;
use crate::postgres::{self, Bed};
use crate::scale::Scale;

/// 24 hours at 20 a second.
const DAY: i64 = 24 * 3600 * 20;
/// In how long as many come.
const IN: Duration = Duration::from_secs(600);
/// Queued at most, and added at a time.
const BACKLOG: i64 = 4_000;
const ADDED: i64 = 1_000;
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// A second half that is within this of the first has levelled out.
const LEVEL: f64 = 1.1;

/// Of both tables.
#[derive(Clone, Copy, Debug)]
struct Sample {
    after: Duration,
    dead: i64,
    /// For each job that there is: all are kept, as they would be for a day.
    bytes: i64,
}

pub(crate) async fn rows(scale: &Scale) -> Vec<Row> {
    let dead = "a day's jobs in minutes: dead tuples, second half against the first, most of each";
    let size = "the same: bytes of jobs and events with their indexes, for each job";
    let missing = |why: &str| {
        vec![
            Row::missing("day-dead", dead, "tuples", why),
            Row::missing("day-size", size, "bytes", why),
        ]
    };
    let Some(length) = scale.long() else {
        return missing("it takes minutes: GANTRY_BENCH_LONG=1");
    };
    let Some(bed) = Bed::new().await else {
        return missing("no PostgreSQL server");
    };
    let samples = run(&bed, length).await;
    let jobs = "SELECT count(*) FROM jobs WHERE status = 'succeeded'";
    let left = postgres::number(&bed.pool, jobs).await;
    let ended = "SELECT coalesce(max(number), 0) FROM jobs WHERE status = 'succeeded'";
    let ended = postgres::number(&bed.pool, ended).await;
    say(format_args!("{ended} jobs ended, {left} of them are kept"));
    let (first, second): (Vec<Sample>, Vec<Sample>) =
        samples.iter().partition(|sample| sample.after < length / 2);
    let most = |of: &[Sample], what: fn(&Sample) -> i64| {
        of.iter().map(what).max().unwrap_or_default() as f64
    };
    let row = |id: &str, what: &str, unit: &'static str, part: f64, of: fn(&Sample) -> i64| {
        let (first, second) = (most(&first, of) / part, most(&second, of) / part);
        let row = Row::new(id, what, unit, second).against("first half", first);
        row.at_most(LEVEL * first)
    };
    let rate = ended as f64 / length.as_secs_f64();
    let what = format!("jobs that ended a second over {} s", length.as_secs());
    vec![
        row("day-dead", dead, "tuples", 1.0, |sample| sample.dead),
        row("day-size", size, "bytes", 1.0, |sample| sample.bytes),
        Row::new("day-rate", what, "jobs/s", rate),
        Row::new(
            "day-jobs",
            "of a day's jobs there were",
            "%",
            ended as f64 * 100.0 / DAY as f64,
        ),
    ]
}

async fn run(bed: &Bed, length: Duration) -> Vec<Sample> {
    let data = tempfile::tempdir().unwrap();
    let settings = [
        ("DATABASE_URL", bed.url()),
        ("MAX_CONCURRENT", "64".to_owned()),
    ];
    bed.fill(ADDED).await;
    let mut come = ADDED;
    let mut host = Host::start("driver", data.path(), &settings);
    let begin = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    while begin.elapsed() < length {
        host.must_run();
        let queued = "SELECT count(*) FROM jobs WHERE status = 'queued'";
        let paced = DAY as f64 * begin.elapsed().as_secs_f64() / IN.as_secs_f64();
        if (come + ADDED) as f64 <= paced
            && postgres::number(&bed.pool, queued).await + ADDED <= BACKLOG
        {
            bed.fill(ADDED).await;
            bed.wake().await;
            come += ADDED;
        }
        let due = samples
            .last()
            .is_none_or(|last| begin.elapsed() >= last.after + SAMPLE_EVERY);
        if due {
            let sample = sample(bed, begin.elapsed()).await;
            say(format_args!("{sample:?}"));
            samples.push(sample);
        }
        sleep(LOOK_AGAIN).await;
    }
    host.terminate();
    samples
}

async fn sample(bed: &Bed, after: Duration) -> Sample {
    let dead = "SELECT CAST(coalesce(sum(n_dead_tup), 0) AS bigint) FROM pg_stat_user_tables \
                WHERE relname IN ('jobs', 'events')";
    let bytes = "SELECT CAST((pg_total_relation_size('jobs') + pg_total_relation_size('events')) \
                 / max(number) AS bigint) FROM jobs";
    Sample {
        after,
        dead: postgres::number(&bed.pool, dead).await,
        bytes: postgres::number(&bed.pool, bytes).await,
    }
}
