//! A plugin that has passed every check: what it is, how its calls went, and one synchronous call
//! of a step with its answer checked. It knows neither files nor which plugin serves.

pub(crate) mod component;
pub(crate) mod extism;

use crate::engine::Sandboxes;
use crate::grants::Granted;
use crate::said::{self, Refusal};
use crate::stats::Stats;
use crate::step::{Step, Steps};
use crate::{CallContext, answer};
use pipeline::{Level, Limits, Manifest, PlannedTask, PluginPin, SitePlan, StepError, Verdict};

/// A kind of guest: a component, or an Extism plug-in. Each call is a sandbox of its own.
pub(crate) trait Kind: Send + Sync {
    /// `component` or `extism`.
    fn word(&self) -> &'static str;

    /// The version of the interface that it was built for.
    fn interface(&self) -> &str;

    fn steps(&self) -> Steps;

    /// Looks at the form of every step, then asks the plugin what it is.
    fn describe(&self, sandboxes: &Sandboxes) -> Result<said::Manifest, String>;

    /// What its calls have from now on; nothing before. The reason where its kind can't have it.
    fn grant(&mut self, granted: Granted) -> Result<(), String> {
        match granted == Granted::default() {
            true => Ok(()),
            false => Err(format!(
                "requests what only components can have, and it is of the kind `{}`",
                self.word()
            )),
        }
    }

    /// The plugin's own test, where it has one.
    fn self_test(&self, sandboxes: &Sandboxes) -> Result<(), String>;

    /// One call of a step that it has. `ready` is told once the guest's own time begins: what
    /// comes before is the host's work, and has other limits.
    fn call(
        &self,
        sandboxes: &Sandboxes,
        step: Step,
        job: CallContext,
        ready: &mut dyn FnMut(),
    ) -> Ran;
}

/// What came of a call, before anything of it was checked.
pub(crate) struct Ran {
    pub(crate) answer: Result<Result<said::Answer, Refusal>, Ended>,
    pub(crate) logs: Vec<(Level, String)>,
    /// The most that all its memories had together.
    pub(crate) memory_bytes: usize,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("{0}")]
    Trap(String),
    #[error("this host has no room for another call: {0}")]
    NoRoom(String),
}

/// A plugin that has passed every check.
pub(crate) struct Guest {
    pub(crate) manifest: Manifest,
    pub(crate) pin: PluginPin,
    pub(crate) stats: Stats,
    kind: Box<dyn Kind>,
}

/// What a step answered, checked, with what else is known of the call.
pub(crate) struct Answered<T> {
    /// `None`: the plugin has no such step.
    pub(crate) result: Result<Option<T>, StepError>,
    pub(crate) logs: Vec<(Level, String)>,
    pub(crate) memory_bytes: usize,
}

impl Guest {
    pub(crate) fn new(kind: Box<dyn Kind>, manifest: Manifest, pin: PluginPin) -> Self {
        Self {
            manifest,
            pin,
            stats: Stats::default(),
            kind,
        }
    }

    /// `plugin `idea` 1.2.0`
    pub(crate) fn title(&self) -> String {
        format!("plugin `{}` {}", self.manifest.name, self.manifest.version)
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.kind.word()
    }

    pub(crate) fn interface(&self) -> &str {
        self.kind.interface()
    }

    pub(crate) fn steps(&self) -> Steps {
        self.kind.steps()
    }

    pub(crate) fn prompt(
        &self,
        sandboxes: &Sandboxes,
        job: CallContext,
        ready: &mut dyn FnMut(),
    ) -> Answered<Vec<PlannedTask>> {
        self.ask(
            sandboxes,
            Step::Prompt,
            job,
            ready,
            |said, limits| match said {
                said::Answer::Tasks(tasks) => Some(answer::tasks(tasks, limits)),
                _ => None,
            },
        )
    }

    pub(crate) fn validate(
        &self,
        sandboxes: &Sandboxes,
        job: CallContext,
        ready: &mut dyn FnMut(),
    ) -> Answered<Verdict> {
        self.ask(
            sandboxes,
            Step::Validate,
            job,
            ready,
            |said, limits| match said {
                said::Answer::Verdict(verdict) => Some(answer::verdict(verdict, limits)),
                _ => None,
            },
        )
    }

    pub(crate) fn deploy(
        &self,
        sandboxes: &Sandboxes,
        job: CallContext,
        ready: &mut dyn FnMut(),
    ) -> Answered<Vec<SitePlan>> {
        self.ask(
            sandboxes,
            Step::Deploy,
            job,
            ready,
            |said, limits| match said {
                said::Answer::Plan(plan) => Some(answer::sites(plan, limits)),
                _ => None,
            },
        )
    }

    fn ask<T>(
        &self,
        sandboxes: &Sandboxes,
        step: Step,
        job: CallContext,
        ready: &mut dyn FnMut(),
        check: impl FnOnce(said::Answer, &Limits) -> Option<Result<T, String>>,
    ) -> Answered<T> {
        if !self.kind.steps().has(step) {
            return Answered {
                result: Ok(None),
                logs: Vec::new(),
                memory_bytes: 0,
            };
        }
        let limits = sandboxes.limits.for_call(&job.limits).answers;
        let Ran {
            answer,
            logs,
            memory_bytes,
        } = self.kind.call(sandboxes, step, job, ready);
        Answered {
            result: self.check(&limits, step, answer, check).map(Some),
            logs,
            memory_bytes,
        }
    }

    fn check<T>(
        &self,
        limits: &Limits,
        step: Step,
        answer: Result<Result<said::Answer, Refusal>, Ended>,
        check: impl FnOnce(said::Answer, &Limits) -> Option<Result<T, String>>,
    ) -> Result<T, StepError> {
        let who = self.title();
        let step = step.word();
        let cut = |text: String| answer::cut(text, limits.message_bytes);
        let fault = |text: String| Err(StepError::Fault(cut(text)));
        match answer {
            Ok(Ok(said)) => match check(said, limits) {
                Some(Ok(checked)) => Ok(checked),
                Some(Err(why)) => fault(format!("{who} gave a broken answer in {step}: {why}")),
                None => fault(format!("{who} gave another step's answer in {step}")),
            },
            Ok(Err(Refusal::InvalidJob(why))) => Err(StepError::InvalidJob(cut(why))),
            Ok(Err(Refusal::Unavailable(why))) => Err(StepError::Unavailable(cut(why))),
            Ok(Err(Refusal::Internal(why))) => fault(format!("{who} failed in {step}: {why}")),
            Err(Ended::Trap(why)) => fault(format!("{who} trapped in {step}: {why}")),
            Err(Ended::NoRoom(why)) => Err(StepError::Unavailable(cut(why))),
        }
    }
}
