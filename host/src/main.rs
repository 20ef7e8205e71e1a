//! `gantry`: the host of pipelines, and the client of a running one. This is the only place that
//! names what the parts are made of; what they do is below `crates`.

mod cli;
mod knobs;
mod settings;

mod adapters;
mod assets;
mod data;
mod parts;
mod pipelines;
mod serve;

mod image_check;

mod client;
mod commands;
mod show;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // What is hidden comes first: a shim has to be there within a millisecond or two.
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(|arg| arg.to_str()) {
        Some(cli::SHIM) => return runner::shim_main(args),
        Some(cli::COMPILE) => return plugin_runtime::compile_child(),
        Some(cli::EXTISM) => return extism_child::run(),
        Some(cli::DEMO_AGENT) => {
            return ExitCode::from(demo_agent::run(&std::env::vars().collect()));
        }
        _ => {}
    }
    commands::main(cli::Cli::parse())
}
