//! A compiled plugin that is ready for calls: its pre-linked component, which steps it has, and
//! one synchronous call. It knows neither files nor which plugin serves.

use crate::bindings::{base, deploy, prompt, self_test, validate};
use crate::engine::Sandboxes;
use crate::sandbox::{self, State};
use crate::stats::Stats;
use crate::{CallContext, answer, fault};
use base::exports::gantry::phase::describe as wit_describe;
use base::gantry::phase::types;
use deploy::exports::gantry::phase::deploy as wit_deploy;
use pipeline::{Level, Manifest, PlannedTask, PluginPin, SitePlan, StepError, Verdict};
use prompt::exports::gantry::phase::prompt as wit_prompt;
use self_test::exports::gantry::phase::self_test as wit_self_test;
use validate::exports::gantry::phase::validate as wit_validate;
use wasmtime::component::{Component, Instance, InstancePre};
use wasmtime::{PoolConcurrencyLimitError, Store};

/// A plugin that has passed every check.
pub(crate) struct Guest {
    pub(crate) manifest: Manifest,
    pub(crate) pin: PluginPin,
    pub(crate) stats: Stats,
    linked: Linked,
}

/// A component whose imports are there.
pub(crate) struct Linked {
    pre: InstancePre<State>,
    describe: wit_describe::GuestIndices,
    prompt: Option<wit_prompt::GuestIndices>,
    validate: Option<wit_validate::GuestIndices>,
    deploy: Option<wit_deploy::GuestIndices>,
    self_test: Option<wit_self_test::GuestIndices>,
}

/// An answer of a step, with what was logged.
pub(crate) type Answered<T> = (Result<Option<T>, StepError>, Vec<(Level, String)>);

impl Linked {
    /// Links a component; the reason where it doesn't fit the interface.
    pub(crate) fn new(sandboxes: &Sandboxes, component: &Component) -> Result<Self, String> {
        let pre = sandboxes
            .linker
            .instantiate_pre(component)
            .map_err(|error| format!("doesn't link: {error:#}"))?;
        let exported = |interface: &str| {
            let name = format!("gantry:phase/{interface}@{}", crate::fit::INTERFACE);
            component.get_export_index(None, &name).is_some()
        };
        let wrong = |error: wasmtime::Error| format!("exports a broken interface: {error:#}");
        macro_rules! step {
            ($interface:literal, $module:ident) => {
                match exported($interface) {
                    true => Some($module::GuestIndices::new(&pre).map_err(wrong)?),
                    false => None,
                }
            };
        }
        Ok(Self {
            describe: wit_describe::GuestIndices::new(&pre).map_err(wrong)?,
            prompt: step!("prompt", wit_prompt),
            validate: step!("validate", wit_validate),
            deploy: step!("deploy", wit_deploy),
            self_test: step!("self-test", wit_self_test),
            pre,
        })
    }

    /// Looks at the types of every step, then asks the plugin what it is.
    pub(crate) fn describe(&self, sandboxes: &Sandboxes) -> Result<wit_describe::Manifest, String> {
        let (answer, _) = self.enter(sandboxes, "describe", None, |store, instance| {
            if let Some(step) = &self.prompt {
                step.load(&mut *store, instance)?;
            }
            if let Some(step) = &self.validate {
                step.load(&mut *store, instance)?;
            }
            if let Some(step) = &self.deploy {
                step.load(&mut *store, instance)?;
            }
            if let Some(step) = &self.self_test {
                step.load(&mut *store, instance)?;
            }
            let describe = self.describe.load(&mut *store, instance)?;
            describe.call_describe(store)
        });
        answer.map_err(|error| format!("`describe` failed: {error}"))
    }

    /// The plugin's own test, where it has one.
    pub(crate) fn self_test(&self, sandboxes: &Sandboxes) -> Result<(), String> {
        let Some(step) = &self.self_test else {
            return Ok(());
        };
        let (answer, _) = self.enter(sandboxes, "self-test", None, |store, instance| {
            step.load(&mut *store, instance)?.call_self_test(store)
        });
        match answer {
            Ok(Ok(())) => Ok(()),
            Ok(Err(message)) => Err(format!("its self-test says: {message}")),
            Err(error) => Err(format!("its self-test failed: {error}")),
        }
    }

