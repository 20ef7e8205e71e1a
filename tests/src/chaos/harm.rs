//! Harm to what hosts stand on: their database, its connections, their engine, their disk. Each
//! kind is undone before it is done again, and at the end.

use std::time::Duration;

use sqlx::{Executor as _, PgConnection};
use tokio::time::timeout;

use super::draw::Draw;
use super::world::World;

/// PostgreSQL crashes and comes back.
pub(super) async fn database(world: &World) {
    let mut draw = Draw::new(world.plan.seed, 200);
    while world.rest(draw.millis(5_000..20_000)).await {
        let mut cluster = world.cluster.lock().await;
        cluster.crash().await;
        tokio::time::sleep(draw.millis(0..1_500)).await;
        cluster.go().await;
        world.note("PostgreSQL crashed");
    }
}

/// The engine ends, or is killed, and comes back. Its containers end with it: at once, or as it
/// comes back.
pub(super) async fn engine(world: &World) {
    let Some(engine) = &world.engine else {
        return;
    };
    let mut draw = Draw::new(world.plan.seed, 205);
    while world.rest(draw.millis(5_000..15_000)).await {
        let mut engine = engine.lock().await;
        let done = match draw.percent(40) {
            true => {
                engine.crash().await;
                "engine killed, and restarted"
            }
            false => {
                engine.end().await;
                "engine restarted"
            }
        };
        tokio::time::sleep(draw.millis(0..2_000)).await;
        engine.go().await;
        world.note(done);
    }
}

/// The rest, side by side.
pub(super) async fn others(world: &World) {
    tokio::join!(
        terminated(world),
        used_up(world),
        long_reader(world),
        full_disk(world)
    );
}

/// Some of its connections are cut.
async fn terminated(world: &World) {
    let mut draw = Draw::new(world.plan.seed, 201);
    while world.rest(draw.millis(3_000..8_000)).await {
        let Some(mut connection) = world.connect().await else {
            continue;
        };
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name LIKE 'gantry%' AND random() < 0.5";
        if tell(&mut connection, sql).await {
            world.note("backends terminated");
        }
    }
}

/// Somebody takes every connection that there is.
async fn used_up(world: &World) {
    let mut draw = Draw::new(world.plan.seed, 202);
    while world.rest(draw.millis(15_000..30_000)).await {
        let mut taken = Vec::new();
        // A superuser gets the reserved ones, too.
        while let Some(connection) = world.connect().await {
            taken.push(connection);
        }
        world.note("connections used up");
        world.rest(draw.millis(1_000..4_000)).await;
    }
}

/// A transaction that has read stays open, and vacuum can't go past it.
async fn long_reader(world: &World) {
    let mut draw = Draw::new(world.plan.seed, 203);
    while world.rest(draw.millis(2_000..6_000)).await {
        let Some(mut connection) = world.connect().await else {
            continue;
        };
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
        if tell(&mut connection, begin).await
            && tell(&mut connection, "SELECT count(*) FROM jobs").await
        {
            world.note("long transactions");
            world.rest(draw.millis(8_000..20_000)).await;
        }
    }
}

/// No byte is left where workspaces, runs and sites are.
async fn full_disk(world: &World) {
    let mut draw = Draw::new(world.plan.seed, 204);
    while world.is_small && world.rest(draw.millis(15_000..30_000)).await {
        let Some(filler) = world.shared.fill() else {
            continue;
        };
        world.note("disk full");
        world.rest(draw.millis(500..2_000)).await;
        let removed = std::fs::remove_file(filler);
        removed.expect("what filled the disk goes");
    }
}

/// Whether it was done: the server may be away.
async fn tell(connection: &mut PgConnection, sql: &'static str) -> bool {
    let done = timeout(Duration::from_secs(5), connection.execute(sql)).await;
    done.is_ok_and(|done| done.is_ok())
}
