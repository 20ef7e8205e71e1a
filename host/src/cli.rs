//! The command line. It says what can be asked for, not what is done about it.

use clap::builder::PossibleValuesParser;
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

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// What to make
    pub(crate) name: String,
    /// The pipeline that makes it
    #[arg(long)]
    pub(crate) pipeline: Option<String>,
    /// For the plugins; a value that is JSON is taken as such
    #[arg(long = "param", value_name = "K=V")]
    pub(crate) params: Vec<String>,
    /// Higher goes first
    #[arg(long)]
    pub(crate) priority: Option<i32>,
    /// Whose it is
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// What if the group has another job that hasn't ended: keep, replace or refuse
    #[arg(long, requires = "group")]
    pub(crate) unique: Option<String>,
    /// Not before this time, such as 2030-01-31T08:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) run_at: Option<String>,
    /// Follow it until it ends
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// queued, waiting, running, succeeded, failed or cancelled
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// At most this many, 1 to 200
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The job's id
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Jobs by their ids, or by a filter.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The jobs' ids; none with a filter
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// In this status
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Of this pipeline
    #[arg(long)]
    pub(crate) pipeline: Option<String>,
    /// Of this group
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// With this in their names
    #[arg(long, value_name = "TEXT")]
    pub(crate) q: Option<String>,
    /// Submitted before this time, as 2030-01-31T08:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) before: Option<String>,
    /// Submitted after this time
    #[arg(long, value_name = "TIME")]
    pub(crate) after: Option<String>,
    /// At most this many jobs of the filter
    #[arg(long)]
    pub(crate) limit: Option<u32>,
    /// Only say which jobs the filter chooses
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Failed for this reason: a word of the list of failures
    #[arg(long, value_name = "KIND")]
    pub(crate) error_kind: Option<String>,
    /// What the next attempt is told
    #[arg(long, value_name = "TEXT")]
    pub(crate) feedback: Option<String>,
    /// In place of the param of this name; a value that is JSON is taken as such
    #[arg(long = "param", value_name = "K=V")]
    pub(crate) params: Vec<String>,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false, args = ["pipeline", "all"])]
pub(crate) struct Pause {
    /// Of this pipeline
    #[arg(long)]
    pub(crate) pipeline: Option<String>,
    /// Of every pipeline
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Group {
    /// The group's name; `*` stands for groups without limits of their own
    pub(crate) name: String,
    /// Jobs at once, over all hosts
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<u32>,
    /// How many jobs may start in how many seconds
    #[arg(long, value_name = "JOBS/SECONDS")]
    pub(crate) rate: Option<String>,
    /// What its jobs may cost a day, in dollars
    #[arg(long, value_name = "USD")]
    pub(crate) budget: Option<String>,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Budget {
    /// The job's id
    pub(crate) id: String,
    /// What it may cost in all, in dollars; without it, what the pipeline says
    pub(crate) usd: Option<String>,
    /// Of this phase only
    #[arg(long, value_name = "ID")]
    pub(crate) phase: Option<String>,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The job's id
    pub(crate) id: String,
    /// Go on until the job ends
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The job's id
    pub(crate) id: String,
    /// Of this phase; without it, of the last one that has begun
    #[arg(long)]
    pub(crate) phase: Option<String>,
    /// The attempt's number; without it, the last one
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    /// Of this revision of the job; without it, of the current one
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<u32>,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The job's id
    pub(crate) id: String,
    /// Where to; `-` is standard output. Without it ID.tar in this folder
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: Server,
}

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
