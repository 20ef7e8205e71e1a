//! What each command does. Commands of a running host are clients of its API.

mod budgets;
mod check;
mod check_image;
mod files;
mod gates;
mod jobs;
mod many;
mod plugins;
mod reap;
mod tokens;

use crate::cli::{Cli, Command, Pipeline};
use crate::settings::{Layers, Settings};
use crate::{serve, show};
use anyhow::{Context, Result};
use std::io::{self, ErrorKind, IsTerminal};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Done, or failed: what a command can end with. Wrong use is clap's status 2.
pub(crate) const FAILED: u8 = 1;
/// As a shell tells of a program that wrote to a pipe which nobody reads.
const UNREAD: u8 = 141;

/// Runs a command; its exit status.
pub(crate) fn main(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.into()),
    };
    let ended = runtime.block_on(run(cli));
    // A blocked thread, such as a plugin's call, must not hold the exit back.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        // Who reads no more, such as `head`, has what it wanted.
        Err(error) if is_unread(&error) => ExitCode::from(UNREAD),
        Err(error) => complain(&error),
    }
}

/// Whether it is what printing gave; what a connection gave has its context around it.
fn is_unread(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of a command that failed"
)]
fn complain(error: &anyhow::Error) -> ExitCode {
    // A host's reason may quote what somebody sent.
    eprintln!("gantry: {}", show::plain(&format!("{error:#}")));
    ExitCode::from(FAILED)
}

async fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => {
            let settings = settings(&args.settings)?;
            start_logs(settings.json_logs)?;
            serve::serve(&args, settings).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(args) => check::check(&args).await,
        Command::Reap(args) => reap::reap(&args).await,
        Command::Submit(args) => jobs::submit(&args).await,
        Command::Jobs(args) => jobs::jobs(&args).await,
        Command::Job(args) => jobs::job(&args).await,
        Command::Watch(args) => jobs::watch(&args).await,
        Command::Cancel(args) => many::cancel(&args).await,
        Command::Retry(args) => many::retry(&args).await,
        Command::Diff(args) => files::diff(&args).await,
        Command::Export(args) => files::export(&args).await,
        Command::Pause(args) => gates::pause(&args, "pause").await,
        Command::Resume(args) => gates::pause(&args, "resume").await,
        Command::Gates(server) => gates::list(&server).await,
        Command::Group(args) => gates::group(&args).await,
        Command::Budget(args) => budgets::set(&args).await,
        Command::Budgets(server) => budgets::list(&server).await,
        Command::Continue(args) => budgets::go_on(&args).await,
        Command::Logs(args) => jobs::logs(&args).await,
        Command::Token(token) => tokens::run(token).await,
        Command::Plugin(plugin) => plugins::run(plugin).await,
        Command::Pipeline(Pipeline::Check { file }) => {
            let text =
                std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let spec =
                pipeline::PipelineSpec::parse(&text).with_context(|| file.display().to_string())?;
            show::line(&format!(
                "{}: {} phases, fine",
                spec.name,
                spec.phases.len()
            ))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

pub(crate) fn settings(args: &crate::cli::Settings) -> Result<Settings> {
    let layers = Layers::read(&args.set, std::env::vars(), args.config.as_deref())?;
    Settings::from_layers(&layers)
}

fn start_logs(json: bool) -> Result<()> {
    let filter = EnvFilter::try_from_env("GANTRY_LOG")
        .or_else(|_| EnvFilter::try_new("info"))
        .context("GANTRY_LOG")?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        logs.json().init();
    } else {
        logs.with_ansi(std::io::stderr().is_terminal()).init();
    }
    Ok(())
}
