//! The state machine: what follows from an input, and what to do after a crash.
//! It has no clock: `now` comes in, and only ever ends up in fields for people.

mod agent;
mod ending;
mod verdict;

use crate::job::cut;
use crate::table::takers;
use crate::{
    Attempt, Cursor, Event, EventKind, Failure, FailureKind, Job, Limits, Outcome, Pauses,
    PhaseStatus, PlannedTask, PluginPin, Publication, RunKey, Stage, StateName, Status, StepError,
    Task, TaskStatus, Timestamp, Usage, Verdict, Wait, WaitReason,
};
use crate::{Digest, InputName};
use serde_json::{Map, Value, json};
use std::time::Duration;
use thiserror::Error;

/// What happens to a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A host holds it; `rescued` where the last holder died with it.
    Claimed {
        /// Whether the last holder's lease had run out.
        rescued: bool,
    },
    /// `prompt` answered; no task where it isn't exported.
    Prompted {
        /// Who answered.
        plugin: PluginPin,
        /// Without their prompts and files, which are under `kept`.
        tasks: Vec<String>,
        /// What was answered, kept beside the job.
        kept: Digest,
    },
    /// A run of the agent ended.
    AgentEnded(Outcome),
    /// `validate` answered; none where it isn't exported.
    Validated {
        /// Who answered.
        plugin: PluginPin,
        /// What it decided.
        verdict: Option<Verdict>,
    },
    /// `deploy` answered, and the files are in place; none where nothing is to be published.
    Deployed {
        /// Who answered.
        plugin: PluginPin,
        /// What the row will say.
        sites: Vec<Publication>,
    },
    /// A plugin gave no answer.
    StepFailed {
        /// Who failed; none where no plugin of the name serves.
        plugin: Option<PluginPin>,
        /// Why.
        error: StepError,
    },
    /// The holder can't do what the command asks, for a reason that isn't the plugin's or the
    /// agent's: the job fails, or waits where the reason passes.
    Broken(Failure),
    /// The run isn't begun, and that is nobody's failure: the provider is known to be away, or
    /// this host can't read what a later version planned.
    HeldBack {
        /// For what the job waits.
        reason: WaitReason,
        /// What a person would say.
        message: String,
        /// Until it is to be tried again.
        pause: Duration,
    },
    /// The holder gives it back: it shuts down.
    GivenBack,
    /// A person asked for its end.
    Cancel,
    /// A person wants it to go on now, whatever it waits for.
    Resume,
    /// A person wants it to go on from where it failed.
    Retry {
        /// What the next attempt is told.
        feedback: Option<String>,
        /// Params that take the place of those of the same names.
        params: Map<String, Value>,
    },
    /// A person sends the finished job back.
    Feedback {
        /// What is to be changed.
        text: String,
    },
}

/// What is to be done. Each can be done again: a run by its name, a call by its kept inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask the plugin for the tasks.
    Prompt {
        /// Whether the workspace is put back first.
        reset: bool,
    },
    /// Run the agent, or adopt what stands under this name.
    RunAgent(RunKey),
    /// Ask the plugin for its verdict.
    Validate,
    /// Ask the plugin what to publish, and lay it out.
    Deploy,
}

/// What follows: to be committed as one, before the command is begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The job as it is now.
    pub next: Job,
    /// What to do; none where the job rests.
    pub command: Option<Command>,
    /// What to tell.
    pub events: Vec<Event>,
    /// What to publish, in the same commit.
    pub publish: Vec<Publication>,
}

/// An input that can't come in this state: a fault of the caller, or a request that came late.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a job that is {state} can't take `{input}`: {}", takers(*input))]
pub struct IllegalTransition {
    /// Where the job stands.
    pub state: StateName,
    /// What came.
    pub input: InputName,
}

/// What follows from `input`.
///
/// # Errors
/// [`IllegalTransition`] where the table doesn't list the input for the job's state.
pub fn step(
    job: &Job,
    input: Input,
    limits: &Limits,
    now: Timestamp,
) -> Result<Step, IllegalTransition> {
    let illegal = IllegalTransition {
        state: StateName::of(job),
        input: InputName::of(&input),
    };
    if !crate::table::is_legal(illegal.state, illegal.input) {
        return Err(illegal);
    }
    let mut turn = Turn {
        job: job.clone(),
        limits,
        now,
        events: Vec::new(),
        publish: Vec::new(),
    };
    match input {
        Input::Claimed { rescued } => turn.claimed(rescued),
        Input::Prompted {
            plugin,
            tasks,
            kept,
        } => turn.prompted(plugin, tasks, kept),
        Input::AgentEnded(outcome) => turn.agent_ended(outcome),
        Input::Validated { plugin, verdict } => turn.validated(plugin, verdict),
        Input::Deployed { plugin, sites } => turn.deployed(plugin, sites),
        Input::StepFailed { plugin, error } => turn.step_failed(plugin, error),
        Input::Broken(failure) => turn.broken(failure),
        Input::HeldBack {
            reason,
            message,
            pause,
        } => turn.held_back(reason, &message, pause),
        Input::GivenBack => turn.given_back(),
        Input::Cancel => turn.cancel(),
        Input::Resume => turn.resume(),
        Input::Retry { feedback, params } => turn.retry(feedback, params),
        Input::Feedback { text } => turn.feedback(text),
    }
    .ok_or(illegal)?;
    let command = resume(&turn.job);
    Ok(Step {
        next: turn.job,
        command,
        events: turn.events,
        publish: turn.publish,
    })
}

