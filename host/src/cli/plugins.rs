//! What can be asked for of plugins and of pipeline files.

use super::Server;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// What serves, what doesn't and why
    #[command(after_help = "Example:\n  gantry plugin list --json")]
    List(Server),
    /// Look at a file as the host would, without a host: what it is, or why it would be refused
    #[command(after_help = "Example:\n  gantry plugin check target/plugins/idea.wasm")]
    Check(PluginFile),
    /// Try a file on the recorded calls of a running host: what would change
    #[command(after_help = "Example:\n  gantry plugin test target/plugins/idea.wasm")]
    Test(PluginTest),
    /// Take back what serves under a name: what it held before answers
    #[command(after_help = "Example:\n  gantry plugin rollback idea")]
    Rollback(PluginName),
    /// Let what was rolled back or quarantined under a name answer again
    #[command(after_help = "Example:\n  gantry plugin release idea")]
    Release(PluginName),
}

#[derive(Debug, Args)]
pub(crate) struct PluginFile {
    /// NAME.wasm or NAME@VERSION.wasm
    pub(crate) file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PluginTest {
    /// NAME.wasm or NAME@VERSION.wasm
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct PluginName {
    /// The plugin's name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pipeline {
    /// Check a pipeline file without a host
    #[command(after_help = "Example:\n  gantry pipeline check game.toml")]
    Check {
        /// The file
        file: PathBuf,
    },
}
