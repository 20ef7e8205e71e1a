//! What became of every job, once there is no more harm: each is waited for, and looked at from
//! outside. Then, what is left over.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use serde_json::Value;
use sqlx::Row as _;
use tokio::time::{Instant, sleep, timeout};

use super::cancels::Cancelled;
use super::world::{TASKS, World};
use crate::harness::{Host, is_final};
use crate::once::{self, Fault};

/// For all jobs to end, and for what is left to be reaped.
const PATIENCE: Duration = Duration::from_secs(180);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) submitted: usize,
    pub(super) finished: usize,
    /// Of these, cancelled.
    pub(super) cancelled: usize,
    pub(super) faults: Vec<(String, Fault)>,
    /// Runs beyond the first of a task, for passing reasons.
    pub(super) run_again: usize,
    pub(super) attempts_again: usize,
    /// Why attempts failed, and how often: nothing but a disk that was full may be among it.
    pub(super) failed: BTreeMap<String, usize>,
    /// `JOB/PHASE/` of those.
    tried_again: Vec<String>,
    pub(super) left: Vec<String>,
    /// Of jobs and events.
    pub(super) dead_tuples: Vec<(String, i64, i64)>,
}

pub(super) async fn of(
    world: &World,
    hosts: &[Host],
    submitted: &[String],
    cancelled: &Cancelled,
) -> Verdict {
    let mut verdict = Verdict {
        submitted: submitted.len(),
        ..Verdict::default()
    };
    let end = Instant::now() + PATIENCE;
    for id in submitted {
        look(world, id, end, cancelled, &mut verdict).await;
    }
    // Containers write none, and the engine forgets: the events say what was done.
    if world.docker.is_none() {
        let book = world.agents.book();
        let mut again = once::runs(&book);
        again.retain(|fault| match fault {
            Fault::RanAgain(task) => !verdict.tried_again.iter().any(|it| task.starts_with(it)),
            _ => true,
        });
        verdict
            .faults
            .extend(again.into_iter().map(|it| (String::new(), it)));
    }
    verdict.sites(world).await;
    verdict.tables(world).await;
    let rows = verdict.rows(world).await;
    if rows != Some(submitted.len()) {
        let words = format!("{rows:?} rows for {} submits", submitted.len());
        verdict.faults.push((String::new(), Fault::Lost(words)));
    }
    verdict.leftovers(world, hosts).await;
    verdict
}

async fn look(world: &World, id: &str, end: Instant, cancelled: &Cancelled, verdict: &mut Verdict) {
    let client = &world.clients[0];
    let mut job = client.job(id).await;
    while !is_final(&job) && Instant::now() < end {
        sleep(Duration::from_millis(100)).await;
        job = client.job(id).await;
    }
    if is_final(&job) {
        verdict.finished += 1;
        let events = client.events(id).await;
        let events: Vec<Value> = events
            .into_iter()
            .filter(|event| event.name != "agent.delta")
            .map(|event| event.data)
            .collect();
        let mut faults = if job["status"] == "cancelled" && cancelled.asked.contains(id) {
            verdict.cancelled += 1;
            once::cancelled(&events, &TASKS)
        } else {
            once::faults(&job, &events, &TASKS)
        };
        if job["status"] != "cancelled" && cancelled.taken.contains(id) {
            faults.push(Fault::NotCancelled(job["status"].to_string()));
        }
        let tried_again = tried_again(&job);
        // A phase that took several attempts may ask for its tasks again, or for some only.
        faults.retain(|fault| match fault {
            Fault::Done(task, _) => !tried_again.iter().any(|it| task.starts_with(it)),
            _ => true,
        });
        let prefixes = tried_again.iter().map(|phase| format!("{id}/{phase}"));
        verdict.tried_again.extend(prefixes);
        verdict
            .faults
            .extend(faults.into_iter().map(|it| (id.to_owned(), it)));
        verdict.count(&job);
    } else {
        let words = format!("{} after {PATIENCE:?}: {}", job["status"], job["wait"]);
        verdict.faults.push((id.to_owned(), Fault::Lost(words)));
    }
}

