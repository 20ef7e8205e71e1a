//! What the conformance suite starts in place of the host's binary: the shim, or a host that
//! starts one run and is killed. It is no part of what is installed.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test's other half: the test reads its output, and a panic is its report"
)]

use runner::{Docker, DockerConfig, Process, ProcessConfig, RunSpec, Runner, shim_main};
use serde::Deserialize;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// As `tests/conformance/stage.rs` writes it.
#[derive(Deserialize)]
struct Plan {
    installation: String,
    /// Of an engine; without it the run is a process.
    image: Option<String>,
    host: Option<String>,
    command: Vec<String>,
    state: PathBuf,
    spec: RunSpec,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let mode = args.next().unwrap();
    if mode == "shim" {
        return shim_main(args);
    }
    let plan = std::fs::read(args.next().unwrap()).unwrap();
    host(serde_json::from_slice(&plan).unwrap());
    ExitCode::SUCCESS
}

/// Starts the run, says so, and holds it until it is killed.
fn host(plan: Plan) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let runner: Box<dyn Runner> = match plan.image {
            Some(image) => Box::new(Docker::new(DockerConfig {
                host: plan.host,
                command: Some(plan.command),
                ..DockerConfig::new(image, plan.installation)
            })),
            None => Box::new(Process::new(ProcessConfig {
                shim: vec![
                    std::env::current_exe().unwrap().into(),
                    OsString::from("shim"),
                ],
                command: plan.command.into_iter().map(OsString::from).collect(),
                installation: plan.installation,
                state: plan.state,
                boundaries: pipeline::Boundaries::default(),
            })),
        };
        let mut run = runner.start(&plan.spec).await.unwrap();
        println!("started");
        let ended = run.wait().await.unwrap();
        println!("{ended:?}");
        std::future::pending::<()>().await;
    });
}
