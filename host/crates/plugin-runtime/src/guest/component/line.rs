//! What the lines of the interface have alike: how a step is found and called, and the answers that
//! none of them changed. A line's own module brings its `task` and its `verdict`; nothing here
//! decides which line a component speaks.

use crate::bindings::v0_9::base::gantry::phase::types;
use crate::said::Refusal;

/// `Steps` of a line: where a component has its steps, and how they are asked.
macro_rules! steps {
    ($line:ident, $version:literal) => {
        use crate::bindings::$line::{base, deploy, prompt, self_test, validate};
        use crate::guest::component::{Exports, Inside, line};
        use crate::said::{self, Answer, Refusal};
        use crate::sandbox::State;
        use crate::step::Step;
        use base::exports::gantry::phase::describe as wit_describe;
        use deploy::exports::gantry::phase::deploy as wit_deploy;
        use prompt::exports::gantry::phase::prompt as wit_prompt;
        use self_test::exports::gantry::phase::self_test as wit_self_test;
        use validate::exports::gantry::phase::validate as wit_validate;
        use wasmtime::component::InstancePre;

        /// Where a component has the steps of this line.
        pub(super) struct Steps {
            describe: wit_describe::GuestIndices,
            prompt: Option<wit_prompt::GuestIndices>,
            validate: Option<wit_validate::GuestIndices>,
            deploy: Option<wit_deploy::GuestIndices>,
            self_test: Option<wit_self_test::GuestIndices>,
        }

        impl Steps {
            pub(super) fn new(pre: &InstancePre<State>) -> wasmtime::Result<Self> {
                // Names of one line find one another, whatever their last number is.
                let exported = |interface: &str| {
                    let name = format!("gantry:phase/{interface}@{}", $version);
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

        impl Exports for Steps {
            fn steps(&self) -> crate::step::Steps {
                crate::step::Steps {
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
                        if let Some(step) = &self.$field {
                            let said = step.load(&mut **store, instance)?.$call(&mut **store)?;
                            return Ok(said.map($convert).map_err(line::refusal));
                        }
                    };
                }
                match step {
                    Step::Prompt => ask!(prompt, call_prompt, |tasks| Answer::Tasks(
                        tasks.into_iter().map(task).collect()
                    )),
                    Step::Validate => ask!(validate, call_validate, |said| Answer::Verdict(
                        verdict(said)
                    )),
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

        fn staged(file: wit_prompt::StagedFile) -> said::StagedFile {
            said::StagedFile {
                path: file.path,
                content: file.content,
                executable: file.executable,
            }
        }

        fn decision(said: wit_validate::Decision) -> said::Decision {
            match said {
                wit_validate::Decision::Accept => said::Decision::Accept,
                wit_validate::Decision::Revise => said::Decision::Revise,
                wit_validate::Decision::Reject => said::Decision::Reject,
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
    };
}
pub(super) use steps;

pub(super) fn refusal(error: types::Error) -> Refusal {
    match error {
        types::Error::InvalidJob(why) => Refusal::InvalidJob(why),
        types::Error::Unavailable(why) => Refusal::Unavailable(why),
        types::Error::Internal(why) => Refusal::Internal(why),
    }
}
