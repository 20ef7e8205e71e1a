//! Extism plug-ins: core modules that speak JSON, each call in a child process of this binary
//! that is locked and serves one call at a time. Their engine never runs in this process.

mod child;
mod form;
mod pool;
mod shapes;

use super::{Ended, Kind, Ran};
use crate::engine::Sandboxes;
use crate::fault::size;
use crate::said::{self, Answer, Refusal};
use crate::step::{Step, Steps};
use crate::view::View;
use crate::wire::{FromChild, ToChild, Why};
use crate::{CallContext, CallLimits};
use child::{Broken, Child};
use pipeline::Level;
use pool::{Pool, Unready};
use std::sync::Arc;
use std::time::Instant;

pub(crate) use form::steps;
pub(crate) use pool::Nursery;

/// An Extism plug-in that a child has compiled.
pub(crate) struct Extism {
    pool: Arc<Pool>,
    steps: Steps,
}

/// The version of the interface whose shapes its JSON has.
const INTERFACE: &str = "0.9.1";

impl Extism {
    /// Loads a module into a first child; the reason where it can't be.
    pub(crate) fn new(
        nursery: &Arc<Nursery>,
        limits: &CallLimits,
        wasm: &[u8],
        steps: Steps,
    ) -> Result<Self, String> {
        let pool = Pool::new(nursery, wasm.into(), form::functions(steps));
        match pool.take(limits) {
            Ok(lent) => lent.give_back(),
            Err(Unready::Refused(why)) => return Err(why),
            Err(Unready::NoRoom(why)) => return Err(format!("couldn't be loaded: {why}")),
        }
        Ok(Self { pool, steps })
    }

    /// One call of an export, with what its JSON says.
    fn enter<T>(
        &self,
        function: &str,
        mut view: View,
        ready: &mut dyn FnMut(),
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Left<T> {
        let limits = &view.limits().clone();
        let mut lent = match self.pool.take(limits) {
            Ok(lent) => lent,
            Err(Unready::NoRoom(why)) => return Left::nothing(Ended::NoRoom(why)),
            Err(Unready::Refused(why)) => return Left::nothing(Ended::Trap(why)),
        };
        ready();
        let until = Instant::now() + limits.call_time;
        let said = shapes::input(&view)
            .and_then(|input| talk(&mut lent.child, function, &input, &mut view, limits, until));
        let (answer, memory_bytes) = match said {
            Ok(Said::Output(output, memory_bytes)) => {
                lent.give_back();
                let answer = read(&output).map_err(|why| {
                    Refusal::Internal(format!("its answer isn't the JSON that is expected: {why}"))
                });
                (Ok(answer), memory_bytes)
            }
            Ok(Said::Error(text, memory_bytes)) => {
                lent.give_back();
                (Ok(Err(Refusal::Internal(text))), memory_bytes)
            }
            // The child goes with what it may have become.
            Err(over) => {
                let memory_bytes = over.memory_bytes;
                (
                    Err(Ended::Trap(over.words(&mut lent.child, limits))),
                    memory_bytes,
                )
            }
        };
        Left {
            answer,
            logs: view.into_logs(),
            memory_bytes,
        }
    }
}

/// What is left of a call.
struct Left<T> {
    answer: Result<Result<T, Refusal>, Ended>,
    logs: Vec<(Level, String)>,
    memory_bytes: usize,
}

impl<T> Left<T> {
    fn nothing(why: Ended) -> Self {
        Self {
            answer: Err(why),
            logs: Vec::new(),
            memory_bytes: 0,
        }
    }

    fn told(self, step: &str) -> Result<T, String> {
        match self.answer {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(
                Refusal::Internal(why) | Refusal::InvalidJob(why) | Refusal::Unavailable(why),
            )) => Err(format!("{step} failed: {why}")),
            Err(error) => Err(format!("{step} failed: {error}")),
        }
    }
}

