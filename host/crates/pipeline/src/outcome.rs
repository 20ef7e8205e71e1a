//! What plugins and agents answer, in the host's own types. Bytes stop here: what a guest's
//! interface calls it is known to `plugin-runtime` alone.

use crate::{BudgetKind, Digest, Failure, Permissions, PhaseSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use thiserror::Error;

/// One run of the agent, as `prompt` planned it. Kept by digest for the whole attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    /// Unique in the phase.
    pub name: String,
    /// What the agent reads.
    pub prompt: String,
    /// Files laid into the workspace before it starts.
    pub stage: Vec<StagedFile>,
    /// Files that it must have written.
    pub expects: Vec<String>,
    /// What it narrows.
    pub options: TaskOptions,
}

/// A file that a plugin lays into the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Relative to the workspace.
    pub path: String,
    /// Its bytes.
    #[serde(with = "hex_bytes")]
    pub content: Vec<u8>,
    /// Whether it may be executed.
    pub executable: bool,
}

/// What a task may narrow of its phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskOptions {
    /// Must be the phase's own, until a pipeline can name several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Seconds; at most the phase's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Turns of the model at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// At most the phase's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
}

impl TaskOptions {
    /// Whether it only narrows what the phase allows; the reason where it doesn't.
    pub fn check(&self, phase: &PhaseSpec) -> Result<(), String> {
        if let Some(model) = self.model.as_ref().filter(|model| **model != phase.model) {
            return Err(format!(
                "model `{model}` isn't the phase's, `{}`",
                phase.model
            ));
        }
        if let Some(seconds) = self.timeout
            && (seconds == 0 || Duration::from_secs(seconds) > phase.timeout)
        {
            let most = phase.timeout.as_secs();
            return Err(format!(
                "timeout {seconds} s isn't 1 to {most} s, the phase's"
            ));
        }
        if self
            .permissions
            .is_some_and(|asked| asked > phase.permissions)
        {
            return Err("permissions `full` are more than the phase allows, `edit`".to_owned());
        }
        Ok(())
    }
}

/// Tokens that were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Millionths of a dollar.
    pub cost_micro_usd: u64,
    /// Read anew.
    pub input_tokens: u64,
    /// Read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Written.
    pub output_tokens: u64,
}

/// What one run of an agent left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The task's name.
    pub task: String,
    /// None where it was killed or never started.
    pub exit_code: Option<i32>,
    /// None where it ended well.
    pub failure: Option<Failure>,
    /// The agent's last message, cut; kept beside the job under its digest.
    pub answer: Option<Digest>,
    /// Of the files that the task expected, those that aren't there.
    pub missing: Vec<String>,
    /// From start to end.
    pub duration_ms: u64,
    /// What it used.
    pub usage: Usage,
    /// Where the provider turned it away: for how long it asked to be left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Where it ended since no more could be spent: the budget that is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<BudgetKind>,
}

/// What `validate` decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Go on.
    Accept,
    /// Run the phase again.
    Revise,
    /// Fail the job.
    Reject,
}

/// What `validate` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What to do.
    pub decision: Decision,
    /// For the agent and for people.
    pub message: String,
    /// Of 10, where the plugin gives one.
    pub score: Option<f64>,
    /// Whether the agent of the next attempt forgets what was said in this one.
    #[serde(default, skip_serializing_if = "crate::spec::is_default")]
    pub fresh_session: bool,
}

/// Why a step of a plugin gave no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepError {
    /// The job asks for something impossible.
    #[error("{0}")]
    InvalidJob(String),
    /// Worth trying again later; also a plugin that isn't loaded.
    #[error("{0}")]
    Unavailable(String),
    /// No plugin of the name may answer until a person mends that: the job waits, however long.
    #[error("{0}")]
    Held(String),
    /// A fault of the plugin: an internal error, a trap, a limit, nonsense.
    #[error("{0}")]
    Fault(String),
}

/// A file of the workspace, as a plugin sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// A site that a plugin wants published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SitePlan {
    /// The address that it would like.
    pub slug: String,
    /// For people.
    pub title: String,
    /// For people.
    pub summary: String,
    /// The workspace folder to publish; empty for all of it.
    pub root: String,
    /// The page to open, below `root`.
    pub entry: String,
    /// For the gallery.
    pub metadata: Map<String, Value>,
    /// Whether an unknown path answers with the entry.
    pub single_page: bool,
}

/// A site whose files are in place and whose slug is reserved: publishing it is a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Publication {
    /// The address that it has.
    pub slug: String,
    /// What the plugin asked for.
    pub plan: SitePlan,
    /// The folder of its files, below `DEPLOY_DIR`.
    pub folder: String,
}

/// Bytes as hex, so that a kept task is JSON.
mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(from)?).map_err(de::Error::custom)
    }
}
