//! What developers run: the demo, the tests on real parts, the images and the benchmarks.
//! It holds no logic of Gantry's: it gets the parts, starts programs, and reads what they print.

mod clone;
mod process;
mod term;

mod parts;
mod plugins;

mod bench;
mod chaos;
mod demo;
mod image;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What developers of Gantry run.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start a host with nothing but what this clone holds, and make one site
    Demo(demo::Options),
    /// Run the tests on real parts: PostgreSQL, Docker Engine, Claude Code, Chromium
    Test(test::Options),
    /// Run the benchmarks, and write target/bench/NAME.json
    Bench(bench::Options),
    /// Kill hosts while jobs go through them, and say what became of each job
    Chaos(chaos::Options),
    /// Build an image
    Image(image::Options),
    /// Build the built-in plugins and the tests' guests into components
    Plugins,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = process::watch_signals().and_then(|()| match arguments.command {
        Task::Demo(options) => demo::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::Image(options) => image::run(&options),
        Task::Plugins => plugins::run(),
    });
    match outcome {
        Ok(code) => code,
        Err(error) if process::interrupted() => {
            term::complain(format_args!("stopped: {error:#}"));
            ExitCode::from(130)
        }
        Err(error) => {
            if let Some(missing) = error.downcast_ref::<parts::Missing>()
                && !missing.detail.is_empty()
            {
                term::complain(&missing.detail);
            }
            term::complain(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
