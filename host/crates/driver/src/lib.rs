//! The driver: a loop that claims jobs and does what the state machine commands. It decides
//! nothing itself (`pipeline::step` does), serves no HTTP, and meets the API in the store only.
//!
//! Claim, step, commit, execute, repeat: every state is committed under the job's lease before
//! its command runs, so whatever this process is doing when it dies can be done again.

mod config;
mod faults;
mod fence;
mod signal;

mod claims;
mod heartbeat;
mod hold;
mod slots;

mod context;
mod deploying;
mod follow;
mod snapshots;
mod steps;

mod agent;
mod ending;
mod listener;
mod output;
mod run_folder;
mod tail;
mod typing;

mod due;
mod publish;
mod reaper;
mod retention;
mod survey;

#[cfg(test)]
mod bed;

pub use agent::RunAccounts;
pub use config::{AgentAbout, DriverConfig, MostLimits, Owners};
pub use survey::{Doomed, Survey};

use egress::Egress;
use fence::Fence;
use gateway::Gateway;
use pipeline::{Boundary, RootId, Timestamp};
use plugin_runtime::Plugins;
use runner::Runner;
use slots::Slots;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use store::{DriverStore, MoneyStore, PluginStore, RetentionStore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a driver works with: chosen by the host, known here by what it can do.
#[derive(Clone)]
pub struct Parts {
    /// Jobs, leases, events.
    pub store: Arc<dyn DriverStore>,
    /// The same, for clearing up.
    pub retention: Arc<dyn RetentionStore>,
    /// The same, for what is spent.
    pub money: Arc<dyn MoneyStore>,
    /// What hosts remember of plugins together.
    pub plugin_store: Arc<dyn PluginStore>,
    /// Who answers the steps.
    pub plugins: Plugins,
    /// Where agents run.
    pub runner: Arc<dyn Runner>,
    /// The way to the model; none for an agent that needs no model.
    pub gateway: Option<Gateway>,
    /// The way to the names that a phase lists.
    pub egress: Egress,
    /// Where workspaces are.
    pub root: workspace::Root,
    /// Where sites are.
    pub sites: deploy::Sites,
}

/// A host's driver.
pub struct Driver {
    pub(crate) parts: Parts,
    pub(crate) config: DriverConfig,
    pub(crate) fence: Fence,
    pub(crate) slots: Arc<Slots>,
    pub(crate) tasks: TaskTracker,
}

impl Driver {
    /// Nothing runs yet.
    pub fn new(parts: Parts, config: DriverConfig) -> Arc<Self> {
        let _ = AHEAD.set(config.clock_ahead);
        let fence = Fence::new(config.lease_time);
        let slots = Arc::new(Slots::new(config.max_concurrent));
        Arc::new(Self {
            parts,
            config,
            fence,
            slots,
            tasks: TaskTracker::new(),
        })
    }

    /// Drives jobs until `shutdown`; then gives back what it holds, without stopping an agent,
    /// and returns.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let beats = tokio::spawn(heartbeat::run(Arc::clone(&self), shutdown.clone()));
        let told = tokio::spawn(publish::run(Arc::clone(&self), shutdown.clone()));
        let kept = tokio::spawn(retention::run(Arc::clone(&self), shutdown.clone()));
        let reaped = tokio::spawn(reaper::run(Arc::clone(&self), shutdown.clone()));
        claims::run(&self, &shutdown).await;
        self.slots.drain();
        self.tasks.close();
        // Leases are kept up while jobs are given back: the heartbeat goes last.
        self.tasks.wait().await;
        for task in [told, reaped, kept, beats] {
            task.abort();
            let _ = task.await;
        }
    }

    /// Jobs that it holds.
    pub fn holds(&self) -> usize {
        self.slots.holds().len()
    }

    /// Whether heartbeats get through.
    pub fn is_ready(&self) -> bool {
        self.fence.holds(std::time::Instant::now())
    }

    /// Says that this boundary is reached.
    pub(crate) fn at(&self, boundary: Boundary) {
        self.config.boundaries.at(boundary);
    }

    pub(crate) fn roots(&self) -> Vec<RootId> {
        vec![self.parts.root.id().clone()]
    }
}

/// How far the clock is off in a test; nobody's else.
static AHEAD: OnceLock<Duration> = OnceLock::new();

/// The one place that asks the clock, for times that people see.
pub(crate) fn now() -> Timestamp {
    (SystemTime::now() + AHEAD.get().copied().unwrap_or_default()).into()
}
