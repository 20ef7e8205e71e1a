//! The steps of `gantry:phase@0.9`. The options of a task and of a verdict are JSON in it; it
//! doesn't read them.

use crate::said::Options;

super::line::steps!(v0_9, "0.9.1");

fn task(task: wit_prompt::Task) -> said::Task {
    said::Task {
        name: task.name,
        prompt: task.prompt,
        stage: task.stage.into_iter().map(staged).collect(),
        expects: task.expects,
        options: task.options.map(Options::Json),
    }
}

fn verdict(said: wit_validate::Verdict) -> said::Verdict {
    said::Verdict {
        decision: decision(said.decision),
        message: said.message,
        options: said.options.map(Options::Json),
    }
}
