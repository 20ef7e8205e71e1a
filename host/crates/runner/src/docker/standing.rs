//! A container that stands: how it is waited for and stopped, through an engine that may
//! restart. It never removes one.

use super::engine::{Engine, failed, is_half_started, is_not_running, status};
use crate::run::TIME_UP_GRACE;
use crate::{Ended, How, Run, RunnerError};
use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::{ContainerState, ContainerStateStatusEnum as Status};
use bollard::query_parameters::{KillContainerOptionsBuilder, WaitContainerOptionsBuilder};
use futures_util::StreamExt;
use pipeline::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout};

/// Between two looks for an engine that is away.
const PAUSE: Duration = Duration::from_millis(200);

/// In which the engine must be done with a container that was killed.
const KILL_PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Standing {
    engine: Arc<Engine>,
    name: String,
    time_limit: Duration,
    adopted: bool,
    /// It was stopped because its time was up.
    timed_out: bool,
    /// `stop` was called: its end is no accident.
    stopped: AtomicBool,
    /// The engine was away while this waited: it may have taken the container with it.
    engine_lost: bool,
    /// Whether it had its second look for why it was killed.
    looked_twice: bool,
    first_seen: Timestamp,
    ended: Option<Ended>,
}

impl Standing {
    pub(super) fn new(
        engine: Arc<Engine>,
        name: String,
        time_limit: Duration,
        adopted: bool,
    ) -> Self {
        Self {
            engine,
            name,
            time_limit,
            adopted,
            timed_out: false,
            stopped: AtomicBool::new(false),
            engine_lost: false,
            looked_twice: false,
            first_seen: SystemTime::now().into(),
            ended: None,
        }
    }

