//! The program `demo-agent`: hands the environment to the library and ends with
//! its status. It takes no arguments.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Only names and values that are text can belong to the contract.
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    ExitCode::from(demo_agent::run(&vars))
}
