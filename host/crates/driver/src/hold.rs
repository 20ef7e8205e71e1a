//! One job while this host holds it: step, commit, execute, repeat. What each command does is
//! in `steps`, `deploying` and `agent`; nothing is executed here before it is committed.

use crate::follow::{follow, own};
use crate::signal::{Signal, told};
use crate::{Driver, now};
use pipeline::{
    Boundary, Command, Digest, Failure, FailureKind, Input, Job, Level, LogLine, RunKey, Timestamp,
};
use std::time::{Duration, Instant};
use store::{Change, Claimed, Committed, Hold, OnCancel};
use tokio::sync::watch;
use workspace::{Owner, Workspace};

/// Past the end of a pause by this host's clock it has passed by the store's, too.
const A_MOMENT: Duration = Duration::from_millis(50);

/// What a command came to, to be committed.
pub(crate) struct Done {
    /// What happened.
    pub(crate) input: Box<Input>,
    /// What the job will refer to by digest.
    pub(crate) blobs: Vec<(Digest, Vec<u8>)>,
    /// The agent's run that needs nothing any more once this is committed.
    pub(crate) ended: Option<RunKey>,
}

impl Done {
    pub(crate) fn of(input: Input) -> Self {
        Self {
            input: Box::new(input),
            blobs: Vec::new(),
            ended: None,
        }
    }

    /// The host itself couldn't do it.
    pub(crate) fn broken(kind: FailureKind, message: impl Into<String>) -> Self {
        Self::of(Input::Broken(Failure::new(kind, message)))
    }
}

/// What the work on one job needs, for as long as the job is held.
pub(crate) struct Holder<'a> {
    pub(crate) driver: &'a Driver,
    pub(crate) hold: Hold,
    pub(crate) signal: watch::Receiver<Signal>,
    pub(crate) workspace: Workspace,
    /// Whom the agent runs as.
    pub(crate) owner: Owner,
}

/// Works on a job until it rests, or is lost; whether it rests.
pub(crate) async fn run(
    driver: &Driver,
    claimed: Claimed,
    signal: watch::Receiver<Signal>,
) -> bool {
    let Claimed {
        mut job,
        lease,
        rescued,
        begun,
        ..
    } = claimed;
    let hold = Hold {
        job: job.id,
        lease,
        host: driver.config.host.clone(),
    };
    tracing::info!(job.id = %job.id, lease = lease.0, rescued, "job taken");
    let job_id = job.id;
    let (owner, give) = driver.config.owners.of(job.number);
    let workspace = driver.parts.root.workspace(job.id, give);
    own(driver, &mut job);
    let mut holder = Holder {
        driver,
        hold,
        signal,
        workspace,
        owner,
    };
    let mut at = match begun {
        true => Some((pipeline::resume(&job), job)),
        false => {
            let mut done = Done::of(match holder.is_to_give_back() {
                true => Input::GivenBack,
                false => Input::Claimed { rescued },
            });
            holder.advance(job, &mut done).await
        }
    };
    while let Some((command, job)) = at {
        let Some(command) = command else {
            rests(driver, &job);
            return true;
        };
        at = match holder.execute(&job, command).await {
            Some(mut done) => holder.advance(job, &mut done).await,
            None => None,
        };
    }
    tracing::warn!(job.id = %job_id, lease = lease.0, "job let go of, for its next holder");
    false
}

/// There is nothing more to be done for a job by now.
pub(crate) fn rests(driver: &Driver, job: &Job) {
    tracing::info!(job.id = %job.id, status = job.status.word(), "job rests");
    if let Some(until) = job.wait.as_ref().and_then(|wait| wait.until) {
        driver.slots.ask_after(until.since(now()) + A_MOMENT);
    }
}

