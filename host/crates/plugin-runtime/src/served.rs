//! Calling a plugin's steps: on a blocking thread, with its turn before and a wall clock around
//! the whole. A call whose time is over is left to end by itself; its answer is never used.

use crate::engine::Sandboxes;
use crate::guest::{Answered, Guest};
use crate::plugins::Generation;
use crate::{CallContext, Called};
use pipeline::{PlannedTask, PluginPin, SitePlan, StepError, Verdict};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// How long after a call's time the sandbox itself may take to end it. Only a host call that
/// hangs takes longer.
const GRACE: Duration = Duration::from_millis(250);

/// One generation of a plugin: what [`crate::Plugins::resolve`] gives. Who holds it goes on with
/// it, whatever happens in the folder.
#[derive(Clone)]
pub struct Served {
    generation: Arc<Generation>,
    sandboxes: Arc<Sandboxes>,
}

impl Served {
    pub(crate) fn new(generation: Arc<Generation>, sandboxes: Arc<Sandboxes>) -> Self {
        Self {
            generation,
            sandboxes,
        }
    }

    /// Exactly which plugin this is.
    pub fn pin(&self) -> PluginPin {
        self.generation.guest.pin.clone()
    }

    /// Asks for the tasks; `Ok(None)`: the plugin has no `prompt`.
    pub async fn prompt(&self, context: CallContext) -> Called<Option<Vec<PlannedTask>>> {
        self.call("prompt", context, Guest::prompt).await
    }

    /// Asks for the verdict; `Ok(None)`: the plugin has no `validate`.
    pub async fn validate(&self, context: CallContext) -> Called<Option<Verdict>> {
        self.call("validate", context, Guest::validate).await
    }

    /// Asks what to publish; `Ok(None)`: the plugin has no `deploy`.
    pub async fn deploy(&self, context: CallContext) -> Called<Option<Vec<SitePlan>>> {
        self.call("deploy", context, Guest::deploy).await
    }

    async fn call<T: Send + 'static>(
        &self,
        step: &'static str,
        context: CallContext,
        call: fn(&Guest, &Sandboxes, CallContext, &mut dyn FnMut()) -> Answered<T>,
    ) -> Called<Option<T>> {
        // Held by the thread, so that a call that hangs keeps its slot until it ends. The
        // semaphore is never closed.
        let slot = Arc::clone(&self.sandboxes.slots).acquire_owned().await.ok();
        let (starts, started) = oneshot::channel();
        let (guest, sandboxes) = (
            Arc::clone(&self.generation.guest),
            Arc::clone(&self.sandboxes),
        );
        let running = spawn_blocking(move || {
            let _slot = slot;
            let mut begin = Instant::now();
            let mut starts = Some(starts);
            let mut ready = || {
                begin = Instant::now();
                if let Some(starts) = starts.take() {
                    // Nobody waits any more where the caller was dropped.
                    let _ = starts.send(begin);
                }
            };
            let Answered {
                result,
                logs,
                memory_bytes,
            } = call(&guest, &sandboxes, context, &mut ready);
            drop(starts);
            Called {
                result,
                logs,
                took: begin.elapsed(),
                memory_bytes,
            }
        });
        // Its time begins when it does, not while it waits for a thread or a child.
        let begin = started.await.unwrap_or_else(|_| Instant::now());
        let most = self.sandboxes.limits.call_time + GRACE;
        let ended = tokio::time::timeout_at((begin + most).into(), running).await;
        let who = self.generation.guest.title();
        let called = match ended {
            Ok(Ok(called)) => called,
            Ok(Err(error)) => {
                tracing::error!(plugin = who, step, %error, "the host panicked in a plugin's call");
                without(format!("the host failed while {who} was in {step}"), begin)
            }
            Err(_) => {
                let most = self.sandboxes.limits.call_time;
                let what = format!("took longer than {most:?}, in a function of the host");
                without(format!("{who} was given up in {step}: {what}"), begin)
            }
        };
        self.count(step, &called);
        called
    }

    fn count<T>(&self, step: &'static str, called: &Called<Option<T>>) {
        let guest = &self.generation.guest;
        let fault = match &called.result {
            Ok(None) => return,
            Err(StepError::Fault(message)) => Some(message.as_str()),
            _ => None,
        };
        tracing::debug!(
            plugin.name = guest.pin.name,
            plugin.version = guest.pin.version,
            step,
            took_us = called.took.as_micros(),
            fault,
            "plugin called"
        );
        guest.stats.count(called.took, fault);
    }
}

fn without<T>(fault: String, begin: Instant) -> Called<T> {
    Called {
        result: Err(StepError::Fault(fault)),
        logs: Vec::new(),
        took: begin.elapsed(),
        memory_bytes: 0,
    }
}