/// What the holder of a job has to do: derived from its state, never stored.
/// None where it isn't running.
pub fn resume(job: &Job) -> Option<Command> {
    if job.status != Status::Running {
        return None;
    }
    match job.at?.stage {
        Stage::Prompt => {
            let (spec, phase) = job.phase()?;
            Some(Command::Prompt {
                reset: spec.reset && phase.attempts.len() > 1,
            })
        }
        Stage::Agent { .. } => job.run_key().map(Command::RunAgent),
        Stage::Validate => Some(Command::Validate),
        Stage::Deploy => Some(Command::Deploy),
    }
}

/// One step under way. Each method is one row of the table; `None` says that the job's parts
/// contradict each other, which only a fault in this crate could bring about.
struct Turn<'a> {
    job: Job,
    limits: &'a Limits,
    now: Timestamp,
    events: Vec<Event>,
    publish: Vec<Publication>,
}

impl Turn<'_> {
    fn claimed(&mut self, rescued: bool) -> Option<()> {
        let first = self.job.at.is_none();
        self.job.status = Status::Running;
        // What waited for a time to come must be told another one.
        if self.job.wait.take().is_some()
            && let Some(at) = &mut self.job.at
        {
            at.since = Some(self.now);
        }
        if rescued {
            self.job.rescues += 1;
            if self.job.rescues > self.limits.rescues {
                let message = format!(
                    "{} hosts in a row died with this job: see their logs, then retry it",
                    self.job.rescues
                );
                return self.fail(Failure::new(FailureKind::Interrupted, message));
            }
        }
        if first {
            self.job.started_at.get_or_insert(self.now);
            self.tell(EventKind::JobStarted, Map::new());
            return self.begin_phase(0);
        }
        self.tell(EventKind::JobResumed, object(json!({ "rescued": rescued })));
        self.begin_next_run()
    }

    /// The first phase from `index` on begins; past the last one comes the deploy.
    fn begin_phase(&mut self, index: usize) -> Option<()> {
        if index < self.job.phases.len() {
            let feedback = self.job.feedback.clone();
            self.job.phases[index].status = PhaseStatus::Running;
            return self.begin_attempt(index, feedback);
        }
        if self.job.spec.deploy.is_some() {
            self.job.at = Some(Cursor {
                phase: index,
                stage: Stage::Deploy,
                since: Some(self.now),
            });
            return Some(());
        }
        self.succeed()
    }

    fn begin_attempt(&mut self, index: usize, feedback: Option<String>) -> Option<()> {
        let revision = self.job.revision;
        let phase = self.job.phases.get_mut(index)?;
        let number = phase
            .attempts
            .iter()
            .filter(|a| a.revision == revision)
            .count()
            + 1;
        phase.attempts.push(Attempt {
            number: u32::try_from(number).ok()?,
            revision,
            plugins: phase.plugin.iter().cloned().collect(),
            feedback,
            kept: None,
            tasks: Vec::new(),
            pauses: 0,
            paused: Pauses::default(),
            verdict: None,
            message: None,
            fresh_session: false,
            started_at: self.now,
            finished_at: None,
        });
        self.job.at = Some(Cursor {
            phase: index,
            stage: Stage::Prompt,
            since: Some(self.now),
        });
        self.tell(EventKind::PhaseStarted, Map::new());
        Some(())
    }

    fn prompted(&mut self, plugin: PluginPin, tasks: Vec<String>, kept: Digest) -> Option<()> {
        self.pin(plugin)?;
        let empty = tasks.is_empty();
        let attempt = self.attempt()?;
        attempt.kept = Some(kept);
        attempt.rested();
        attempt.tasks = tasks.into_iter().map(Task::planned).collect();
        if empty {
            return self.enter(Stage::Validate);
        }
        self.begin_task(0)
    }

    /// Notes who answered: the pin of the phase, and every one that an attempt had.
    fn pin(&mut self, plugin: PluginPin) -> Option<()> {
        let index = self.job.at?.phase;
        match self.job.phases.get_mut(index) {
            None => self.job.deploy_plugin = Some(plugin),
            Some(phase) => {
                let attempt = phase.attempts.last_mut()?;
                if attempt.plugins.last() != Some(&plugin) {
                    attempt.plugins.push(plugin.clone());
                }
                phase.plugin = Some(plugin);
            }
        }
        Some(())
    }

    fn step_failed(&mut self, plugin: Option<PluginPin>, error: StepError) -> Option<()> {
        if let Some(plugin) = plugin {
            self.pin(plugin)?;
        }
        match error {
            StepError::InvalidJob(message) => {
                self.fail(Failure::new(FailureKind::InvalidJob, message))
            }
            StepError::Fault(message) => self.fail(Failure::new(FailureKind::Plugin, message)),
            StepError::Unavailable(message) => {
                self.pause(WaitReason::Plugin, FailureKind::Plugin, message)
            }
            StepError::Held(message) => {
                let until = self.now.after(self.limits.held_pause);
                self.wait(WaitReason::Plugin, cut(&message, self.limits), until)
            }
        }
    }

    fn broken(&mut self, failure: Failure) -> Option<()> {
        match WaitReason::of(failure.kind) {
            Some(reason) => self.pause(reason, failure.kind, failure.message),
            None => self.fail(failure),
        }
    }

    /// Rests for a while, the longer the more often in a row; fails once that was too often.
    fn pause(&mut self, reason: WaitReason, kind: FailureKind, message: String) -> Option<()> {
        self.pause_at_least(Duration::ZERO, reason, kind, message)
    }

    /// The same, and not shorter than what was asked for.
    fn pause_at_least(
        &mut self,
        asked: Duration,
        reason: WaitReason,
        kind: FailureKind,
        message: String,
    ) -> Option<()> {
        let (pauses, paused) = match self.attempt() {
            Some(attempt) => (&mut attempt.pauses, &mut attempt.paused),
            None => (&mut self.job.pauses, &mut self.job.paused),
        };
        *pauses += 1;
        let nth = paused.add(reason);
        let message = cut(&message, self.limits);
        let Some(pause) = self.limits.back_off.pause(reason, self.job.id, nth) else {
            let message = format!("given up after {nth} pauses: {message}");
            return self.fail(Failure::new(kind, message));
        };
        let asked = asked.min(self.limits.back_off.longest_asked);
        let until = self.now.after(pause.max(asked));
        self.wait(reason, message, until)
    }

    /// Rests as long as it is told to; no pause of the job's own is used up.
    fn held_back(&mut self, reason: WaitReason, message: &str, pause: Duration) -> Option<()> {
        let until = self.now.after(pause);
        self.wait(reason, cut(message, self.limits), until)
    }

    /// Without `until`, for a person.
    fn wait(
        &mut self,
        reason: WaitReason,
        message: String,
        until: impl Into<Option<Timestamp>>,
    ) -> Option<()> {
        let until = until.into();
        let told = object(json!({ "reason": reason, "message": message, "until": until }));
        self.job.status = Status::Waiting;
        self.job.wait = Some(Wait {
            reason,
            message,
            until,
        });
        self.tell(EventKind::JobWaiting, told);
        Some(())
    }

    fn given_back(&mut self) -> Option<()> {
        self.job.status = Status::Queued;
        self.tell(
            EventKind::PhaseInterrupted,
            object(json!({ "given_back": true })),
        );
        self.tell(EventKind::JobQueued, Map::new());
        Some(())
    }

    fn enter(&mut self, stage: Stage) -> Option<()> {
        let at = self.job.at.as_mut()?;
        at.stage = stage;
        at.since = Some(self.now);
        Some(())
    }

    fn attempt(&mut self) -> Option<&mut Attempt> {
        let index = self.job.at?.phase;
        self.job.phases.get_mut(index)?.attempts.last_mut()
    }

    /// An event of the phase and attempt that the cursor is in.
    fn tell(&mut self, kind: EventKind, data: Map<String, Value>) {
        let phase = self.job.phase().map(|(spec, _)| spec.id.clone());
        let attempt = self.job.attempt().map(|attempt| attempt.number);
        self.events.push(Event {
            kind,
            phase,
            attempt,
            data,
        });
    }
}

impl Task {
    fn planned(name: String) -> Self {
        let status = TaskStatus::Pending;
        Self {
            name,
            status,
            run: RunKey::FIRST,
            outcome: None,
            spent: Usage::default(),
        }
    }
}

impl Attempt {
    /// Something went well: what comes later is no longer in a row.
    fn rested(&mut self) {
        self.pauses = 0;
        self.paused = Pauses::default();
    }
}

impl WaitReason {
    /// Why a job waits after this failure; none where waiting doesn't help.
    fn of(kind: FailureKind) -> Option<Self> {
        match kind {
            FailureKind::Provider => Some(Self::Provider),
            FailureKind::Engine => Some(Self::Engine),
            FailureKind::Interrupted => Some(Self::Interrupted),
            _ => None,
        }
    }
}

impl Input {
    /// A retry as it is, with nothing to say.
    pub fn retry() -> Self {
        Self::Retry {
            feedback: None,
            params: Map::new(),
        }
    }
}

impl PlannedTask {
    /// The names of planned tasks, as [`Input::Prompted`] wants them.
    pub fn names(tasks: &[Self]) -> Vec<String> {
        tasks.iter().map(|task| task.name.clone()).collect()
    }
}

/// The object of a `json!` literal.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
