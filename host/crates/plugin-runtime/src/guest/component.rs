//! Components on wasmtime: linked once, then a store of its own for each call. Which types a
//! version of the interface has is the matter of that version's module.

mod line;
mod v0_10;
mod v0_9;

use super::{Ended, Kind, Ran};
use crate::engine::Sandboxes;
use crate::fit::{self, Line};
use crate::grants::Granted;
use crate::said::{self, Answer, Refusal};
use crate::sandbox::{self, State};
use crate::step::{Step, Steps};
use crate::view::View;
use crate::{CallContext, fault};
use pipeline::Level;
use wasmtime::component::{Component, Instance, InstancePre};
use wasmtime::{PoolConcurrencyLimitError, Store};

/// A component whose imports are there.
pub(crate) struct Linked {
    pre: InstancePre<State>,
    /// The version that it was built for.
    interface: String,
    granted: Granted,
    exports: Box<dyn Exports>,
}

/// The steps of a component, as one line of the interface types them.
trait Exports: Send + Sync {
    fn steps(&self) -> Steps;
    /// Looks at the types of every step, then asks.
    fn describe(&self, inside: &mut Inside<'_>) -> wasmtime::Result<said::Manifest>;
    /// `Ok` where it has none.
    fn self_test(&self, inside: &mut Inside<'_>) -> wasmtime::Result<Result<(), String>>;
    fn call(
        &self,
        inside: &mut Inside<'_>,
        step: Step,
    ) -> wasmtime::Result<Result<Answer, Refusal>>;
}

/// An instance in its store.
struct Inside<'a> {
    store: &'a mut Store<State>,
    instance: &'a Instance,
}

impl Linked {
    /// Links a component; the reason where it doesn't fit the interface.
    pub(crate) fn new(sandboxes: &Sandboxes, component: &Component) -> Result<Self, String> {
        let pre = sandboxes
            .linker
            .instantiate_pre(component)
            .map_err(|error| format!("doesn't link: {error:#}"))?;
        let Some((line, version)) = fit::built_for(&sandboxes.engine, component) else {
            return Err("doesn't export `describe`".to_owned());
        };
        let exports: wasmtime::Result<Box<dyn Exports>> = match line {
            Line::V0_9 => v0_9::Steps::new(&pre).map(|steps| Box::new(steps) as _),
            Line::V0_10 => v0_10::Steps::new(&pre).map(|steps| Box::new(steps) as _),
        };
        Ok(Self {
            pre,
            interface: version.to_string(),
            granted: Granted::default(),
            exports: exports.map_err(|error| format!("exports a broken interface: {error:#}"))?,
        })
    }

    /// One call in a store of its own.
    fn enter<T>(
        &self,
        sandboxes: &Sandboxes,
        view: View,
        call: impl FnOnce(&mut Inside<'_>) -> wasmtime::Result<T>,
    ) -> Left<T> {
        let mut store = sandbox::store(&sandboxes.engine, view);
        let answer = self.pre.instantiate(&mut store).and_then(|instance| {
            call(&mut Inside {
                store: &mut store,
                instance: &instance,
            })
        });
        let answer = answer.map_err(|error| match error.is::<PoolConcurrencyLimitError>() {
            true => Ended::NoRoom(error.to_string()),
            false => {
                let (broke, limits) = (store.data().broke(), store.data().view.limits());
                Ended::Trap(fault::describe(&error, broke, limits))
            }
        });
        let memory_bytes = store.data().memory_bytes();
        Left {
            answer,
            logs: store.into_data().view.into_logs(),
            memory_bytes,
        }
    }
}

/// What is left when a store is gone.
struct Left<T> {
    answer: Result<T, Ended>,
    logs: Vec<(Level, String)>,
    memory_bytes: usize,
}

impl Kind for Linked {
    fn word(&self) -> &'static str {
        "component"
    }

    fn interface(&self) -> &str {
        &self.interface
    }

    fn steps(&self) -> Steps {
        self.exports.steps()
    }

    fn describe(&self, sandboxes: &Sandboxes) -> Result<said::Manifest, String> {
        let view = View::new(None, "describe", &sandboxes.limits);
        let left = self.enter(sandboxes, view, |inside| self.exports.describe(inside));
        left.answer
            .map_err(|error| format!("`describe` failed: {error}"))
    }

    fn grant(&mut self, granted: Granted) -> Result<(), String> {
        self.granted = granted;
        Ok(())
    }

    fn self_test(&self, sandboxes: &Sandboxes) -> Result<(), String> {
        if !self.steps().self_test {
            return Ok(());
        }
        let view = View::new(None, "self-test", &sandboxes.limits).with(self.granted);
        let left = self.enter(sandboxes, view, |inside| self.exports.self_test(inside));
        match left.answer {
            Ok(Ok(())) => Ok(()),
            Ok(Err(message)) => Err(format!("its self-test says: {message}")),
            Err(error) => Err(format!("its self-test failed: {error}")),
        }
    }

    fn call(
        &self,
        sandboxes: &Sandboxes,
        step: Step,
        job: CallContext,
        ready: &mut dyn FnMut(),
    ) -> Ran {
        ready();
        let view = View::new(Some(job), step.word(), &sandboxes.limits).with(self.granted);
        let left = self.enter(sandboxes, view, |inside| self.exports.call(inside, step));
        Ran {
            answer: left.answer,
            logs: left.logs,
            memory_bytes: left.memory_bytes,
        }
    }
}