impl Kind for Extism {
    fn word(&self) -> &'static str {
        "extism"
    }

    fn interface(&self) -> &str {
        INTERFACE
    }

    fn steps(&self) -> Steps {
        self.steps
    }

    fn describe(&self, sandboxes: &Sandboxes) -> Result<said::Manifest, String> {
        let view = View::new(None, "describe", &sandboxes.limits);
        let left = self.enter("describe", view, &mut || {}, shapes::manifest);
        left.told("`describe`")
    }

    fn self_test(&self, sandboxes: &Sandboxes) -> Result<(), String> {
        if !self.steps.self_test {
            return Ok(());
        }
        let view = View::new(None, "self-test", &sandboxes.limits);
        let left = self.enter("self_test", view, &mut || {}, shapes::self_test);
        let tested = left.told("its self-test")?;
        tested.map_err(|message| format!("its self-test says: {message}"))
    }

    fn call(
        &self,
        sandboxes: &Sandboxes,
        step: Step,
        job: CallContext,
        ready: &mut dyn FnMut(),
    ) -> Ran {
        let view = View::new(Some(job), step.word(), &sandboxes.limits);
        let left: Left<Result<Answer, Refusal>> = self.enter(step.word(), view, ready, |output| {
            shapes::answer(step, output)
        });
        Ran {
            answer: left.answer.map(|said| said.and_then(|said| said)),
            logs: left.logs,
            memory_bytes: left.memory_bytes,
        }
    }
}

/// What a call came to, from a child that may serve again.
enum Said {
    Output(Vec<u8>, usize),
    /// The plug-in's own error, as its kit has them.
    Error(String, usize),
}

/// Why a call is over, and its child with it.
struct Over {
    why: Reason,
    memory_bytes: usize,
}

enum Reason {
    Broken(Broken),
    Memory,
    Text(String),
}

impl From<Broken> for Over {
    fn from(broken: Broken) -> Self {
        Self {
            why: Reason::Broken(broken),
            memory_bytes: 0,
        }
    }
}

impl From<String> for Over {
    fn from(text: String) -> Self {
        Self {
            why: Reason::Text(text),
            memory_bytes: 0,
        }
    }
}

impl Over {
    fn words(self, child: &mut Child, limits: &CallLimits) -> String {
        match self.why {
            Reason::Text(text) => text,
            Reason::Memory => format!("used more than {} of memory", size(limits.memory_bytes)),
            Reason::Broken(Broken::Time) => format!("took longer than {:?}", limits.call_time),
            Reason::Broken(Broken::TooMuch) => format!(
                "handed more than {} to the host in one call",
                size(limits.handed_bytes)
            ),
            Reason::Broken(Broken::Gone) => format!("its process ended: {}", child.ended()),
            Reason::Broken(Broken::Nonsense(what)) => {
                format!("its process said what makes no sense: {what}")
            }
        }
    }
}

/// One call: the child asks and logs until it has an output.
fn talk(
    child: &mut Child,
    function: &str,
    input: &[u8],
    view: &mut View,
    limits: &CallLimits,
    until: Instant,
) -> Result<Said, Over> {
    let call = ToChild::Call {
        function: function.to_owned(),
    };
    child.send(&call, input, until)?;
    let mut left = limits.handed_bytes;
    loop {
        let (head, body) = child.receive(left, until)?;
        left = left.saturating_sub(body.len());
        match head {
            FromChild::Host { function } => {
                let answer = shapes::host(view, &function, &body)?;
                child.send(&ToChild::HostAnswer, &answer, until)?;
            }
            FromChild::Log { level } => {
                // Kits log at their start as well, where there is no job to log for.
                let _ = view.log(level, &String::from_utf8_lossy(&body));
            }
            FromChild::Answered { memory_bytes } => return Ok(Said::Output(body, memory_bytes)),
            FromChild::Failed {
                why,
                text,
                memory_bytes,
            } => {
                let why = match why {
                    Why::Said => return Ok(Said::Error(text, memory_bytes)),
                    Why::Memory => Reason::Memory,
                    Why::TooMuch => Reason::Broken(Broken::TooMuch),
                    Why::Trap => Reason::Text(text),
                };
                return Err(Over { why, memory_bytes });
            }
            head @ (FromChild::Ready { .. }
            | FromChild::Loaded
            | FromChild::Refused { .. }
            | FromChild::Pong) => {
                return Err(Broken::Nonsense(format!("{head:?} in a call")).into());
            }
        }
    }
}
