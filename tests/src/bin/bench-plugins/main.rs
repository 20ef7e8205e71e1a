//! Plugins, timed: one call of each language beside Extism, a swap, swaps under load, many at
//! once, and a hostile one beside innocent callers. It asserts nothing about time.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a benchmark whose surroundings fail has failed"
)]

mod calls;
mod hostile;
mod many;
mod ours;
mod peer;
mod swaps;

use tests::bench::{Row, print};
use tokio::runtime::Runtime;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(many::ARGUMENT) {
        return many::start_here(&arguments.next().expect("a folder"));
    }
    let runtime = Runtime::new().unwrap();
    let mut rows: Vec<Row> = Vec::new();
    rows.extend(calls::rows(&runtime));
    rows.extend(runtime.block_on(swaps::rows()));
    rows.extend(many::rows());
    rows.extend(runtime.block_on(hostile::rows()));
    print(&rows).unwrap();
}