fn phases(job: &Value) -> impl Iterator<Item = &Value> {
    job["phases"].as_array().into_iter().flatten()
}

/// `PHASE/` of the phases that took more than one attempt.
fn tried_again(job: &Value) -> Vec<String> {
    let attempts = |phase: &Value| phase["attempts"].as_array().map_or(0, Vec::len);
    let again = phases(job).filter(|phase| attempts(phase) > 1);
    again
        .map(|phase| format!("{}/", phase["id"].as_str().unwrap_or_default()))
        .collect()
}

impl Verdict {
    fn count(&mut self, job: &Value) {
        for phase in phases(job) {
            let attempts = phase["attempts"].as_array().cloned().unwrap_or_default();
            self.attempts_again += attempts.len().saturating_sub(1);
            for attempt in attempts {
                for task in attempt["tasks"].as_array().into_iter().flatten() {
                    if let Some(failure) = task["failure"].as_object() {
                        let why = format!("{}: {}", failure["kind"], failure["message"]);
                        *self.failed.entry(why).or_default() += 1;
                    }
                    let run = task["run"].as_u64().unwrap_or(1);
                    self.run_again += usize::try_from(run.saturating_sub(1)).unwrap_or(0);
                }
            }
        }
    }

    /// No site is of a job that didn't succeed.
    async fn sites(&mut self, world: &World) {
        let client = &world.clients[0];
        for site in client.sites().await {
            let id = site["job"].as_str().unwrap_or_default().to_owned();
            if client.job(&id).await["status"] != "succeeded" {
                self.faults.push((id, Fault::Published(1)));
            }
        }
    }

    async fn rows(&self, world: &World) -> Option<usize> {
        let mut connection = world.connect().await?;
        let counted = sqlx::query("SELECT count(*) FROM jobs").fetch_one(&mut connection);
        usize::try_from(counted.await.ok()?.get::<i64, _>(0)).ok()
    }

    async fn tables(&mut self, world: &World) {
        let Some(mut connection) = world.connect().await else {
            return;
        };
        // Its counters went with each crash: this counts anew.
        let _ = sqlx::raw_sql("ANALYZE jobs; ANALYZE events")
            .execute(&mut connection)
            .await;
        let sql = "SELECT CAST(relname AS text), n_dead_tup, n_live_tup FROM pg_stat_user_tables \
                   WHERE relname IN ('jobs', 'events') ORDER BY relname";
        let rows = sqlx::query(sql).fetch_all(&mut connection).await;
        let row = |row: &sqlx::postgres::PgRow| (row.get(0), row.get(1), row.get(2));
        self.dead_tuples = rows.unwrap_or_default().iter().map(row).collect();
    }

    async fn leftovers(&mut self, world: &World, hosts: &[Host]) {
        let left = || {
            let mut left = shown("run folder", &world.shared.run_folders());
            let own: Vec<u32> = hosts.iter().filter_map(Host::pid).collect();
            let mut processes = world.shared.processes();
            processes.retain(|it| !own.contains(&it.pid()));
            left.extend(shown("process", &processes));
            if let Some(docker) = &world.docker {
                let names = match world.engine {
                    // Nobody else's are in it.
                    Some(_) => docker.all_containers(),
                    None => docker.containers(world.shared.path()),
                };
                let names: Vec<_> = names.iter().map(|it| it["Name"].to_string()).collect();
                left.extend(shown("container", &names));
            }
            left
        };
        let gone = async {
            while !left().is_empty() {
                sleep(Duration::from_millis(200)).await;
            }
        };
        let _ = timeout(Duration::from_secs(60), gone).await;
        self.left = left();
    }
}

fn shown<T: Debug>(what: &str, found: &[T]) -> Vec<String> {
    found.iter().map(|it| format!("{what} {it:?}")).collect()
}
