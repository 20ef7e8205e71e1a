//! What a call was given and what it answered, so that another version can be tried on it. The
//! workspace is kept as far as the call has looked at it. Where recordings are kept, and for how
//! long, is the archive's matter.

use crate::wire::{base64_bytes, to_base64};
use crate::{CallContext, Files, ReadError, Step};
use pipeline::{
    FileEntry, JobId, Outcome, PlannedTask, PluginLimits, SitePlan, StepError, Verdict,
};
use serde::{Deserialize, Serialize, Serializer};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of files that one recording holds; what a call reads beyond that isn't in it.
const FILE_BYTES: usize = 4 << 20;
/// Answers about files that one recording holds.
const LOOKS: usize = 10_000;

/// A call, with everything that it depended on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Which step was asked for.
    pub step: Step,
    /// What the guest was told of its job.
    pub given: Given,
    /// What it was told of its workspace, in the order in which it asked.
    pub looks: Vec<Look>,
    /// Whether it looked at more than a recording holds.
    pub cut: bool,
    /// What came of it.
    pub answer: Answer,
    /// How long it took, µs.
    pub took_us: u64,
    /// Bytes of all its memories together.
    pub memory_bytes: u64,
}

/// A [`CallContext`] without its workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each is the field of `CallContext` that it is named for"
)]
pub struct Given {
    pub job: JobId,
    pub name: String,
    pub pipeline: String,
    pub group: Option<String>,
    pub phase: String,
    pub attempt: u32,
    pub revision: u32,
    pub params: String,
    pub settings: String,
    pub feedback: Option<String>,
    pub now_ms: u64,
    pub seed: u64,
    pub outcomes: Vec<(Outcome, String)>,
    pub limits: PluginLimits,
}

/// One question about the workspace and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each is the function of `job` that it is named for"
)]
pub enum Look {
    List {
        dir: String,
        after: Option<String>,
        limit: u32,
        found: Result<Vec<FileEntry>, ReadError>,
    },
    Stat {
        path: String,
        found: Result<FileEntry, ReadError>,
    },
    Read {
        path: String,
        offset: u64,
        length: u32,
        found: Result<Bytes, ReadError>,
    },
}

/// Bytes that JSON has as base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes(
    #[serde(serialize_with = "as_base64", deserialize_with = "base64_bytes")] pub Vec<u8>,
);

fn as_base64<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&to_base64(bytes))
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Of `prompt`.
    Tasks(Vec<PlannedTask>),
    /// Of `validate`.
    Verdict(Verdict),
    /// Of `deploy`.
    Sites(Vec<SitePlan>),
    /// The plugin has no such step.
    NoStep,
    /// None: why.
    Failed(StepError),
}

impl Recording {
    /// As an archive keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Every map in it has text for keys, which is all that could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What [`Recording::to_bytes`] wrote; none where a host of another version did, in another
    /// form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

impl Given {
    pub(crate) fn of(context: &CallContext) -> Self {
        Self {
            job: context.job,
            name: context.name.clone(),
            pipeline: context.pipeline.clone(),
            group: context.group.clone(),
            phase: context.phase.clone(),
            attempt: context.attempt,
            revision: context.revision,
            params: context.params.clone(),
            settings: context.settings.clone(),
            feedback: context.feedback.clone(),
            now_ms: context.now_ms,
            seed: context.seed,
            outcomes: context.outcomes.clone(),
            limits: context.limits.clone(),
        }
    }
}

/// A workspace that notes what a call sees of it.
pub(crate) struct Recorder {
    files: Arc<dyn Files>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    looks: Vec<Look>,
    bytes: usize,
    cut: bool,
}

impl Recorder {
    pub(crate) fn new(files: Arc<dyn Files>) -> Self {
        Self {
            files,
            seen: Mutex::default(),
        }
    }

    /// What was seen so far, and whether that isn't all.
    pub(crate) fn take(&self) -> (Vec<Look>, bool) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut seen.looks), seen.cut)
    }

    fn note(&self, bytes: usize, look: impl FnOnce() -> Look) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = seen.bytes.saturating_add(bytes);
        if seen.cut || sum > FILE_BYTES || seen.looks.len() >= LOOKS {
            seen.cut = true;
            return;
        }
        seen.bytes = sum;
        seen.looks.push(look());
    }
}

impl Files for Recorder {
    fn list(
        &self,
        dir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<FileEntry>, ReadError> {
        let found = self.files.list(dir, after, limit);
        let entries = found.as_ref().map_or(0, Vec::len);
        self.note(entries.saturating_mul(64), || Look::List {
            dir: dir.to_owned(),
            after: after.map(str::to_owned),
            limit,
            found: found.clone(),
        });
        found
    }

    fn stat(&self, path: &str) -> Result<FileEntry, ReadError> {
        let found = self.files.stat(path);
        self.note(path.len(), || Look::Stat {
            path: path.to_owned(),
            found: found.clone(),
        });
        found
    }

    fn read(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, ReadError> {
        let found = self.files.read(path, offset, length);
        let bytes = found.as_ref().map_or(0, Vec::len);
        self.note(bytes, || Look::Read {
            path: path.to_owned(),
            offset,
            length,
            found: found.clone().map(Bytes),
        });
        found
    }
}