impl Holder<'_> {
    /// Commits what follows from `done`; the job as it is then, and what to do. None: the lease
    /// is lost.
    async fn advance(&mut self, job: Job, done: &mut Done) -> Option<(Option<Command>, Job)> {
        loop {
            let cancel = *done.input == Input::Cancel;
            if cancel && let Some(key) = job.run_key() {
                // Before the state says that it has ended, its agent has.
                self.discard(&key).await;
            }
            let now = now();
            let step = follow(self.driver, &job, Input::clone(&done.input), now);
            let on_cancel = if cancel {
                OnCancel::Ignore
            } else {
                OnCancel::Refuse
            };
            let blobs = std::mem::take(&mut done.blobs);
            let change = Change {
                step,
                now,
                blobs,
                on_cancel,
            };
            match self.commit(&change).await? {
                Committed::CancelRequested => *done.input = Input::Cancel,
                _ => {
                    if let Some(key) = done.ended.take() {
                        self.discard(&key).await;
                    }
                    return Some((change.step.command, change.step.next));
                }
            }
        }
    }

    /// Commits. None: the lease is lost, or nobody knows whether the commit got through. Then
    /// the job is let go of, and the next claim gives it back as the store has it.
    async fn commit(&mut self, change: &Change) -> Option<Committed> {
        self.fence().await?;
        let (before, after) = match change.on_cancel {
            OnCancel::Ignore => (Boundary::BeforeCancel, Boundary::AfterCancel),
            OnCancel::Refuse => (Boundary::BeforeCommit, Boundary::AfterCommit),
        };
        self.driver.at(before);
        match self.driver.parts.store.commit(&self.hold, change).await {
            Ok(Committed::LeaseLost) => None,
            Ok(committed) => {
                self.driver.at(after);
                Some(committed)
            }
            Err(error) => {
                tracing::warn!(job.id = %self.hold.job, %error, "a commit didn't get through");
                None
            }
        }
    }

    /// Waits until the leases of this host hold. None: this one doesn't any more.
    async fn fence(&mut self) -> Option<()> {
        if self.driver.fence.holds(Instant::now()) {
            return Some(());
        }
        let mut closed = self.driver.fence.watch();
        tokio::select! {
            _ = closed.wait_for(|closed| !closed) => Some(()),
            _ = self.signal.wait_for(|signal| *signal == Signal::Lost) => None,
        }
    }

    /// Does what the state commands. None: the lease is lost.
    async fn execute(&mut self, job: &Job, command: Command) -> Option<Done> {
        self.fence().await?;
        self.driver.at(Boundary::BeforeCommand);
        if let Command::RunAgent(key) = command {
            // An agent that isn't there yet isn't started only to be handed on.
            return match self.is_to_give_back() {
                true => Some(Done::of(Input::GivenBack)),
                false => self.run_agent(job, key).await,
            };
        }
        let mut signal = self.signal.clone();
        let work = async {
            match command {
                Command::Prompt { reset } => self.prompt(job, reset).await,
                Command::Validate => self.validate(job).await,
                _ => self.deploy(job).await,
            }
        };
        tokio::select! {
            biased;
            told = told(&mut signal) => told.as_input().map(Done::of),
            done = work => Some(done),
        }
    }

    fn is_to_give_back(&self) -> bool {
        *self.signal.borrow() == Signal::GiveBack
    }

    /// Removes what is left of a run whose outcome is committed, or that isn't wanted.
    /// What can't be removed now, the reaper will find.
    async fn discard(&self, key: &RunKey) {
        let config = &self.driver.config;
        let name = key.name(&config.installation);
        if let Err(error) = self.driver.parts.runner.remove(&name).await {
            tracing::warn!(run.name = name, %error, "a run couldn't be removed");
            return;
        }
        self.driver.at(Boundary::RunRemoved);
        let folder = crate::run_folder::RunFolder::of(&config.run_dir, key);
        let removed = tokio::task::spawn_blocking(move || folder.remove()).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(run.name = name, %error, "a run's folder couldn't be removed");
        }
    }

    /// The workspace of this job, for work off this thread.
    pub(crate) fn workspace(&self) -> Workspace {
        self.workspace.clone()
    }

    /// Writes lines of a plugin or of the host to the job's log.
    pub(crate) async fn log(&self, job: &Job, lines: Vec<(Level, String)>) {
        if lines.is_empty() {
            return;
        }
        let phase = job.phase().map_or("deploy", |(spec, _)| spec.id.as_str());
        let attempt = job.attempt().map(|attempt| attempt.number);
        let line = |(level, text): (Level, String)| LogLine {
            seq: 0,
            at: Timestamp::default(),
            phase: Some(phase.to_owned()),
            attempt,
            level,
            text: crate::output::printable(&self.driver.config.secrets.text(&text)),
        };
        let lines: Vec<LogLine> = lines.into_iter().map(line).collect();
        if let Err(error) = self
            .driver
            .parts
            .store
            .append(&self.hold, &[], &lines)
            .await
        {
            tracing::warn!(job.id = %job.id, %error, lines = lines.len(), "log lines are lost");
        }
    }
}

impl Signal {
    /// What it means for the state; none where nothing may be written any more.
    pub(crate) fn as_input(self) -> Option<Input> {
        match self {
            Self::Cancel => Some(Input::Cancel),
            Self::GiveBack => Some(Input::GivenBack),
            Self::Lost | Self::Go => None,
        }
    }
}
