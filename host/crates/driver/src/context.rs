//! What a plugin sees of a job: made anew for each call, from the job and its workspace.
//! It hands out nothing of the host's own.

use pipeline::{Digest, Job, Outcome, Timestamp};
use plugin_runtime::{CallContext, Files, ReadError};
use serde_json::{Map, Value};
use std::sync::Arc;
use workspace::{Folder, RelativePath, TreeLimits, WorkspaceError};

/// The context of the next call of `step` for this job, which began `now` unless it began before.
pub(crate) fn context(
    job: &Job,
    step: &str,
    outcomes: Vec<(Outcome, String)>,
    files: Arc<dyn Files>,
    now: Timestamp,
    record: bool,
) -> CallContext {
    let (phase, settings, attempt, feedback) = match job.phase() {
        Some((spec, phase)) => {
            let attempt = phase.attempts.last();
            let number = attempt.map_or(1, |attempt| attempt.number);
            let feedback = attempt.and_then(|attempt| attempt.feedback.clone());
            (spec.id.clone(), spec.settings.clone(), number, feedback)
        }
        None => {
            let settings = job
                .spec
                .deploy
                .as_ref()
                .map(|deploy| deploy.settings.clone());
            (
                "deploy".to_owned(),
                settings.unwrap_or_default(),
                1,
                job.feedback.clone(),
            )
        }
    };
    CallContext {
        job: job.id,
        name: job.name.clone(),
        pipeline: job.spec.name.clone(),
        group: job.group.clone(),
        limits: (*job.spec.limits).clone(),
        seed: seed(job, &phase, attempt, step),
        phase,
        attempt,
        revision: job.revision,
        params: object(&job.params),
        settings: object(&settings),
        feedback,
        now_ms: u64::try_from(began(job, now).as_millis()).unwrap_or(0),
        outcomes,
        files,
        record: record && job.spec.record,
    }
}

/// When the call began: the same for the same call, also after a crash.
fn began(job: &Job, now: Timestamp) -> Timestamp {
    job.at.and_then(|at| at.since).unwrap_or(now)
}

/// As [`began`], for random bits.
fn seed(job: &Job, phase: &str, attempt: u32, step: &str) -> u64 {
    let revision = job.revision;
    let digest = Digest::of(format!("{} {revision} {phase} {attempt} {step}", job.id).as_bytes());
    u64::from_str_radix(digest.0.get(..16).unwrap_or_default(), 16).unwrap_or(0)
}

fn object(map: &Map<String, Value>) -> String {
    Value::Object(map.clone()).to_string()
}

/// A workspace's files for a plugin; none where the job has no workspace yet.
pub(crate) struct WorkspaceFiles {
    pub(crate) folder: Option<Folder>,
    pub(crate) limits: TreeLimits,
}

impl WorkspaceFiles {
    fn folder(&self) -> Result<&Folder, ReadError> {
        self.folder.as_ref().ok_or(ReadError::NotFound)
    }
}

impl Files for WorkspaceFiles {
    fn list(
        &self,
        dir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<pipeline::FileEntry>, ReadError> {
        let dir = RelativePath::new(dir).map_err(read_error)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let page = self
            .folder()?
            .page(&dir, after, limit, &self.limits)
            .map_err(read_error)?;
        Ok(page.items)
    }

    fn stat(&self, path: &str) -> Result<pipeline::FileEntry, ReadError> {
        let path = RelativePath::new(path).map_err(read_error)?;
        self.folder()?.stat(&path).map_err(read_error)
    }

    fn read(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, ReadError> {
        let path = RelativePath::new(path).map_err(read_error)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.folder()?
            .read(&path, offset, length)
            .map_err(read_error)
    }
}

fn read_error(error: WorkspaceError) -> ReadError {
    match error {
        WorkspaceError::NotFound(_) => ReadError::NotFound,
        WorkspaceError::NotAFile(_) | WorkspaceError::NotAFolder(_) => ReadError::NotAFile,
        WorkspaceError::InvalidPath { .. } => ReadError::InvalidPath(error.to_string()),
        WorkspaceError::TooLarge { limit, .. } => ReadError::TooLarge(limit),
        WorkspaceError::Partial(_) => ReadError::Denied(error.to_string()),
        WorkspaceError::Io { source, .. } => ReadError::Denied(source.kind().to_string()),
    }
}
