//! `cargo xtask chaos`: builds what it needs, and lets the program `chaos` of `tests` do the
//! harm. Its report and its exit status are that program's.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::clone;
use crate::parts::postgres::Disk;
use crate::plugins::build_with;
use crate::process::{start, wait};
use crate::term::say;
use crate::test::Parts;

const LIMIT: Duration = Duration::from_secs(6 * 3600);

/// Of `cargo xtask chaos`.
#[derive(Args)]
pub(crate) struct Options {
    /// Hosts to be killed
    #[arg(long, default_value_t = 100)]
    kills: usize,
    /// Of the schedule; without it a new one, which is said
    #[arg(long)]
    seed: Option<u64>,
    /// Agents in containers of the Docker Engine, not as processes
    #[arg(long)]
    docker: bool,
}

/// `cargo xtask chaos`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let parts = Parts::get(Disk::Careless)?;
    build_with(
        "everything",
        clone::cargo().args(["build", "--workspace", "--bins"]),
    )?;
    say(parts.table());
    let mut command = Command::new(clone::target()?.join("debug").join("chaos"));
    command.args(["--kills", &options.kills.to_string()]);
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if options.docker {
        command.arg("--docker");
    }
    parts.tell(&mut command);
    let status = wait(start(&mut command)?, LIMIT)?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
