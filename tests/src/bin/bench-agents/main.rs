//! The way to the model, timed from outside: the first byte through the gateway beside the
//! provider itself, a hundred streams through one host, what budgets come to over ten thousand
//! runs, and a phase beside a bare container. It asserts nothing about time.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark whose surroundings fail has failed"
)]

mod client;
mod paid;
mod provider;

mod first_byte;
mod overshoot;
mod phase;
mod streams;

use tests::bench::{Row, print};

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some(streams::ARGUMENT) {
        return streams::work().await;
    }
    let mut rows: Vec<Row> = first_byte::rows().await;
    rows.extend(streams::rows().await);
    rows.extend(overshoot::rows().await);
    rows.extend(phase::rows().await);
    print(&rows).unwrap();
}
