//! The steps of `gantry:phase@0.10`. The options of a task and of a verdict are typed in it; whether
//! they are allowed is not looked at here.

use crate::said::{Options, VerdictOptions};
use pipeline::{Permissions, TaskOptions};

super::line::steps!(v0_10, "0.10.0");

fn task(task: wit_prompt::Task) -> said::Task {
    said::Task {
        name: task.name,
        prompt: task.prompt,
        stage: task.stage.into_iter().map(staged).collect(),
        expects: task.expects,
        options: task.options.map(task_options),
    }
}

fn task_options(said: wit_prompt::TaskOptions) -> Options<TaskOptions> {
    let permissions = |said| match said {
        wit_prompt::Permissions::Edit => Permissions::Edit,
        wit_prompt::Permissions::Full => Permissions::Full,
    };
    Options::Typed(TaskOptions {
        model: said.model,
        timeout: said.timeout,
        max_turns: said.max_turns,
        permissions: said.permissions.map(permissions),
    })
}

fn verdict(said: wit_validate::Verdict) -> said::Verdict {
    said::Verdict {
        decision: decision(said.decision),
        message: said.message,
        options: Some(Options::Typed(VerdictOptions {
            score: said.score,
            fresh_session: Some(said.fresh_session),
            back_to: said.back_to,
        })),
    }
}