    /// The container's state; none where it is gone. Bears an engine that is away for a while.
    async fn look(&mut self) -> Result<Option<ContainerState>, RunnerError> {
        let until = Instant::now() + self.engine.patience;
        loop {
            match self.engine.inspect(&self.name).await {
                Ok(found) => return Ok(found.map(|found| found.state.unwrap_or_default())),
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => {
                    self.engine_lost = true;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Until the state may have changed: it ended, its time is up, the engine went away.
    async fn watch(&mut self, state: &ContainerState) -> Result<(), RunnerError> {
        let started = time(state.started_at.as_deref()).unwrap_or(self.first_seen);
        let left = started
            .after(self.time_limit)
            .since(SystemTime::now().into());
        match timeout(left, until_exit(&self.engine, &self.name)).await {
            Err(_) => {
                self.timed_out = true;
                self.end(TIME_UP_GRACE).await
            }
            Ok(Err(_)) => {
                self.engine_lost = true;
                sleep(PAUSE).await;
                Ok(())
            }
            Ok(Ok(())) => Ok(()),
        }
    }

    async fn end(&self, grace: Duration) -> Result<(), RunnerError> {
        if !signal(&self.engine, &self.name, "SIGTERM").await? {
            return Ok(());
        }
        if let Ok(gone) = timeout(grace, until_exit(&self.engine, &self.name)).await {
            return gone;
        }
        signal(&self.engine, &self.name, "SIGKILL").await?;
        let gone = timeout(KILL_PATIENCE, until_exit(&self.engine, &self.name)).await;
        gone.unwrap_or_else(|_| {
            Err(RunnerError::Engine {
                doing: "killing a container",
                reason: format!("`{}` still runs", self.name),
                mend: "Restart Docker: it can't end its containers",
            })
        })
    }

    fn ended(&self, state: &ContainerState) -> Ended {
        let started_at = time(state.started_at.as_deref()).unwrap_or(self.first_seen);
        let now = SystemTime::now().into();
        // The engine notes the start of a short run after its end.
        let finished_at = time(state.finished_at.as_deref())
            .unwrap_or(now)
            .max(started_at);
        let code = state
            .exit_code
            .and_then(|code| i32::try_from(code).ok())
            .unwrap_or(-1);
        let oom = state.oom_killed == Some(true);
        // A host that died in the grace after the deadline left no other trace of it.
        let overtime = finished_at.since(started_at) >= self.time_limit;
        // 255 is the engine's mark for a container that it lost; the others are what a
        // container gets when its engine shuts down.
        let accident = !self.stopped.load(Ordering::Relaxed)
            && (code == 255 && (self.adopted || self.engine_lost)
                || matches!(code, 137 | 143) && self.engine_lost);
        let how = match code {
            _ if self.timed_out || overtime => How::TimedOut,
            // A child of the agent's may have been killed, and the agent gone on.
            code if oom && code != 0 => How::OutOfMemory,
            _ if accident => How::Vanished,
            code => How::Exited { code },
        };
        Ended {
            how,
            exit_code: (how != How::Vanished).then_some(code),
            starved: oom,
            started_at,
            finished_at,
        }
    }

    /// The engine hears of a want of memory apart from the exit, and may hear of it later.
    fn may_lack_the_reason(&self, state: &ContainerState) -> bool {
        let killed = state.exit_code == Some(137) && state.oom_killed != Some(true);
        killed && !self.timed_out && !self.stopped.load(Ordering::Relaxed) && !self.looked_twice
    }

    fn vanished(&self) -> Ended {
        Ended {
            how: How::Vanished,
            exit_code: None,
            starved: false,
            started_at: self.first_seen,
            finished_at: SystemTime::now().into(),
        }
    }
}

#[async_trait]
impl Run for Standing {
    fn adopted(&self) -> bool {
        self.adopted
    }

    async fn wait(&mut self) -> Result<Ended, RunnerError> {
        while self.ended.is_none() {
            match self.look().await? {
                None => self.ended = Some(self.vanished()),
                Some(state) => match state.status {
                    Some(Status::EXITED | Status::DEAD) if self.may_lack_the_reason(&state) => {
                        self.looked_twice = true;
                        sleep(PAUSE).await;
                    }
                    Some(Status::EXITED | Status::DEAD) => self.ended = Some(self.ended(&state)),
                    // Whoever created it died, or is about to start it: starting twice is one start.
                    Some(Status::CREATED) => {
                        if !start(&self.engine, &self.name).await? {
                            self.ended = Some(self.vanished());
                        }
                    }
                    _ => self.watch(&state).await?,
                },
            }
        }
        Ok(self.ended.clone().unwrap_or_else(|| self.vanished()))
    }

    async fn stop(&self, grace: Duration) -> Result<(), RunnerError> {
        self.stopped.store(true, Ordering::Relaxed);
        self.end(grace).await
    }
}

/// False where it never can be.
async fn start(engine: &Engine, name: &str) -> Result<bool, RunnerError> {
    match engine.client().await?.start_container(name, None).await {
        Err(error) if matches!(status(&error), Some(304 | 404)) => Ok(true),
        Err(error) if is_half_started(&error) => Ok(false),
        Err(error) => Err(failed("starting a container")(error)),
        Ok(()) => Ok(true),
    }
}

/// Whether there was anything to signal.
async fn signal(engine: &Engine, name: &str, signal: &str) -> Result<bool, RunnerError> {
    let options = KillContainerOptionsBuilder::new().signal(signal).build();
    match engine
        .client()
        .await?
        .kill_container(name, Some(options))
        .await
    {
        Ok(()) => Ok(true),
        Err(error) if matches!(status(&error), Some(404 | 409)) || is_not_running(&error) => {
            Ok(false)
        }
        Err(error) => Err(failed("signalling a container")(error)),
    }
}

/// Until it doesn't run any more, or is gone.
async fn until_exit(engine: &Engine, name: &str) -> Result<(), RunnerError> {
    let options = WaitContainerOptionsBuilder::new()
        .condition("not-running")
        .build();
    let client = engine.client().await?;
    match std::pin::pin!(client.wait_container(name, Some(options)))
        .next()
        .await
    {
        Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) => Ok(()),
        Some(Err(error)) if status(&error) == Some(404) => Ok(()),
        Some(Err(error)) => Err(failed("waiting for a container")(error)),
        None => Err(RunnerError::Engine {
            doing: "waiting for a container",
            reason: "the connection ended".to_owned(),
            mend: "Start Docker",
        }),
    }
}

/// The engine writes the year 1 where it has no time to give.
fn time(text: Option<&str>) -> Option<Timestamp> {
    Timestamp::parse(text?).filter(|at| at.as_millis() > 0)
}
