//! What follows from an input, as far as there is nothing to be done in between: one step, and on
//! through phases whose plugin has nothing to say. It asks nobody and writes nothing.

use crate::steps::keep;
use crate::{Driver, now};
use pipeline::{Command, Failure, FailureKind, Input, Job, Step, Timestamp};
use store::{Change, Claimed, OnCancel};

/// What becomes of a job that this host is given: committed with the claim itself.
pub(crate) fn begun(driver: &Driver, claimed: &Claimed) -> Change {
    let mut job = claimed.job.clone();
    own(driver, &mut job);
    let now = now();
    let rescued = claimed.rescued;
    Change {
        step: follow(driver, &job, Input::Claimed { rescued }, now),
        now,
        blobs: Vec::new(),
        on_cancel: OnCancel::Refuse,
    }
}

/// From now on its workspace and its agent are here.
pub(crate) fn own(driver: &Driver, job: &mut Job) {
    job.root = Some(driver.parts.root.id().clone());
    job.engine = driver.parts.runner.engine();
}

/// What follows from `input`, and from that, until there is a command to be done. What lies in
/// between is one commit.
pub(crate) fn follow(driver: &Driver, job: &Job, input: Input, now: Timestamp) -> Step {
    let mut step = one(driver, job, input, now);
    while let Some(command) = &step.command
        && let Some(input) = nobody_asked(driver, &step.next, command)
    {
        let next = one(driver, &step.next, input, now);
        step.events.extend(next.events);
        step.publish.extend(next.publish);
        (step.next, step.command) = (next.next, next.command);
    }
    step
}

fn one(driver: &Driver, job: &Job, input: Input, now: Timestamp) -> Step {
    let limits = &driver.config.limits;
    let first = match pipeline::step(job, input, limits, now) {
        Ok(step) => return step,
        Err(illegal) => illegal,
    };
    tracing::error!(job.id = %job.id, error = %first, "the state machine refused an input");
    let message = "a fault in Gantry: the log of its host has more".to_owned();
    let input = Input::Broken(Failure::new(FailureKind::Internal, message));
    pipeline::step(job, input, limits, now).unwrap_or_else(|_| Step {
        next: job.clone(),
        command: None,
        events: Vec::new(),
        publish: Vec::new(),
    })
}

/// What comes of a command that asks a plugin which exports neither step of a phase.
fn nobody_asked(driver: &Driver, job: &Job, command: &Command) -> Option<Input> {
    let (spec, phase) = job.phase()?;
    let asks = match command {
        // A phase that keeps its workspace has that to do.
        Command::Prompt { .. } => !spec.reset,
        Command::Validate => true,
        Command::RunAgent(_) | Command::Deploy => false,
    };
    if !asks {
        return None;
    }
    let plugins = &driver.parts.plugins;
    let served = plugins.at_hand(&spec.plugin, phase.plugin.as_ref())?;
    if served.answers_phases() {
        return None;
    }
    let plugin = served.pin();
    Some(match command {
        Command::Prompt { .. } => *keep(plugin, &[]).input,
        _ => Input::Validated {
            plugin,
            verdict: None,
        },
    })
}
