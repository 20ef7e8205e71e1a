//! What is known of a plugin outside its runtime. Nothing here runs one.

use crate::{Digest, JobId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// As [`crate::is_slug`]; the file is `NAME.wasm` or `NAME@VERSION.wasm`.
    pub name: String,
    /// A semantic version.
    pub version: semver::Version,
    /// One line for people.
    pub summary: String,
    /// JSON Schema of the settings that a pipeline may give.
    pub settings_schema: Option<String>,
    /// Capabilities that it asks for, by name.
    pub requests: Vec<String>,
}

/// Exactly which plugin answered: kept with the attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginPin {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of its bytes.
    pub digest: Digest,
}

/// Whether a plugin answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// Answers new phases.
    Serving,
    /// Accepted; a higher version serves, or phases that began with it still use it.
    Kept,
    /// Taken back, by hand or for its faults: an older generation answers in its place.
    RolledBack,
    /// Kept faulting, and nothing older can answer: jobs wait until a mended file is dropped.
    Quarantined,
}

/// A loaded plugin's health, as a host publishes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginReport {
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
    #[serde(default)]
    pub interface: String,
    /// The steps it exports: `prompt`, `validate`, `deploy`, `self-test`.
    pub steps: Vec<String>,
    /// Whether it answers.
    pub state: PluginState,
    /// Grows by one with each swap of this name on this host.
    pub generation: u64,
    /// Calls since the host started.
    pub calls: u64,
    /// Of these, traps, broken limits and internal errors.
    pub faults: u64,
    /// Median time of the last calls, µs.
    pub p50_us: Option<u64>,
    /// 99th percentile of the last calls, µs.
    pub p99_us: Option<u64>,
    /// The last fault's message.
    pub last_error: Option<String>,
    /// When it began to serve.
    pub loaded_at: Timestamp,
    /// Why it may not answer any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// A generation that a host has accepted: what a file of the plugin folder held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginGeneration {
    /// The file's name in the folder.
    pub file: String,
    /// Which plugin it held.
    pub pin: PluginPin,
    /// When it was first accepted, by the store's clock.
    pub at: Timestamp,
}

/// A digest that may not answer any more. Kept in the store, so that it holds on every host and
/// through restarts; another digest of the same name is free of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginHold {
    /// Whom it was about.
    pub pin: PluginPin,
    /// Whether something older answers in its place.
    pub kind: HoldKind,
    /// Who, or which faults, and what lifts it: for people.
    pub message: String,
    /// Since when.
    pub at: Timestamp,
}

/// What a hold means for jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldKind {
    /// An older generation answers.
    RolledBack,
    /// Nothing answers in its place: jobs wait.
    Quarantined,
}

impl HoldKind {
    /// The word of the HTTP API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled-back",
            Self::Quarantined => "quarantined",
        }
    }
}

/// A call whose inputs and answer are kept, so that a new version can be tried on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// Who answered.
    pub pin: PluginPin,
    /// `prompt`, `validate` or `deploy`.
    pub step: String,
    /// Whose call it was.
    pub job: JobId,
    /// When it began.
    pub at: Timestamp,
    /// What the plugin runtime wrote; its form is that crate's.
    pub body: Vec<u8>,
}

/// A file in the plugin folder that may not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedFile {
    /// Its name in the folder.
    pub file: String,
    /// Why, in words that its author can act on.
    pub reason: String,
    /// When it was refused.
    pub at: Timestamp,
}
