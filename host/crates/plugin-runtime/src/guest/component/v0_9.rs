//! The steps of `gantry:phase@0.9`: found by looking at the component, called by typed bindings,
//! and what they answer in the one shape that the rest knows.

use super::{Exports, Inside};
use crate::bindings::v0_9::{base, deploy, prompt, self_test, validate};
use crate::said::{self, Answer, Refusal};
use crate::sandbox::State;
use crate::step::{Step, Steps};
use base::exports::gantry::phase::describe as wit_describe;
use base::gantry::phase::types;
use deploy::exports::gantry::phase::deploy as wit_deploy;
use prompt::exports::gantry::phase::prompt as wit_prompt;
use self_test::exports::gantry::phase::self_test as wit_self_test;
use validate::exports::gantry::phase::validate as wit_validate;
use wasmtime::component::InstancePre;

/// Where a component has the steps of this version.
pub(super) struct Steps0_9 {
    describe: wit_describe::GuestIndices,
    prompt: Option<wit_prompt::GuestIndices>,
    validate: Option<wit_validate::GuestIndices>,
    deploy: Option<wit_deploy::GuestIndices>,
    self_test: Option<wit_self_test::GuestIndices>,
}

impl Steps0_9 {
    pub(super) fn new(pre: &InstancePre<State>) -> wasmtime::Result<Self> {
        let exported = |interface: &str| {
            let name = format!("gantry:phase/{interface}@{}", crate::fit::INTERFACE);
            pre.component().get_export_index(None, &name).is_some()
        };
        macro_rules! step {
            ($interface:literal, $module:ident) => {
                match exported($interface) {
                    true => Some($module::GuestIndices::new(pre)?),
                    false => None,
                }
            };
        }
        Ok(Self {
            describe: wit_describe::GuestIndices::new(pre)?,
            prompt: step!("prompt", wit_prompt),
            validate: step!("validate", wit_validate),
            deploy: step!("deploy", wit_deploy),
            self_test: step!("self-test", wit_self_test),
        })
    }
}

impl Exports for Steps0_9 {
    fn interface(&self) -> &'static str {
        crate::fit::INTERFACE
    }

    fn steps(&self) -> Steps {
        Steps {
            prompt: self.prompt.is_some(),
            validate: self.validate.is_some(),
            deploy: self.deploy.is_some(),
            self_test: self.self_test.is_some(),
        }
    }

    fn describe(&self, inside: &mut Inside<'_>) -> wasmtime::Result<said::Manifest> {
        let Inside { store, instance } = inside;
        if let Some(step) = &self.prompt {
            step.load(&mut **store, instance)?;
        }
        if let Some(step) = &self.validate {
            step.load(&mut **store, instance)?;
        }
        if let Some(step) = &self.deploy {
            step.load(&mut **store, instance)?;
        }
        if let Some(step) = &self.self_test {
            step.load(&mut **store, instance)?;
        }
        let describe = self.describe.load(&mut **store, instance)?;
        Ok(manifest(describe.call_describe(&mut **store)?))
    }

    fn self_test(&self, inside: &mut Inside<'_>) -> wasmtime::Result<Result<(), String>> {
        let Inside { store, instance } = inside;
        match &self.self_test {
            Some(step) => step
                .load(&mut **store, instance)?
                .call_self_test(&mut **store),
            None => Ok(Ok(())),
        }
    }

    fn call(
        &self,
        inside: &mut Inside<'_>,
        step: Step,
    ) -> wasmtime::Result<Result<Answer, Refusal>> {
        let Inside { store, instance } = inside;
        macro_rules! ask {
            ($field:ident, $call:ident, $convert:expr) => {
                match &self.$field {
                    Some(step) => {
                        let said = step.load(&mut **store, instance)?.$call(&mut **store)?;
                        return Ok(said.map($convert).map_err(refusal));
                    }
                    None => {}
                }
            };
        }
        match step {
            Step::Prompt => ask!(prompt, call_prompt, |tasks| Answer::Tasks(
                tasks.into_iter().map(task).collect()
            )),
            Step::Validate => ask!(validate, call_validate, |said| Answer::Verdict(verdict(
                said
            ))),
            Step::Deploy => ask!(deploy, call_deploy, |said| Answer::Plan(plan(said))),
        }
        Err(wasmtime::Error::msg("it has no such step"))
    }
}

fn manifest(said: wit_describe::Manifest) -> said::Manifest {
    said::Manifest {
        name: said.name,
        version: said.version,
        summary: said.summary,
        settings_schema: said.settings_schema,
        requests: said.requests,
        _extra: said.extra,
    }
}

fn refusal(error: types::Error) -> Refusal {
    match error {
        types::Error::InvalidJob(why) => Refusal::InvalidJob(why),
        types::Error::Unavailable(why) => Refusal::Unavailable(why),
        types::Error::Internal(why) => Refusal::Internal(why),
    }
}

fn task(task: wit_prompt::Task) -> said::Task {
    let staged = |file: wit_prompt::StagedFile| said::StagedFile {
        path: file.path,
        content: file.content,
        executable: file.executable,
    };
    said::Task {
        name: task.name,
        prompt: task.prompt,
        stage: task.stage.into_iter().map(staged).collect(),
        expects: task.expects,
        options: task.options,
    }
}

fn verdict(said: wit_validate::Verdict) -> said::Verdict {
    said::Verdict {
        decision: match said.decision {
            wit_validate::Decision::Accept => said::Decision::Accept,
            wit_validate::Decision::Revise => said::Decision::Revise,
            wit_validate::Decision::Reject => said::Decision::Reject,
        },
        message: said.message,
        options: said.options,
    }
}

fn plan(said: wit_deploy::Plan) -> said::Plan {
    let site = |site: wit_deploy::Site| said::Site {
        slug: site.slug,
        title: site.title,
        summary: site.summary,
        root: site.root,
        entry: site.entry,
        metadata: site.metadata,
        options: site.options,
    };
    said::Plan {
        sites: said.sites.into_iter().map(site).collect(),
        options: said.options,
    }
}
