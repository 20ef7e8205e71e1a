//! One run of an agent: started or adopted, listened to, ended or left running. Who is told what
//! about it afterwards is decided by the state machine.

mod accounts;
mod breaker;
mod disk;
mod network;
mod patience;
mod start;

mod watch;

mod outcome;

pub use accounts::RunAccounts;

use crate::ending::Overdue;
use crate::hold::{Done, Holder};
use crate::listener::Listener;
use crate::run_folder::RunFolder;
use crate::signal::Signal;
use patience::Patience;
use pipeline::{Boundary, DiskPast, Input, Job, PlannedTask, RunKey};
use runner::Run;
use std::sync::Arc;
use std::time::Duration;
use watch::Watched;

/// What an agent has to end in after it was told to.
const GRACE: Duration = Duration::from_secs(8);
/// How long a run that is let go of may take to tell what it spent.
const SETTLE: Duration = Duration::from_secs(2);
/// Before an engine or a store that was away is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A run's way to its model, and who pays.
struct Gate {
    run: gateway::Run,
    accounts: Arc<RunAccounts>,
}

/// A run under way.
struct Under {
    run: Box<dyn Run>,
    gate: Option<Gate>,
    way: Option<network::Way>,
    listener: Listener,
    task: PlannedTask,
    folder: RunFolder,
    disk: disk::Disk,
    /// What it was stopped for.
    past: Option<DiskPast>,
    /// Whether others wait for its first answer of the provider.
    probe: bool,
    patience: Patience,
    /// Why this host ended it, where it did.
    overdue: Option<Overdue>,
}

impl Holder<'_> {
    /// Runs the agent, or adopts what stands under its name. None: the lease is lost, or the
    /// store is away and the next holder tells what this one couldn't.
    pub(crate) async fn run_agent(&mut self, job: &Job, key: RunKey) -> Option<Done> {
        let folder = RunFolder::of(&self.driver.config.run_dir, &key);
        let begun = runner::was_started(&folder.run());
        let probe = match self.held_back(&key, begun).await {
            Ok(probe) => probe,
            Err(done) => return Some(done),
        };
        let mut under = match self.start(job, &key, folder).await {
            Ok(under) => under,
            Err(done) => return Some(done),
        };
        under.probe = probe;
        match self.watch(&mut under).await {
            Watched::Told(Signal::Cancel) => {
                if let Err(error) = under.run.stop(GRACE).await {
                    tracing::warn!(job.id = %job.id, %error, "a cancelled agent didn't stop");
                }
                self.driver.at(Boundary::AgentStopped);
                // What can't be told now isn't waited for: nobody wants this run any more.
                under.listener.listen(true).await;
                settle(&mut under).await;
                self.close_way(under.way.take()).await;
                Some(Done {
                    ended: Some(key),
                    ..Done::of(Input::Cancel)
                })
            }
            Watched::Told(told) => {
                under.listener.listen(false).await;
                settle(&mut under).await;
                self.close_way(under.way.take()).await;
                told.as_input().map(Done::of)
            }
            Watched::Lost(error) => {
                settle(&mut under).await;
                self.close_way(under.way.take()).await;
                self.keep_what_is_left(job, &key).await;
                let (kind, message) = (error.failure_kind(), error.to_string());
                Some(outcome::used_up(&key, kind, message))
            }
            Watched::Ended(ended) => {
                self.close_way(under.way.take()).await;
                self.hear_out(&mut under).await?;
                self.driver.at(Boundary::RunHeardOut);
                self.keep_what_is_left(job, &key).await;
                self.ended(key, under, &ended).await
            }
        }
    }
}

/// Tells what was spent until now. What can't be told is booked as spent when the job is taken
/// again, or has ended.
async fn settle(under: &mut Under) {
    let Some(mut gate) = under.gate.take() else {
        return;
    };
    match tokio::time::timeout(SETTLE, gate.run.close()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "what a run spent isn't booked yet"),
        Err(_) => tracing::debug!("what a run spent isn't booked yet: the store takes its time"),
    }
}
