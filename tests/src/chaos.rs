//! Three hosts on one PostgreSQL that are killed, stopped and cut off while jobs go through them,
//! and what became of every job. The harm is drawn from a seed, bounded in number, and ends by
//! itself; what a fault means is said in [`crate::once`].

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "harm whose surroundings fail tells nothing"
)]

mod cancels;
mod draw;
mod harm;
mod kills;
mod report;
mod resumed;
mod submits;
mod verdict;
mod world;

pub use report::Report;
pub use world::Plan;

use std::sync::atomic::Ordering;

use world::World;

/// Does what the plan says. None: there is no PostgreSQL, or no engine where one is asked for.
///
/// # Panics
/// Where the surroundings fail, as a server that doesn't start.
pub async fn run(plan: Plan) -> Option<Report> {
    let (world, hosts) = World::make(plan).await?;
    let killers = hosts
        .into_iter()
        .enumerate()
        .map(|(number, host)| kills::run(&world, number, host));
    let killed = async {
        let hosts = futures_util::future::join_all(killers).await;
        world.over.send_replace(true);
        hosts
    };
    let (hosts, submitted, cancelled, _, _, _, resumed) = tokio::join!(
        killed,
        submits::run(&world),
        cancels::run(&world),
        harm::database(&world),
        harm::engine(&world),
        harm::others(&world),
        resumed::run(&world),
    );
    let killed = world.killed.load(Ordering::SeqCst);
    let verdict = verdict::of(&world, &hosts, &submitted, &cancelled).await;
    Some(Report::new(&world, killed, resumed, cancelled, verdict))
}
