//! One host's life: up for a while, killed, stopped or set to die at a boundary, and up again. At
//! the end it is up. What else goes on around it is `harm`'s matter.

use std::time::Duration;

use pipeline::Boundary;
use tokio::time::{sleep, timeout};

use super::draw::Draw;
use super::resumed;
use super::world::{HOSTS, LEASE, World};
use crate::harness::Host;

/// Boundaries that every job comes to.
const REACHED: &[Boundary] = &[
    Boundary::Claimed,
    Boundary::BeforeCommit,
    Boundary::AfterCommit,
    Boundary::RunRemoved,
    Boundary::BeforeCommand,
    Boundary::WorkspaceReady,
    Boundary::FolderReady,
    Boundary::RunMade,
    Boundary::RunMarked,
    Boundary::RunStarted,
    Boundary::OutputTold,
    Boundary::RunHeardOut,
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
        let works = draw.percent(55);
        if works {
            // Half of the kills are to meet an agent at work.
            let _ = timeout(PATIENCE, resumed::agent_at(world, &host)).await;
        }
        if !world.take_kill() {
            break;
        }
        kill(world, &mut host, works).await;
        let down = match draw.percent(70) {
            true => draw.millis(0..500),
            false => draw.millis(LEASE * 1_000..LEASE * 1_000 + 3_000),
        };
        sleep(down).await;
        let boundary = draw.percent(11).then(|| {
            let nth = 1 + draw.below(4);
            let boundary = REACHED[usize::try_from(draw.below(REACHED.len() as u64)).unwrap_or(0)];
            format!("{boundary}:{nth}")
        });
        if let Some(point) = boundary.filter(|_| world.take_kill()) {
            die_at(world, &mut host, &point).await;
        }
        back(&mut host).await;
        if number == 0 && draw.percent(20) {
            crate::bench::say(format_args!(
                "{} of {} kills, {HOSTS} hosts",
                world.killed.load(std::sync::atomic::Ordering::SeqCst),
                world.plan.kills
            ));
        }
    }
    host
}

async fn kill(world: &World, host: &mut Host, works: bool) {
    let held = resumed::held_by(world, host).await;
    host.kill().await;
    world.note(match works {
        true => "host killed while its agent worked, or soon after",
        false => "host killed at any time",
    });
    resumed::cut_off(world, held).await;
}

/// Starts it to die at a boundary.
async fn die_at(world: &World, host: &mut Host, point: &str) {
    host.set("GANTRY_DIE_AT", Some(point));
    let ready = host.try_restart().await;
    host.set("GANTRY_DIE_AT", None);
    // Gone before it was ready, or as soon as a job comes there.
    let died = !ready || timeout(PATIENCE, host.ended()).await.is_ok();
    let held = resumed::held_by(world, host).await;
    if died {
        world.note("host died at a boundary");
        if ready {
            host.ends().await;
        }
    } else {
        world.note("host killed that came to no boundary");
        host.kill().await;
    }
    resumed::cut_off(world, held).await;
}

/// Starts it again, however often it takes: its database may be away.
async fn back(host: &mut Host) {
    while !host.try_restart().await {
        sleep(Duration::from_millis(200)).await;
    }
}
