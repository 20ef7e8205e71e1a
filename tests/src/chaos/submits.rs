//! Submitting all the time, so that a few jobs are always under way: under a key, to whichever
//! host answers, as often as it takes. What becomes of them is asked later.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::Row as _;
use tokio::time::timeout;

use super::draw::Draw;
use super::world::World;

/// Jobs under way at once.
const OPEN: i64 = 6;
/// Longer than a host takes that isn't stopped.
pub(super) const ANSWER: Duration = Duration::from_secs(3);
/// Jobs that are to be cancelled, of a hundred.
const DOOMED: u64 = 20;
/// How long they live at most, in ms: about as long as a job takes.
const LIFE: u64 = 8_000;

/// A job that is to be cancelled.
#[derive(Clone, Debug)]
pub(super) struct Doomed {
    pub(super) id: String,
    pub(super) at: Instant,
}

/// The ids of what was submitted.
pub(super) async fn run(world: &World) -> Vec<String> {
    let mut draw = Draw::new(world.plan.seed, 100);
    let mut submitted = Vec::new();
    while world.rest(Duration::from_millis(100)).await {
        if open(world).await.is_none_or(|open| open >= OPEN) {
            continue;
        }
        let number = submitted.len();
        let body = json!({ "name": format!("a game about ferry {number}"), "pipeline": "short" });
        // Also once it is over: whoever began to submit must hear of it.
        let id = loop {
            let host = usize::try_from(draw.below(world.clients.len() as u64)).unwrap_or(0);
            let key = format!("job-{number}");
            let answer = world.clients[host].try_submit(&body, &key);
            if let Ok(Some(id)) = timeout(ANSWER, answer).await {
                break id;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        if draw.percent(DOOMED) {
            let at = Instant::now() + draw.millis(0..LIFE);
            let id = id.clone();
            world.doomed.lock().await.push(Doomed { id, at });
        }
        submitted.push(id);
    }
    submitted
}

async fn open(world: &World) -> Option<i64> {
    let mut connection = world.connect().await?;
    let sql = "SELECT count(*) FROM jobs WHERE status IN ('queued', 'waiting', 'running')";
    let row = sqlx::query(sql).fetch_one(&mut connection);
    let row = timeout(ANSWER, row).await.ok()?.ok()?;
    Some(row.get(0))
}
