//! A run that a shim owns, as the host sees it: waiting for its lock, asking it to stop.
//! It has no time limit of its own; the shim keeps that.

use super::folder::Folder;
use crate::{Ended, How, Run, RunnerError};
use async_trait::async_trait;
use pipeline::Timestamp;
use std::io::Write;
use std::process::Child;
use std::thread;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::timeout;

/// What a shim gets beyond the grace to end what is left and to say so.
const SHIM_PATIENCE: Duration = Duration::from_secs(10);

const NO_ANSWER: &str = "End its processes by hand: `shim.json` in its folder names the shim";

pub(super) struct Standing {
    folder: Folder,
    name: String,
    adopted: bool,
    first_seen: Timestamp,
    ended: watch::Receiver<bool>,
}

impl Standing {
    /// `child` is the shim, where this process started it and must reap it.
    pub(super) fn new(
        folder: Folder,
        name: &str,
        adopted: bool,
        child: Option<Child>,
    ) -> Result<Self, RunnerError> {
        let record = folder.record()?;
        let first_seen =
            record.map_or_else(|| SystemTime::now().into(), |record| record.created_at);
        let alive = child.is_some() || folder.alive()?;
        let (ends, ended) = watch::channel(!alive);
        if alive {
            // A thread of its own rather than one of the runtime's: a host that shuts down
            // doesn't wait for it.
            let watched = folder.clone();
            thread::Builder::new()
                .name("run-watch".to_owned())
                .stack_size(64 << 10)
                .spawn(move || watch_lock(&watched, child, &ends))
                .map_err(RunnerError::io("watching", folder.path()))?;
        }
        Ok(Self {
            folder,
            name: name.to_owned(),
            adopted,
            first_seen,
            ended,
        })
    }

    async fn until_ended(&self) {
        // An error means that the watching thread is gone, and so that the lock is free.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Ends it at once; the shim as well where it doesn't answer.
    pub(super) async fn kill(&self) -> Result<(), RunnerError> {
        match self.stop(Duration::ZERO).await {
            Err(_) => {
                swept(self.folder.clone()).await;
                let gone = timeout(SHIM_PATIENCE, self.until_ended()).await;
                gone.map_err(|_| self.no_answer())
            }
            stopped => stopped,
        }
    }

    fn no_answer(&self) -> RunnerError {
        RunnerError::Engine {
            doing: "stopping a process run",
            reason: format!("the shim of `{}` doesn't answer", self.name),
            mend: NO_ANSWER,
        }
    }

    /// The shim left nothing: it was killed, or the machine went down.
    fn vanished(&self) -> Result<Ended, RunnerError> {
        let started = self.folder.started()?;
        Ok(Ended {
            how: How::Vanished,
            exit_code: None,
            starved: false,
            started_at: started.map_or(self.first_seen, |started| started.started_at),
            finished_at: SystemTime::now().into(),
        })
    }
}

#[async_trait]
impl Run for Standing {
    fn adopted(&self) -> bool {
        self.adopted
    }

    async fn wait(&mut self) -> Result<Ended, RunnerError> {
        self.until_ended().await;
        let Some(exit) = self.folder.exit()? else {
            return self.vanished();
        };
        if let Some(refused) = exit.refused {
            return Err(RunnerError::BadCommand {
                command: refused.program,
                reason: refused.reason,
                mend: super::SET_COMMAND,
            });
        }
        let code = exit.code.unwrap_or(-1);
        Ok(Ended {
            how: if exit.timed_out {
                How::TimedOut
            } else {
                How::Exited { code }
            },
            exit_code: Some(code),
            // Nothing limits its memory, so nobody is told.
            starved: false,
            started_at: exit.started_at,
            finished_at: exit.finished_at,
        })
    }

    async fn stop(&self, grace: Duration) -> Result<(), RunnerError> {
        let asked = self.folder.open_control().and_then(|mut control| {
            // In one write: the shim must not read half a line.
            control.write_all(format!("stop {}\n", grace.as_millis()).as_bytes())?;
            Ok(control)
        });
        match asked {
            // Kept open: what is written to it is gone once nobody has it open.
            Ok(_control) => timeout(grace + SHIM_PATIENCE, self.until_ended())
                .await
                .map_err(|_| self.no_answer()),
            Err(_) if *self.ended.borrow() || !self.folder.alive()? => Ok(()),
            Err(error) => Err(RunnerError::io("stopping a run in", self.folder.path())(
                error,
            )),
        }
    }
}

/// Until the shim lets go of its lock, by whatever end.
fn watch_lock(folder: &Folder, child: Option<Child>, ends: &watch::Sender<bool>) {
    if let Err(error) = folder.until_free() {
        let path = folder.path().display();
        tracing::error!(run.folder = %path, %error, "a run's lock can't be watched");
    }
    if let Some(mut child) = child {
        // Reaps it; how the shim itself ended says nothing about the agent.
        let _ = child.wait();
    }
    // A shim that was killed leaves no `exit.json`, and its agent running.
    if matches!(folder.exit(), Ok(None)) {
        folder.sweep();
    }
    ends.send_replace(true);
}

/// Sweeps where it holds up nobody else.
pub(super) async fn swept(folder: Folder) {
    // An error would be a panic in there, and there is none.
    let _ = tokio::task::spawn_blocking(move || folder.sweep()).await;
}
