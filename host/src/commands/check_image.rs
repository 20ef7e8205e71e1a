//! `gantry check --image`: whether an image meets the worker's contract, row by row. It asks no
//! provider, needs no store, and leaves nothing behind.

use super::check::Findings;
use crate::cli::Check;
use crate::image_check::{INSTALLATION, Trial};
use crate::parts;
use anyhow::{Result, bail};
use runner::{Docker, Runner, RunnerError};
use std::process::ExitCode;

pub(super) async fn check_image(args: &Check, image: &str) -> Result<ExitCode> {
    let settings = super::settings(&args.settings)?;
    let config = parts::docker_config(&settings, image, INSTALLATION);
    let mut findings = Findings::default();
    let runner = Docker::new(config);
    match runner.check().await {
        Err(RunnerError::MissingImage { image, .. }) => {
            let mend = "build it, or pull it: nothing is fetched here";
            findings.wrong("image", format!("the engine has no `{image}`: {mend}"));
            return findings.answer(args.json);
        }
        checked => {
            let engine = checked?.engine;
            findings.fine("image", format!("{image}, on {engine}"));
        }
    }
    let limits = parts::run_limits(&settings);
    let trial = Trial::new(runner, limits, &settings.run_dir.here)?;
    let rows = tokio::select! {
        rows = trial.rows() => rows,
        stopped = tokio::signal::ctrl_c() => Err(match stopped {
            Ok(()) => anyhow::anyhow!("stopped"),
            Err(error) => error.into(),
        }),
    };
    trial.clear().await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => match error.downcast_ref() {
            Some(RunnerError::BadCommand { reason, .. } | RunnerError::BadSpec { reason, .. }) => {
                findings.wrong("entrypoint", format!("it can't be started: {reason}"));
                return findings.answer(args.json);
            }
            _ => bail!("the check couldn't be done: {error:#}"),
        },
    };
    for (what, said) in rows {
        match said {
            Ok(said) => findings.fine(what, said),
            Err(why) => findings.wrong(what, why),
        }
    }
    findings.answer(args.json)
}
