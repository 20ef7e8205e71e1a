//! The command line. It says what can be asked for, not what is done about it.

mod jobs;
mod limits;
mod plugins;
mod tokens;

pub(crate) use jobs::{Cancel, Diff, Export, Jobs, Logs, One, Retry, Submit, Which};
pub(crate) use limits::{Budget, Group, Pause};
pub(crate) use plugins::{Pipeline, Plugin, PluginFile, PluginName, PluginTest};
pub(crate) use tokens::{Place, Token, TokenCreate, TokenRevoke};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The hidden command that owns an agent's process.
pub(crate) const SHIM: &str = "__shim";
/// The hidden command that compiles a plugin within limits.
pub(crate) const COMPILE: &str = "__compile";
/// The hidden command that Extism plug-ins run in, locked.
pub(crate) const EXTISM: &str = "__extism";
/// The hidden command that is the demo agent.
pub(crate) const DEMO_AGENT: &str = "__demo-agent";

/// Runs coding agents as pipelines.
#[derive(Debug, Parser)]
#[command(name = "gantry", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the host: queue, API, gallery and agents
    #[command(
        after_help = "Examples:\n  gantry serve\n  gantry serve --config gantry.toml\n  \
        PORT=3010 API_TOKEN=… DATABASE_URL=postgres://… gantry serve --set RUNNER=docker"
    )]
    Serve(Serve),
    /// Submit a job
    #[command(
        after_help = "Examples:\n  gantry submit \"a game about lighthouse keepers\"\n  \
        gantry submit \"a game about bees\" --param genre=idle --watch"
    )]
    Submit(Submit),
    /// List jobs, newest first
    #[command(after_help = "Examples:\n  gantry jobs\n  gantry jobs --status failed --json")]
    Jobs(Jobs),
    /// Show one job
    #[command(after_help = "Example:\n  gantry job 0198c0de-0000-7000-8000-000000000001")]
    Job(One),
    /// Follow a job until it ends; the exit status says how
    #[command(after_help = "Example:\n  gantry watch 0198c0de-0000-7000-8000-000000000001")]
    Watch(One),
    /// End a job and stop its agent
    #[command(
        after_help = "Examples:\n  gantry cancel 0198c0de-0000-7000-8000-000000000001\n  \
        gantry cancel --group team --before 2030-01-31T08:00:00Z --dry-run"
    )]
    Cancel(Cancel),
    /// Let failed or cancelled jobs go on from where they failed
    #[command(
        after_help = "Examples:\n  gantry retry 0198c0de-0000-7000-8000-000000000001 \
        --feedback \"keep it on one page\"\n  \
        gantry retry --pipeline game --error-kind provider --dry-run"
    )]
    Retry(Retry),
    /// Print a job's log
    #[command(after_help = "Example:\n  gantry logs 0198c0de-0000-7000-8000-000000000001 --follow")]
    Logs(Logs),
    /// Show what an attempt changed in a job's files
    #[command(
        after_help = "Examples:\n  gantry diff 0198c0de-0000-7000-8000-000000000001\n  \
        gantry diff 0198c0de-0000-7000-8000-000000000001 --phase build --attempt 2"
    )]
    Diff(Diff),
    /// Save a job's files as a tar archive
    #[command(
        after_help = "Examples:\n  gantry export 0198c0de-0000-7000-8000-000000000001\n  \
        gantry export 0198c0de-0000-7000-8000-000000000001 --output - | tar tv"
    )]
    Export(Export),
    /// Let no more jobs start, of a pipeline or of all; what runs goes on
    #[command(after_help = "Examples:\n  gantry pause --pipeline game\n  gantry pause --all")]
    Pause(Pause),
    /// End a pause
    #[command(after_help = "Examples:\n  gantry resume --pipeline game\n  gantry resume --all")]
    Resume(Pause),
    /// Limits and pauses, and how many jobs they keep back
    #[command(after_help = "Example:\n  gantry gates")]
    Gates(Server),
    /// Set a group's limits; one that isn't given is taken away
    #[command(after_help = "Examples:\n  gantry group acme --concurrency 2\n  \
        gantry group acme --rate 100/3600\n  gantry group '*' --concurrency 5 --budget 20")]
    Group(Group),
    /// Give a job or one of its phases another budget; one that waits for money goes on
    #[command(
        after_help = "Examples:\n  gantry budget 0198c0de-0000-7000-8000-000000000001 12.50\n  \
        gantry budget 0198c0de-0000-7000-8000-000000000001 5 --phase build"
    )]
    Budget(Budget),
    /// What today has cost, of what it may
    #[command(after_help = "Example:\n  gantry budgets")]
    Budgets(Server),
    /// Let a job that waits go on now, whatever it waits for
    #[command(after_help = "Example:\n  gantry continue 0198c0de-0000-7000-8000-000000000001")]
    Continue(One),
    /// Tokens: who may call the hosts, and for what
    #[command(subcommand)]
    Token(Token),
    /// Plugins of a running host
    #[command(subcommand)]
    Plugin(Plugin),
    /// Pipeline files
    #[command(subcommand)]
    Pipeline(Pipeline),
    /// Look at settings, store, plugins and runner: what is wrong, and how to mend it
    #[command(
        after_help = "Examples:\n  gantry check\n  gantry check --config gantry.toml --json\n  \
        gantry check --image my-agent"
    )]
    Check(Check),
    /// Say what the hosts would clear away now, and why
    #[command(after_help = "Examples:\n  gantry reap --dry-run\n  \
        gantry reap --dry-run --set RETAIN_JOBS=30d --json")]
    Reap(Reap),
}

#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Settings in TOML, keys in lowercase; `gantry.toml` is read where it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting by name; it wins over environment and file
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// What this process does
    #[arg(long, value_enum, default_value = "all")]
    pub(crate) role: Role,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Everything
    All,
    /// The API, the page and the sites
    Api,
    /// The jobs
    Driver,
}

impl Role {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Driver => "driver",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Try this image as an agent instead, on the engine: whether it meets the worker's contract
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Reap {
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Remove nothing: the only way, so far
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Server {
    /// The running host
    #[arg(long, env = "GANTRY_SERVER", default_value = "http://127.0.0.1:3000")]
    pub(crate) server: String,
    /// Its token
    #[arg(long, env = "GANTRY_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
