//! What all who do harm share: the server, the folder, the hosts' addresses, what is asked for,
//! and whether it is over. It does none itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::submits::Doomed;
use crate::harness::{Agents, Client, Cluster, Docker, Engine, Host, Part, Setup, Shared, gantry};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Hosts that die.
    pub kills: usize,
    /// Of the schedule.
    pub seed: u64,
    /// Agents in containers, not as processes.
    pub docker: bool,
}

/// How long a lease holds, in seconds: short, so that hosts take over from each other often.
pub(super) const LEASE: u64 = 4;

/// How many hosts there are.
pub(super) const HOSTS: usize = 3;

/// Of the small file system that everything is kept on.
const MEGABYTES: u32 = 256;

/// An hour, by which one host's clock is ahead.
const AHEAD_MS: &str = "3600000";

/// Tries of a phase: an agent whose disk is full has failed, which is no fault of the queue.
const PIPELINE: &str = "name = \"short\"\n\
    [[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 20\n\
    [[phase]]\nid = \"design\"\nplugin = \"design\"\nattempts = 20\n\
    [deploy]\nplugin = \"static-site\"\n";

/// The tasks of that pipeline.
pub(super) const TASKS: [(&str, &str); 4] = [
    ("idea", "idea"),
    ("design", "currencies"),
    ("design", "progression"),
    ("design", "interface"),
];

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) cluster: Mutex<Cluster>,
    pub(super) shared: Shared,
    pub(super) agents: Agents,
    /// Where agents are in containers.
    pub(super) docker: Option<Docker>,
    /// The same, where it may be restarted.
    pub(super) engine: Option<Mutex<Engine>>,
    /// One for each host; it keeps its address.
    pub(super) clients: Vec<Client>,
    url: String,
    /// Hosts that died, and those that are about to.
    pub(super) killed: AtomicUsize,
    /// Of these, those whose agent worked.
    pub(super) with_agent: AtomicUsize,
    /// Of these, those that died, or are to die, between a commit and its command.
    pub(super) between: AtomicUsize,
    /// Each kind of harm that was done, with how often.
    pub(super) done: std::sync::Mutex<std::collections::BTreeMap<&'static str, usize>>,
    /// What couldn't be done here, and why.
    pub(super) left_out: Vec<String>,
    /// Jobs that are to be cancelled.
    pub(super) doomed: Mutex<Vec<Doomed>>,
    /// Jobs whose host was killed: for who looks when they are resumed.
    pub(super) cut_off: Mutex<Vec<super::resumed::CutOff>>,
    /// No more harm.
    pub(super) over: watch::Sender<bool>,
    /// In seconds since 1970.
    pub(super) begun: u64,
    /// The disk can be filled.
    pub(super) is_small: bool,
}

impl World {
    /// The surroundings, and the hosts in them.
    pub(super) async fn make(plan: Plan) -> Option<(Self, Vec<Host>)> {
        let mut left_out = Vec::new();
        let mut engine = None;
        let image = match plan.docker {
            true => {
                let _ = Part::WorkerImage.place()?;
                let there = Docker::find()?;
                let image = there.demo_image();
                match Engine::start().await {
                    Ok(own) => {
                        there.give(&image, own.docker());
                        engine = Some(own);
                    }
                    Err(why) => left_out.push(format!("the engine isn't restarted: {why}")),
                }
                Some((
                    image,
                    engine.as_ref().map_or(there, |own| own.docker().clone()),
                ))
            }
            false => None,
        };
        let cluster = Cluster::start().await?;
        let small = Shared::small(MEGABYTES);
        let is_small = small.is_some();
        if !is_small {
            left_out.push("the disk isn't filled up: only root may mount one".to_owned());
        }
        let shared = small.unwrap_or_default();
        let agents = agents();
        let setup = match &image {
            Some((image, docker)) => Setup::docker("http://127.0.0.1:9", "not-used")
                .set("DOCKER_HOST", docker.host())
                .set("WORKER_IMAGE", image),
            None => Setup::agents(&agents),
        };
        let setup = shared
            .setup(setup)
            .set("DATABASE_URL", cluster.url())
            .set("LEASE_SECONDS", LEASE.to_string())
            .set("POLL_INTERVAL", "500")
            .set("DEMO_PACE_MS", "150")
            .set("GANTRY_ORPHAN_MS", "3000")
            .pipeline("short", PIPELINE);
        let first = Host::start(setup.clone()).await;
        let mut hosts = Vec::new();
        for number in 1..HOSTS {
            // The last one's clock is off.
            let setup = match number == HOSTS - 1 {
                true => setup.clone().set("GANTRY_CLOCK_AHEAD_MS", AHEAD_MS),
                false => setup.clone(),
            };
            hosts.push(first.beside(setup).await);
        }
        hosts.insert(0, first);
        let world = Self {
            clients: hosts.iter().map(|host| host.client().clone()).collect(),
            url: cluster.url(),
            plan,
            cluster: Mutex::new(cluster),
            shared,
            agents,
            docker: image.map(|(_, docker)| docker),
            engine: engine.map(Mutex::new),
            killed: AtomicUsize::new(0),
            with_agent: AtomicUsize::new(0),
            between: AtomicUsize::new(0),
            done: std::sync::Mutex::default(),
            left_out,
            doomed: Mutex::default(),
            cut_off: Mutex::default(),
            over: watch::Sender::new(false),
            begun: now(),
            is_small,
        };
        Some((world, hosts))
    }

    /// Takes one of the kills that are left; whether there was one.
    pub(super) fn take_kill(&self) -> bool {
        let taken = self
            .killed
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |killed| {
                (killed < self.plan.kills).then_some(killed + 1)
            });
        taken.is_ok()
    }

    /// Whether fewer than half of the hosts that died had an agent at work.
    pub(super) fn wants_agents(&self) -> bool {
        let killed = self.killed.load(Ordering::SeqCst);
        self.with_agent.load(Ordering::SeqCst) * 2 <= killed
    }

    /// Takes one of the kills that are left for a death between a commit and its command, where
    /// those are less than a tenth of all.
    pub(super) fn take_between(&self) -> bool {
        let killed = self.killed.load(Ordering::SeqCst);
        let less = self
            .between
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |between| {
                (between * 10 < killed).then_some(between + 1)
            });
        let taken = less.is_ok() && self.take_kill();
        if less.is_ok() && !taken {
            self.between.fetch_sub(1, Ordering::SeqCst);
        }
        taken
    }

    pub(super) fn kills_left(&self) -> bool {
        self.killed.load(Ordering::SeqCst) < self.plan.kills
    }

    /// Writes down that this was done.
    pub(super) fn note(&self, what: &'static str) {
        let mut done = self.done.lock().unwrap();
        *done.entry(what).or_default() += 1;
    }

    /// Waits; false as soon as it is over.
    pub(super) async fn rest(&self, time: Duration) -> bool {
        let mut over = self.over.subscribe();
        timeout(time, over.wait_for(|over| *over)).await.is_err()
    }

    /// A connection; none while the server is away or full.
    pub(super) async fn connect(&self) -> Option<PgConnection> {
        let options: PgConnectOptions = self.url.parse().unwrap();
        let options = options
            .application_name("chaos")
            .disable_statement_logging();
        timeout(Duration::from_secs(2), options.connect())
            .await
            .ok()?
            .ok()
    }
}

pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The demo agent, and a page to publish.
fn agents() -> Agents {
    let page = "mkdir -p \"$WORKSPACE_DIR/site\"; echo here >\"$WORKSPACE_DIR/site/index.html\"";
    Agents::running(&format!("{page}; {} __demo-agent", gantry().display()))
}
