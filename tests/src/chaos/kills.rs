//! One host's life: up for a while, killed, stopped or set to die at a boundary, and up again. At
//! the end it is up. What else goes on around it is `harm`'s matter.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pipeline::Boundary;
use tokio::time::{sleep, timeout};

use super::draw::Draw;
use super::resumed;
use super::world::{HOSTS, LEASE, World};
use crate::harness::Host;

/// Boundaries between a commit and its command: what follows is written down, and isn't begun.
const BETWEEN: &[Boundary] = &[
    Boundary::AfterCommit,
    Boundary::RunRemoved,
    Boundary::BeforeCommand,
];

/// The other boundaries that every job comes to.
const OTHERS: &[Boundary] = &[
    Boundary::Claimed,
    Boundary::BeforeCommit,
    Boundary::WorkspaceReady,
    Boundary::FolderReady,
    Boundary::RunMade,
    Boundary::RunMarked,
    Boundary::RunStarted,
    Boundary::OutputTold,
    Boundary::RunHeardOut,
    Boundary::SnapshotTaken,
    Boundary::FilesLaidOut,
    Boundary::AddressReserved,
];

/// For a host that is to die of itself; then it is killed.
const PATIENCE: Duration = Duration::from_secs(12);

pub(super) async fn run(world: &World, number: usize, mut host: Host) -> Host {
    let mut draw = Draw::new(world.plan.seed, number as u64);
    while world.kills_left() {
        let up = match draw.percent(60) {
            true => draw.millis(500..3_000),
            // Long enough to take over from others.
            false => draw.millis(LEASE * 1_000 + 1_000..LEASE * 2_000 + 1_000),
        };
        sleep(up).await;
        if draw.percent(8) {
            world.note("host stopped for longer than its lease");
            host.pause(true);
            sleep(draw.millis(LEASE * 1_000 + 1_000..LEASE * 2_000)).await;
            host.pause(false);
            continue;
        }
        if draw.percent(20) || world.wants_agents() {
            let _ = timeout(PATIENCE, resumed::agent_at(world, &host)).await;
        }
        if !world.take_kill() {
            break;
        }
        kill(world, &mut host).await;
        let down = match draw.percent(70) {
            true => draw.millis(0..500),
            false => draw.millis(LEASE * 1_000..LEASE * 1_000 + 3_000),
        };
        sleep(down).await;
        let nth = 1 + draw.below(4);
        let (one, other) = (of(BETWEEN, &mut draw), of(OTHERS, &mut draw));
        let elsewhere = draw.percent(5);
        if world.take_between() {
            die_at(world, &mut host, one, nth).await;
        } else if elsewhere && world.take_kill() {
            die_at(world, &mut host, other, nth).await;
        }
        back(&mut host).await;
        if number == 0 && draw.percent(20) {
            crate::bench::say(format_args!(
                "{} of {} kills, {HOSTS} hosts",
                world.killed.load(Ordering::SeqCst),
                world.plan.kills
            ));
        }
    }
    host
}

fn of(boundaries: &[Boundary], draw: &mut Draw) -> Boundary {
    let one = draw.below(boundaries.len() as u64);
    boundaries[usize::try_from(one).unwrap_or(0)]
}

async fn kill(world: &World, host: &mut Host) {
    host.kill().await;
    // As it has left them: nobody else takes them before its lease is over.
    let held = resumed::held_by(world, host).await;
    if held.iter().any(|it| it.with_agent) {
        world.with_agent.fetch_add(1, Ordering::SeqCst);
        world.note("host killed while its agent worked");
    } else {
        world.note("host killed at another time");
    }
    resumed::cut_off(world, held).await;
}

/// Starts it to die at a boundary.
async fn die_at(world: &World, host: &mut Host, boundary: Boundary, nth: u64) {
    let between = BETWEEN.contains(&boundary);
    host.set("GANTRY_DIE_AT", Some(&format!("{boundary}:{nth}")));
    let ready = host.try_restart().await;
    host.set("GANTRY_DIE_AT", None);
    // Gone before it was ready, or as soon as a job comes there.
    if ready && timeout(PATIENCE, host.ended()).await.is_ok() {
        host.ends().await;
    } else if ready {
        host.kill().await;
    }
    if host.has_said("as GANTRY_…_AT asks") {
        world.note(match between {
            true => "host died between a commit and its command",
            false => "host died at another boundary",
        });
    } else {
        if between {
            world.between.fetch_sub(1, Ordering::SeqCst);
        }
        world.note("host killed that came to no boundary");
    }
    let held = resumed::held_by(world, host).await;
    resumed::cut_off(world, held).await;
}

/// Starts it again, however often it takes: its database may be away.
async fn back(host: &mut Host) {
    while !host.try_restart().await {
        sleep(Duration::from_millis(200)).await;
    }
}
