//! The queue, timed from outside: real hosts in release on a PostgreSQL that waits for its disk,
//! beside graphile-worker, pg-boss and pgbench. It asserts nothing about time.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a benchmark whose surroundings fail has failed"
)]

mod hosts;
mod peers;
mod pipeline;
mod postgres;
mod scale;
mod sqlite;
mod window;

mod aging;
mod claims;
mod crash;
mod finished;
mod started;
mod submits;

use scale::Scale;
use tests::bench::{Row, print};

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some(crash::ARGUMENT) {
        return crash::work();
    }
    let scale = Scale::of_environment();
    let mut rows: Vec<Row> = Vec::new();
    for number in 1..=7 {
        if scale.wants(number) {
            rows.extend(measure(number, &scale).await);
        }
    }
    print(&rows).unwrap();
}

/// The rows of one number of `GANTRY_BENCH_ROWS`.
async fn measure(number: usize, scale: &Scale) -> Vec<Row> {
    match number {
        1 => finished::rows(scale).await,
        2 => started::rows(scale).await,
        3 => claims::rows(scale).await,
        4 => crash::rows(scale).await,
        5 => submits::rows(scale).await,
        6 => finished::on_sqlite(scale).await,
        _ => aging::rows(scale).await,
    }
}
