//! Calling a plugin's steps: on a blocking thread, with its turn before and a wall clock around
//! the whole. A call whose time is over is left to end by itself; its answer is never used.

use crate::engine::Sandboxes;
use crate::guest::{Answered, Guest};
use crate::record::{Answer, Given, Recorder, Recording};
use crate::{CallContext, Called, Files, Step};
use pipeline::{Digest, PlannedTask, PluginPin, SitePlan, StepError, Verdict};
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
    guest: Arc<Guest>,
    sandboxes: Arc<Sandboxes>,
    /// Whether its calls are for jobs; those of a trial count for nothing.
    counts: bool,
}

/// What a plugin is, whether it serves or not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct About {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of its bytes.
    pub digest: Digest,
    /// One line for people.
    pub summary: String,
    /// `component` or `extism`.
    pub kind: String,
    /// The version of the interface that it was built for.
    pub interface: String,
    /// The steps it exports.
    pub steps: Vec<String>,
}

impl Served {
    pub(crate) fn new(guest: Arc<Guest>, sandboxes: Arc<Sandboxes>) -> Self {
        Self {
            guest,
            sandboxes,
            counts: true,
        }
    }

    /// For trials: what is called may never serve.
    pub(crate) fn on_trial(guest: Arc<Guest>, sandboxes: Arc<Sandboxes>) -> Self {
        Self {
            counts: false,
            ..Self::new(guest, sandboxes)
        }
    }

    /// Exactly which plugin this is.
    pub fn pin(&self) -> PluginPin {
        self.guest.pin.clone()
    }

    /// What it is.
    pub fn about(&self) -> About {
        let guest = &self.guest;
        About {
            name: guest.pin.name.clone(),
            version: guest.pin.version.clone(),
            digest: guest.pin.digest.clone(),
            summary: guest.manifest.summary.clone(),
            kind: guest.kind().to_owned(),
            interface: guest.interface().to_owned(),
            steps: guest.steps().words(),
        }
    }

    /// Whether it is asked at all: whether it exports `prompt` or `validate`.
    pub fn answers_phases(&self) -> bool {
        let steps = self.guest.steps();
        steps.has(Step::Prompt) || steps.has(Step::Validate)
    }

    /// Asks for the tasks; `Ok(None)`: the plugin has no `prompt`.
    pub async fn prompt(&self, context: CallContext) -> Called<Option<Vec<PlannedTask>>> {
        self.call(Step::Prompt, context, Guest::prompt, Answer::Tasks)
            .await
    }

    /// Asks for the verdict; `Ok(None)`: the plugin has no `validate`.
    pub async fn validate(&self, context: CallContext) -> Called<Option<Verdict>> {
        self.call(Step::Validate, context, Guest::validate, Answer::Verdict)
            .await
    }

    /// Asks what to publish; `Ok(None)`: the plugin has no `deploy`.
    pub async fn deploy(&self, context: CallContext) -> Called<Option<Vec<SitePlan>>> {
        self.call(Step::Deploy, context, Guest::deploy, Answer::Sites)
            .await
    }

    async fn call<T: Clone + Send + 'static>(
        &self,
        step: Step,
        context: CallContext,
        call: Call<T>,
        as_answer: fn(T) -> Answer,
    ) -> Called<Option<T>> {
        let call_time = self.sandboxes.limits.for_call(&context.limits).call_time;
        // Held by the thread, so that a call that hangs keeps its slot until it ends. The
        // semaphore is never closed.
        let slot = Arc::clone(&self.sandboxes.slots).acquire_owned().await.ok();
        let (starts, started) = oneshot::channel();
        let (guest, sandboxes) = (Arc::clone(&self.guest), Arc::clone(&self.sandboxes));
        let running = spawn_blocking(move || {
            let _slot = slot;
            let mut starts = Some(starts);
            let mut ready = || {
                if let Some(starts) = starts.take() {
                    // Nobody waits any more where the caller was dropped.
                    let _ = starts.send(Instant::now());
                }
            };
            match context.record {
                true => recorded(
                    &guest, &sandboxes, step, context, &mut ready, call, as_answer,
                ),
                false => once(&guest, &sandboxes, context, &mut ready, call),
            }
        });
        // Its time begins when it does, not while it waits for a thread or a child.
        let begin = started.await.unwrap_or_else(|_| Instant::now());
        let most = begin + call_time + GRACE;
        let ended = tokio::time::timeout_at(most.into(), running).await;
        let who = self.guest.title();
        let step = step.word();
        let called = match ended {
            Ok(Ok(called)) => called,
            Ok(Err(error)) => {
                tracing::error!(plugin = who, step, %error, "the host panicked in a plugin's call");
                without(format!("the host failed while {who} was in {step}"), begin)
            }
            Err(_) => {
                let what = format!("took longer than {call_time:?}, in a function of the host");
                without(format!("{who} was given up in {step}: {what}"), begin)
            }
        };
        if self.counts {
            self.count(step, &called);
        }
        called
    }

    fn count<T>(&self, step: &'static str, called: &Called<Option<T>>) {
        let guest = &self.guest;
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

/// How a guest is called.
type Call<T> = fn(&Guest, &Sandboxes, CallContext, &mut dyn FnMut()) -> Answered<T>;

/// One call on this thread; its time begins once the guest is `ready`.
fn once<T>(
    guest: &Guest,
    sandboxes: &Sandboxes,
    context: CallContext,
    ready: &mut dyn FnMut(),
    call: Call<T>,
) -> Called<Option<T>> {
    let mut begin = Instant::now();
    let mut begins = || {
        begin = Instant::now();
        ready();
    };
    let Answered {
        result,
        logs,
        memory_bytes,
    } = call(guest, sandboxes, context, &mut begins);
    Called {
        result,
        logs,
        took: begin.elapsed(),
        memory_bytes,
        recording: None,
    }
}

/// The same, with all that it depended on.
fn recorded<T: Clone>(
    guest: &Guest,
    sandboxes: &Sandboxes,
    step: Step,
    mut context: CallContext,
    ready: &mut dyn FnMut(),
    call: Call<T>,
    as_answer: fn(T) -> Answer,
) -> Called<Option<T>> {
    let given = Given::of(&context);
    let recorder = Arc::new(Recorder::new(Arc::clone(&context.files)));
    context.files = Arc::clone(&recorder) as Arc<dyn Files>;
    let called = once(guest, sandboxes, context, ready, call);
    let (looks, cut) = recorder.take();
    let recording = Recording {
        step,
        given,
        looks,
        cut,
        answer: Answer::of(called.result.clone(), as_answer),
        took_us: u64::try_from(called.took.as_micros()).unwrap_or(u64::MAX),
        memory_bytes: called.memory_bytes as u64,
    };
    Called {
        recording: Some(Box::new(recording)),
        ..called
    }
}

fn without<T>(fault: String, begin: Instant) -> Called<T> {
    Called {
        result: Err(StepError::Fault(fault)),
        logs: Vec::new(),
        took: begin.elapsed(),
        memory_bytes: 0,
        recording: None,
    }
}
