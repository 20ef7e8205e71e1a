//! What a guest answers, as it said it: the same shapes for every version of the interface and
//! for Extism's JSON. Nothing here is checked; `answer` does that.

use pipeline::TaskOptions;
use serde::Deserialize;

/// A plugin's own description.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) summary: String,
    #[serde(default)]
    pub(crate) settings_schema: Option<String>,
    #[serde(default, deserialize_with = "crate::wire::few")]
    pub(crate) requests: Vec<String>,
    /// JSON, for what comes later.
    #[serde(default, rename = "extra")]
    pub(crate) _extra: Option<String>,
}

/// Why a step could not do its work.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Refusal {
    InvalidJob(String),
    Unavailable(String),
    Internal(String),
}

/// An answer of a step.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Tasks(Vec<Task>),
    Verdict(Verdict),
    Plan(Plan),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) prompt: String,
    #[serde(default, deserialize_with = "crate::wire::few")]
    pub(crate) stage: Vec<StagedFile>,
    #[serde(default, deserialize_with = "crate::wire::few")]
    pub(crate) expects: Vec<String>,
    #[serde(default)]
    pub(crate) options: Option<Options<TaskOptions>>,
}

/// Options as JSON in a text, or as a later line of the interface types them.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub(crate) enum Options<T> {
    Json(String),
    Typed(T),
}

impl<T> From<String> for Options<T> {
    fn from(json: String) -> Self {
        Self::Json(json)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StagedFile {
    pub(crate) path: String,
    /// Base64 in JSON.
    #[serde(deserialize_with = "crate::wire::base64_bytes")]
    pub(crate) content: Vec<u8>,
    #[serde(default)]
    pub(crate) executable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Decision {
    Accept,
    Revise,
    Reject,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verdict {
    pub(crate) decision: Decision,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) options: Option<Options<VerdictOptions>>,
}

/// What a verdict says beside its decision.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerdictOptions {
    pub(crate) score: Option<f64>,
    pub(crate) fresh_session: Option<bool>,
    pub(crate) back_to: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    #[serde(default, deserialize_with = "crate::wire::few")]
    pub(crate) sites: Vec<Site>,
    #[serde(default)]
    pub(crate) options: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    pub(crate) slug: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) summary: String,
    #[serde(default)]
    pub(crate) root: String,
    pub(crate) entry: String,
    #[serde(default)]
    pub(crate) metadata: Option<String>,
    #[serde(default)]
    pub(crate) options: Option<String>,
}
