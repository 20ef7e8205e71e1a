//! `chaos`: kills hosts while jobs go through them, and says what became of each job. Ends with 0
//! only where nothing was lost, doubled or left over. `cargo xtask chaos` builds what it needs.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its report is its output"
)]

use std::process::ExitCode;

use tests::chaos::{Plan, run};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "chaos [--kills N] [--seed N] [--docker]";

#[tokio::main]
async fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    eprintln!("seed {}", plan.seed);
    let report = tokio::select! {
        report = run(plan) => report,
        // What was started is taken away.
        () = told_to_end() => return ExitCode::FAILURE,
    };
    let Some(report) = report else {
        eprintln!("PostgreSQL's programs, or the engine and the agent's image, aren't there");
        return ExitCode::FAILURE;
    };
    println!("{report}");
    if report.is_clean() {
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

async fn told_to_end() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
    let [interrupt, terminate] = kinds.map(signal);
    // Where signals can't be heard, they end this program by themselves.
    if let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    } else {
        std::future::pending::<()>().await;
    }
}

fn plan(mut args: impl Iterator<Item = String>) -> Result<Plan, String> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut plan = Plan {
        kills: 100,
        seed: since.map_or(1, |since| since.as_secs()),
        docker: false,
    };
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().unwrap_or_default();
            value
                .parse()
                .map_err(|error| format!("{arg} {value}: {error}"))
        };
        match arg.as_str() {
            "--kills" => plan.kills = usize::try_from(number()?).unwrap_or(usize::MAX),
            "--seed" => plan.seed = number()?,
            "--docker" => plan.docker = true,
            _ => return Err(format!("{arg}: no such option")),
        }
    }
    Ok(plan)
}
