//! What keeps jobs back: pauses, limits of groups, budgets.

use super::Server;
use clap::Args;

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
