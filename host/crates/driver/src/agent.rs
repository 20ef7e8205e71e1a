//! One run of an agent: started or adopted, listened to, ended or left running. Who is told what
//! about it afterwards is decided by the state machine.

mod breaker;
mod start;

mod watch;

mod outcome;

use crate::hold::{Done, Holder};
use crate::listener::Listener;
use crate::run_folder::RunFolder;
use crate::signal::Signal;
use pipeline::{Boundary, Input, Job, PlannedTask, RunKey};
use runner::Run;
use std::time::Duration;
use watch::Watched;

/// What an agent has to end in after it was told to.
const GRACE: Duration = Duration::from_secs(8);
/// Before an engine or a store that was away is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A run under way.
struct Under {
    run: Box<dyn Run>,
    gate: Option<gateway::Run>,
    listener: Listener,
    task: PlannedTask,
    folder: RunFolder,
    /// Whether others wait for its first answer of the provider.
    probe: bool,
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
                Some(Done {
                    ended: Some(key),
                    ..Done::of(Input::Cancel)
                })
            }
            Watched::Told(told) => {
                under.listener.listen(false).await;
                told.as_input().map(Done::of)
            }
            Watched::Lost(error) => {
                self.keep_what_is_left(job, &key).await;
                let kind = error.failure_kind();
                Some(outcome::used_up(&key, kind, error.to_string()))
            }
            Watched::Ended(ended) => {
                self.hear_out(&mut under).await?;
                self.driver.at(Boundary::RunHeardOut);
                self.keep_what_is_left(job, &key).await;
                self.ended(key, under, &ended).await
            }
        }
    }
}
