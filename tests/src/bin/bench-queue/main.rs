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

mod finished;
mod started;

use scale::Scale;
use tests::bench::{Row, print};

#[tokio::main]
async fn main() {
    let scale = Scale::of_environment();
    let mut rows: Vec<Row> = Vec::new();
    if scale.wants(1) {
        rows.extend(finished::rows(&scale).await);
    }
    if scale.wants(2) {
        rows.extend(started::rows(&scale).await);
    }
    print(&rows).unwrap();
}
