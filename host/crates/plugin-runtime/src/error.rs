//! Why the runtime couldn't be opened. What a step answers is `pipeline::StepError`; why a file
//! may not serve is a sentence for its author.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why the plugins couldn't be opened.
#[derive(Debug, Error)]
pub enum PluginError {
    /// A folder that can't be made or read.
    #[error(
        "the plugin folder {path}: {source}; make it readable and writable for this user, or name another one"
    )]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder of compiled plugins isn't the host's own.
    #[error("the folder of compiled plugins {path}: {reason}")]
    Cache {
        /// Which one.
        path: PathBuf,
        /// Why, and the mend.
        reason: String,
    },
    /// This machine can't run plugins under these limits.
    #[error("the engine for plugins doesn't start: {0}")]
    Engine(String),
}
