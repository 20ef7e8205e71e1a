//! Real hosts for tests: the binary as it is built, its folders, its log, its agents, its
//! database, and a client of its HTTP API. It knows nothing of what is inside a host.
//!
//! ```no_run
//! # async fn example() {
//! use tests::harness::{Host, Setup};
//!
//! let host = Host::start(Setup::demo()).await;
//! let job = host.client().submit("a game about bees").await;
//! let job = host.client().succeeded(&job).await;
//! assert_eq!(job["phases"].as_array().unwrap().len(), 4);
//! # }
//! ```

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test whose surroundings fail has failed; what did not run is said"
)]

mod agents;
mod browser;
mod client;
mod cluster;
mod database;
mod docker;
mod engine;
mod events;
mod game;
mod host;
mod internet;
mod log;
mod parts;
mod processes;
mod said;
mod seats;
mod shared;
mod timeline;
mod wire;

pub use agents::{Agents, Held};
pub use browser::{Played, browse, play};
pub use client::{Answer, Client, DEADLINE, is_final};
pub use cluster::Cluster;
pub use database::Database;
pub use docker::Docker;
pub use engine::Engine;
pub use events::{Event, Events};
pub use game::Game;
pub use host::{Host, Setup, gantry};
pub use internet::{GREETING, Internet};
pub use parts::{Part, Parts};
pub use processes::Process;
pub use said::Said;
pub use shared::Shared;
pub use timeline::Timeline;
pub use wire::Wire;

/// A time that no test lives to see, as a job's `run_at` takes it.
#[must_use]
pub fn in_a_year() -> String {
    let then = time::OffsetDateTime::now_utc() + time::Duration::days(365);
    let text = then.format(&time::format_description::well_known::Rfc3339);
    text.expect("a year of four digits")
}
