//! The way of a job, timed from outside: real hosts in release, real stores, a real engine. It
//! asserts nothing about time.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a benchmark whose surroundings fail has failed"
)]

mod agent;

mod containers;
mod demo;
mod memory;
mod ready;
mod submit;

use tests::bench::{Row, print};

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some(agent::ARGUMENT) {
        return agent::work();
    }
    let mut rows: Vec<Row> = Vec::new();
    rows.extend(submit::sqlite().await);
    rows.extend(submit::postgres().await);
    rows.extend(containers::over_bare_run().await);
    rows.extend(ready::start().await);
    rows.extend(memory::after_a_hundred_calls().await);
    rows.extend(demo::once());
    print(&rows).unwrap();
}