    /// One call in a store of its own.
    fn enter<T>(
        &self,
        sandboxes: &Sandboxes,
        step: &'static str,
        job: Option<CallContext>,
        call: impl FnOnce(&mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> (Result<T, Ended>, Vec<(Level, String)>) {
        let limits = &sandboxes.limits;
        let mut store = sandbox::store(&sandboxes.engine, limits, step, job, sandboxes.ticks);
        let answer = self
            .pre
            .instantiate(&mut store)
            .and_then(|instance| call(&mut store, &instance));
        let answer = answer.map_err(|error| match error.is::<PoolConcurrencyLimitError>() {
            true => Ended::NoRoom(error.to_string()),
            false => Ended::Trap(fault::describe(&error, store.data().broke(), limits)),
        });
        (answer, store.into_data().into_logs())
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("{0}")]
    Trap(String),
    #[error("this host has no room for another call: {0}")]
    NoRoom(String),
}

impl Guest {
    pub(crate) fn new(linked: Linked, manifest: Manifest, pin: PluginPin) -> Self {
        Self {
            manifest,
            pin,
            stats: Stats::default(),
            linked,
        }
    }

    /// `plugin `idea` 1.2.0`
    pub(crate) fn title(&self) -> String {
        format!("plugin `{}` {}", self.manifest.name, self.manifest.version)
    }

    /// Words of the steps that it has.
    pub(crate) fn steps(&self) -> Vec<String> {
        let Linked {
            prompt,
            validate,
            deploy,
            self_test,
            ..
        } = &self.linked;
        let all = [
            ("prompt", prompt.is_some()),
            ("validate", validate.is_some()),
            ("deploy", deploy.is_some()),
            ("self-test", self_test.is_some()),
        ];
        let has = all.into_iter().filter(|(_, has)| *has);
        has.map(|(step, _)| step.to_owned()).collect()
    }

    pub(crate) fn prompt(
        &self,
        sandboxes: &Sandboxes,
        job: CallContext,
    ) -> Answered<Vec<PlannedTask>> {
        let Some(step) = &self.linked.prompt else {
            return (Ok(None), Vec::new());
        };
        let (answer, logs) =
            self.linked
                .enter(sandboxes, "prompt", Some(job), |store, instance| {
                    step.load(&mut *store, instance)?.call_prompt(store)
                });
        let checked = self.check(sandboxes, "prompt", answer, answer::tasks);
        (checked, logs)
    }

    pub(crate) fn validate(&self, sandboxes: &Sandboxes, job: CallContext) -> Answered<Verdict> {
        let Some(step) = &self.linked.validate else {
            return (Ok(None), Vec::new());
        };
        let (answer, logs) =
            self.linked
                .enter(sandboxes, "validate", Some(job), |store, instance| {
                    step.load(&mut *store, instance)?.call_validate(store)
                });
        let checked = self.check(sandboxes, "validate", answer, answer::verdict);
        (checked, logs)
    }

    pub(crate) fn deploy(
        &self,
        sandboxes: &Sandboxes,
        job: CallContext,
    ) -> Answered<Vec<SitePlan>> {
        let Some(step) = &self.linked.deploy else {
            return (Ok(None), Vec::new());
        };
        let (answer, logs) =
            self.linked
                .enter(sandboxes, "deploy", Some(job), |store, instance| {
                    step.load(&mut *store, instance)?.call_deploy(store)
                });
        let checked = self.check(sandboxes, "deploy", answer, answer::sites);
        (checked, logs)
    }

    fn check<A, T>(
        &self,
        sandboxes: &Sandboxes,
        step: &str,
        answer: Result<Result<A, types::Error>, Ended>,
        check: impl FnOnce(A, &pipeline::Limits) -> Result<T, String>,
    ) -> Result<Option<T>, StepError> {
        let limits = &sandboxes.limits.answers;
        let who = self.title();
        let cut = |text: String| answer::cut(text, limits.message_bytes);
        let fault = |text: String| Err(StepError::Fault(cut(text)));
        match answer {
            Ok(Ok(answer)) => match check(answer, limits) {
                Ok(checked) => Ok(Some(checked)),
                Err(why) => fault(format!("{who} gave a broken answer in {step}: {why}")),
            },
            Ok(Err(types::Error::InvalidJob(why))) => Err(StepError::InvalidJob(cut(why))),
            Ok(Err(types::Error::Unavailable(why))) => Err(StepError::Unavailable(cut(why))),
            Ok(Err(types::Error::Internal(why))) => fault(format!("{who} failed in {step}: {why}")),
            Err(Ended::Trap(why)) => fault(format!("{who} trapped in {step}: {why}")),
            Err(Ended::NoRoom(why)) => Err(StepError::Unavailable(cut(why))),
        }
    }
}
