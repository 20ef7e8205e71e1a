//! How long it takes from a host's death until another, or the same one anew, works on what it
//! held: from the store's own rows, looked at every 20 ms. It changes nothing.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::Row as _;
use sqlx::types::Uuid;
use tokio::time::{sleep, timeout};

use super::world::World;
use crate::harness::Host;

const LOOK: Duration = Duration::from_millis(20);
const ANSWER: Duration = Duration::from_secs(2);
/// After the last kill.
const PATIENCE: Duration = Duration::from_secs(60);

/// A job whose host is dead.
#[derive(Clone, Debug)]
pub(super) struct CutOff {
    job: Uuid,
    lease: i64,
    at: Instant,
}

/// A job that a host holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    job: Uuid,
    lease: i64,
    /// Whether an agent works on it.
    pub(super) with_agent: bool,
}

/// Returns once an agent works for this host, by the store.
pub(super) async fn agent_at(world: &World, host: &Host) {
    while !held_by(world, host).await.iter().any(|it| it.with_agent) {
        sleep(LOOK * 5).await;
    }
}

/// The jobs that a host holds. None are known while the database is away.
pub(super) async fn held_by(world: &World, host: &Host) -> Vec<Held> {
    let id = std::fs::read_to_string(host.data().join("host-id")).unwrap_or_default();
    let held = async {
        let mut connection = world.connect().await?;
        let sql = "SELECT id, lease, body FROM jobs WHERE status = 'running' AND host = $1";
        let rows = sqlx::query(sql)
            .bind(id.trim())
            .fetch_all(&mut connection)
            .await;
        rows.ok()
    };
    let rows = timeout(ANSWER, held)
        .await
        .ok()
        .flatten()
        .unwrap_or_default();
    let row = |row: &sqlx::postgres::PgRow| {
        let body: String = row.get(2);
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        Held {
            job: row.get(0),
            lease: row.get(1),
            with_agent: body["at"]["stage"]["name"] == "agent",
        }
    };
    rows.iter().map(row).collect()
}

/// Writes down that their host is dead as of now.
pub(super) async fn cut_off(world: &World, held: Vec<Held>) {
    let at = Instant::now();
    let jobs = held
        .into_iter()
        .map(|Held { job, lease, .. }| CutOff { job, lease, at });
    world.cut_off.lock().await.extend(jobs);
}

/// Looks until it is over and all are resumed; the times.
pub(super) async fn run(world: &World) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut connection = None;
    let mut end = None;
    loop {
        sleep(LOOK).await;
        if *world.over.borrow() {
            let end = *end.get_or_insert_with(|| Instant::now() + PATIENCE);
            if world.cut_off.lock().await.is_empty() || Instant::now() > end {
                return times;
            }
        }
        if connection.is_none() {
            connection = world.connect().await;
        }
        let waiting = world.cut_off.lock().await.clone();
        let (Some(open), false) = (connection.as_mut(), waiting.is_empty()) else {
            continue;
        };
        let jobs: Vec<Uuid> = waiting.iter().map(|it| it.job).collect();
        let sql = "SELECT id, lease, status FROM jobs WHERE id = ANY($1)";
        let asked = sqlx::query(sql).bind(&jobs).fetch_all(open);
        let Ok(Ok(rows)) = timeout(ANSWER, asked).await else {
            connection = None;
            continue;
        };
        let now = Instant::now();
        for row in rows {
            let (job, lease, status): (Uuid, i64, String) = (row.get(0), row.get(1), row.get(2));
            let rests = status != "running";
            world.cut_off.lock().await.retain(|it| {
                if it.job != job || (it.lease >= lease && !rests) {
                    return true;
                }
                // Where it rested already, its host had let go of it before it died.
                if it.lease < lease {
                    times.push(now - it.at);
                }
                false
            });
        }
    }
}
