//! What is known of a plugin outside its runtime. Nothing here runs one.

use crate::{Digest, Timestamp};
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
