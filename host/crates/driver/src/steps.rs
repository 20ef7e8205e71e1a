//! The two questions of a phase: which tasks, and is it good? Each is one call of a plugin;
//! what the answer means is the state machine's matter.

use crate::context::{WorkspaceFiles, context};
use crate::hold::{Done, Holder};
use crate::now;
use pipeline::{
    Boundary, Digest, FailureKind, Input, Job, Outcome, PhaseSpec, PlannedTask, PluginPin,
    PluginReq, StepError,
};
use plugin_runtime::{CallContext, Served};
use std::io::ErrorKind;
use std::sync::Arc;
use workspace::WorkspaceError;

impl Holder<'_> {
    pub(crate) async fn prompt(&self, job: &Job, reset: bool) -> Done {
        let Some((spec, phase)) = job.phase() else {
            return contradiction();
        };
        if let Err(done) = self.set_up(job, spec, reset).await {
            return done;
        }
        self.driver.at(Boundary::WorkspaceReady);
        let served = match self.resolve(&spec.plugin, phase.plugin.as_ref()).await {
            Ok(served) => served,
            Err(done) => return done,
        };
        let called = served
            .prompt(self.context(job, "prompt", Vec::new()).await)
            .await;
        self.log(job, called.logs).await;
        self.record(job, &served, called.recording);
        match called
            .result
            .and_then(|tasks| narrowed(tasks.unwrap_or_default(), spec))
        {
            Err(error) => self.failed(job, &served, "prompt", error).await,
            Ok(tasks) => keep(served.pin(), &tasks),
        }
    }

    pub(crate) async fn validate(&self, job: &Job) -> Done {
        let (Some((spec, phase)), Some(attempt)) = (job.phase(), job.attempt()) else {
            return contradiction();
        };
        let served = match self.resolve(&spec.plugin, phase.plugin.as_ref()).await {
            Ok(served) => served,
            Err(done) => return done,
        };
        let left = attempt.tasks.iter().filter_map(|task| task.outcome.clone());
        let outcomes = match self.answers(left.collect()).await {
            Ok(outcomes) => outcomes,
            Err(done) => return done,
        };
        let called = served
            .validate(self.context(job, "validate", outcomes).await)
            .await;
        self.log(job, called.logs).await;
        self.record(job, &served, called.recording);
        match called.result {
            Err(error) => self.failed(job, &served, "validate", error).await,
            Ok(verdict) => Done::of(Input::Validated {
                plugin: served.pin(),
                verdict,
            }),
        }
    }

    pub(crate) async fn resolve(
        &self,
        wanted: &PluginReq,
        pin: Option<&PluginPin>,
    ) -> Result<Served, Done> {
        let served = self.driver.parts.plugins.resolve(wanted, pin).await;
        served.map_err(|error| {
            Done::of(Input::StepFailed {
                plugin: None,
                error,
            })
        })
    }

    pub(crate) async fn context(
        &self,
        job: &Job,
        step: &str,
        outcomes: Vec<(Outcome, String)>,
    ) -> CallContext {
        let workspace = self.workspace();
        let folder = blocking(move || workspace.files()).await.ok();
        let limits = self.driver.config.trees.clone();
        context(
            job,
            step,
            outcomes,
            Arc::new(WorkspaceFiles { folder, limits }),
            now(),
            self.driver.config.record,
        )
    }

    /// Each outcome with the agent's last message.
    async fn answers(&self, outcomes: Vec<Outcome>) -> Result<Vec<(Outcome, String)>, Done> {
        let mut all = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            let answer = match &outcome.answer {
                None => Vec::new(),
                Some(digest) => self.blob(digest).await?,
            };
            all.push((outcome, String::from_utf8_lossy(&answer).into_owned()));
        }
        Ok(all)
    }

    /// Bytes that were kept with the job.
    pub(crate) async fn blob(&self, digest: &Digest) -> Result<Vec<u8>, Done> {
        match self.driver.parts.store.blob(digest).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Done::broken(
                FailureKind::Internal,
                format!("what was kept as {} is gone from the store", digest.short()),
            )),
            Err(error) => {
                tracing::warn!(job.id = %self.hold.job, %error, "kept bytes couldn't be read");
                Err(Done::broken(FailureKind::Interrupted, "the store was away"))
            }
        }
    }
}

/// What `prompt` answered, kept by digest: it is asked once an attempt, also through a crash.
pub(crate) fn keep(plugin: PluginPin, tasks: &[PlannedTask]) -> Done {
    let bytes = match serde_json::to_vec(tasks) {
        Ok(bytes) => bytes,
        Err(error) => return Done::broken(FailureKind::Internal, error.to_string()),
    };
    let kept = Digest::of(&bytes);
    let names_none = tasks.is_empty();
    let tasks = PlannedTask::names(tasks);
    let input = Box::new(Input::Prompted {
        plugin,
        tasks,
        kept: kept.clone(),
    });
    Done {
        input,
        // Nobody will ask for what no task needs.
        blobs: if names_none {
            Vec::new()
        } else {
            vec![(kept, bytes)]
        },
        ended: None,
    }
}

/// The tasks, where none of them asks for more than its phase allows.
fn narrowed(tasks: Vec<PlannedTask>, spec: &PhaseSpec) -> Result<Vec<PlannedTask>, StepError> {
    for task in &tasks {
        task.options.check(spec).map_err(|why| {
            StepError::Fault(format!("prompt: options of task `{}`: {why}", task.name))
        })?;
    }
    Ok(tasks)
}

/// The job's parts contradict each other.
pub(crate) fn contradiction() -> Done {
    Done::broken(
        FailureKind::Internal,
        "the job's state has no phase for its command",
    )
}

/// What a fault of the file system means for the job.
pub(crate) fn broken(error: &WorkspaceError) -> Done {
    let kind = match error {
        WorkspaceError::Io { source, .. } if is_full(source) => FailureKind::Engine,
        WorkspaceError::TooLarge { .. } | WorkspaceError::Partial(_) => FailureKind::OutOfDisk,
        _ => FailureKind::Internal,
    };
    Done::broken(kind, format!("workspace: {error}"))
}

/// A disk that is full is so for everybody, and passes.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

/// File work, off the threads that answer events.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WorkspaceError> + Send + 'static,
) -> Result<T, WorkspaceError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|join| {
            let source = std::io::Error::other(join.to_string());
            Err(WorkspaceError::Io {
                path: "workspace".to_owned(),
                source,
            })
        })
}
