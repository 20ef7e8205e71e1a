//! Cancelling some jobs, by whichever host answers, and how long it takes until their state is
//! final: from the store's own rows, looked at every 20 ms. What may become of them is said in
//! `verdict`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sqlx::types::Uuid;
use sqlx::{PgConnection, Row as _};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::draw::Draw;
use super::submits::{ANSWER, Doomed};
use super::world::World;

const LOOK: Duration = Duration::from_millis(20);
/// After the last kill.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was asked for, and how long it took.
#[derive(Debug, Default)]
pub(super) struct Cancelled {
    /// Every job that a host was asked to cancel, whether or not it answered.
    pub(super) asked: BTreeSet<String>,
    /// Those of which a host has said that they will be.
    pub(super) taken: BTreeSet<String>,
    /// From there to the final state, of the jobs that kept their lease.
    pub(super) by_their_holder: Vec<Duration>,
    /// And of those that another host, or the same one anew, had to take over.
    pub(super) by_another: Vec<Duration>,
}

/// A job that is being cancelled.
#[derive(Clone, Debug)]
struct Taken {
    id: String,
    job: Uuid,
    /// When the request was sent that was answered.
    at: Instant,
    /// As it was right after the answer.
    lease: Option<i64>,
}

/// Cancels what is doomed until it is over, and looks until all of that is final.
pub(super) async fn run(world: &World) -> Cancelled {
    let under_way = Mutex::new(Vec::new());
    let asked = Mutex::new(BTreeSet::new());
    let (mut cancelled, ()) = tokio::join!(look(world, &under_way), ask(world, &under_way, &asked));
    cancelled.asked = asked.into_inner();
    cancelled
}

async fn ask(world: &World, under_way: &Mutex<Vec<Taken>>, asked: &Mutex<BTreeSet<String>>) {
    let mut draw = Draw::new(world.plan.seed, 206);
    while world.rest(LOOK).await {
        let due = due(world).await;
        let Some(Doomed { id, .. }) = due else {
            continue;
        };
        asked.lock().await.insert(id.clone());
        loop {
            let host = usize::try_from(draw.below(world.clients.len() as u64)).unwrap_or(0);
            let at = Instant::now();
            let answer = timeout(ANSWER, world.clients[host].try_cancel(&id)).await;
            match answer.ok().flatten() {
                // It had ended before, as by a request that nobody has heard the answer of.
                Some(false) => break,
                Some(true) => {
                    let job: Uuid = id.parse().unwrap();
                    let lease = lease(world, job).await;
                    under_way.lock().await.push(Taken { id, job, at, lease });
                    break;
                }
                None => sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

/// The first whose time has come.
async fn due(world: &World) -> Option<Doomed> {
    let mut doomed = world.doomed.lock().await;
    let now = Instant::now();
    let first = doomed.iter().position(|it| it.at <= now)?;
    Some(doomed.remove(first))
}

async fn lease(world: &World, job: Uuid) -> Option<i64> {
    let mut connection = world.connect().await?;
    let sql = "SELECT lease FROM jobs WHERE id = $1";
    let asked = sqlx::query(sql).bind(job).fetch_one(&mut connection);
    Some(timeout(ANSWER, asked).await.ok()?.ok()?.get(0))
}

async fn look(world: &World, under_way: &Mutex<Vec<Taken>>) -> Cancelled {
    let mut cancelled = Cancelled::default();
    let mut connection = None;
    let mut end = None;
    loop {
        sleep(LOOK).await;
        let waiting = under_way.lock().await.clone();
        cancelled
            .taken
            .extend(waiting.iter().map(|it| it.id.clone()));
        if *world.over.borrow() {
            let end = *end.get_or_insert_with(|| Instant::now() + PATIENCE);
            if waiting.is_empty() || Instant::now() > end {
                return cancelled;
            }
        }
        if connection.is_none() {
            connection = world.connect().await;
        }
        let (Some(open), false) = (connection.as_mut(), waiting.is_empty()) else {
            continue;
        };
        let Some(ended) = ended(open, &waiting).await else {
            connection = None;
            continue;
        };
        let now = Instant::now();
        for (job, lease) in ended {
            let mut under_way = under_way.lock().await;
            let Some(found) = under_way.iter().position(|it| it.job == job) else {
                continue;
            };
            let it = under_way.remove(found);
            match it.lease == Some(lease) {
                true => cancelled.by_their_holder.push(now - it.at),
                false => cancelled.by_another.push(now - it.at),
            }
        }
    }
}

/// Those of them that are final, with their leases.
async fn ended(connection: &mut PgConnection, of: &[Taken]) -> Option<Vec<(Uuid, i64)>> {
    let jobs: Vec<Uuid> = of.iter().map(|it| it.job).collect();
    let sql = "SELECT id, lease FROM jobs WHERE id = ANY($1) \
               AND status IN ('succeeded', 'failed', 'cancelled')";
    let asked = sqlx::query(sql).bind(&jobs).fetch_all(connection);
    let rows = timeout(ANSWER, asked).await.ok()?.ok()?;
    Some(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
