//! What can be asked for of tokens, by a running host or in the store itself.

use super::Server;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token, and print it: this once
    #[command(
        after_help = "Examples:\n  gantry token create --name me --scope read submit admin\n  \
        gantry token create --name acme-ci --scope read submit --group acme\n  \
        gantry token create --name me --scope read submit admin --store --config gantry.toml"
    )]
    Create(TokenCreate),
    /// Which there are, the revoked ones too
    #[command(after_help = "Examples:\n  gantry token list\n  gantry token list --store --json")]
    List(TokenList),
    /// End a token, and what is signed in with it
    #[command(after_help = "Examples:\n  gantry token revoke 0123456789ab\n  \
        gantry token revoke 0123456789ab --store")]
    Revoke(TokenRevoke),
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreate {
    /// What to call it
    #[arg(long)]
    pub(crate) name: String,
    /// What it is for: read, submit, admin; one or more
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        required = true,
        num_args = 1..,
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(pipeline::Scope::ALL.map(pipeline::Scope::word)),
    )]
    pub(crate) scopes: Vec<String>,
    /// Only for jobs of these groups; without it for all jobs
    #[arg(long = "group", value_name = "GROUP", num_args = 1..)]
    pub(crate) groups: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct TokenList {
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct TokenRevoke {
    /// The token's id, as `gantry token list` shows it
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// A running host, or the store that the hosts share.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// In the store itself, by a host's own settings; no host is asked, and no token
    #[arg(long)]
    pub(crate) store: bool,
    /// With --store: settings in TOML; `gantry.toml` is read where it is there
    #[arg(long, value_name = "FILE", requires = "store")]
    pub(crate) config: Option<PathBuf>,
    /// With --store: one setting by name
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "store")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) server: Server,
}
