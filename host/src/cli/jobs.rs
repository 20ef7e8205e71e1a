//! What can be asked for of jobs.

use super::Server;
use clap::Args;
use std::path::PathBuf;

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
