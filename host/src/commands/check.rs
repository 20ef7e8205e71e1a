//! `gantry check`: settings, store, plugins, runner; what is wrong, and how to mend it.
//! It starts no job and changes no state, but for tables that a new store needs.

use super::FAILED;
use crate::cli::{Check, Role};
use crate::data::Data;
use crate::settings::{NAMES, Settings};
use crate::{parts, pipelines, show};
use anyhow::Result;
use pipeline::Boundaries;
use serde::Serialize;
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;
use store::PipelineEntry;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    said: String,
}

#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn fine(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push(Finding {
            what,
            ok: true,
            said: said.into(),
        });
    }

    pub(super) fn wrong(&mut self, what: &'static str, said: impl Into<String>) {
        self.0.push(Finding {
            what,
            ok: false,
            said: said.into(),
        });
    }

    /// Prints them; the status that they come to.
    pub(super) fn answer(self, json: bool) -> Result<ExitCode> {
        let all_fine = self.0.iter().all(|finding| finding.ok);
        let answer = json!({ "ok": all_fine, "findings": self.0 });
        show::answer(json, &answer, show::findings)?;
        Ok(if all_fine {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    }
}

pub(crate) async fn check(args: &Check) -> Result<ExitCode> {
    if let Some(image) = &args.image {
        return super::check_image::check_image(args, image).await;
    }
    let mut findings = Findings::default();
    match super::settings(&args.settings) {
        Err(error) => {
            findings.wrong("settings", format!("{error:#}"));
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            findings.fine("known settings", known.join(", "));
        }
        Ok(settings) => look(&settings, &mut findings).await,
    }
    findings.answer(args.json)
}

async fn look(settings: &Settings, findings: &mut Findings) {
    findings.fine("settings", format!("data in {}", settings.data.display()));
    let data = match Data::open(&settings.data) {
        Ok(data) => data,
        Err(error) => return findings.wrong("data", format!("{error:#}")),
    };
    for (what, dir) in [
        ("workspaces", &settings.workspaces.here),
        ("sites", &settings.deploy_dir.here),
    ] {
        if dir.exists() && !parts::is_writable(dir) {
            findings.wrong(
                what,
                format!("{} can't be written by this user", dir.display()),
            );
        }
    }
    let shown = parts::without_password(&settings.database_url);
    let stores = match parts::store(settings, Role::All).await {
        Ok(stores) => stores,
        Err(error) => return findings.wrong("store", format!("{shown}: {error:#}")),
    };
    findings.fine("store", format!("{} at {shown}", stores.name));
    match parts::unguarded(settings, &stores).await {
        Ok(None) => {}
        Ok(Some(why)) => findings.wrong("access", why),
        Err(error) => findings.wrong("access", format!("{error:#}")),
    }
    look_at_pipelines(settings, findings);
    let archive = Arc::new(stores.plugin_memory());
    match parts::plugins(settings, &data, archive).await {
        Err(error) => findings.wrong("plugins", format!("{error:#}")),
        Ok(plugins) => {
            let names: Vec<String> = plugins
                .reports()
                .iter()
                .map(|plugin| format!("{} {}", plugin.name, plugin.version))
                .collect();
            match names.is_empty() {
                true => findings.wrong("plugins", "none is loaded: `cargo xtask plugins` builds those that come with Gantry, and BUILTIN_PLUGIN_DIR says where they are"),
                false => findings.fine("plugins", names.join(", ")),
            }
            for refused in plugins.refused() {
                findings.wrong(
                    "plugin refused",
                    format!("{}: {}", refused.file, refused.reason),
                );
            }
        }
    }
    look_at_runner(settings, &stores, findings).await;
}

fn look_at_pipelines(settings: &Settings, findings: &mut Findings) {
    for entry in pipelines::read(&settings.pipeline_dir, &settings.network) {
        match entry {
            PipelineEntry::Ready(spec) => {
                findings.fine(
                    "pipeline",
                    format!("{}: {} phases", spec.name, spec.phases.len()),
                );
                for phase in &spec.phases {
                    let entries = phase.network.entries().iter().map(ToString::to_string);
                    let entries: Vec<String> = entries.collect();
                    if !entries.is_empty() {
                        let (name, list) = (&spec.name, entries.join(", "));
                        findings.fine("network", format!("{name}/{}: {list}", phase.id));
                    }
                }
            }
            PipelineEntry::Broken { name, error } => {
                findings.wrong("pipeline", format!("{name}: {error}"));
            }
        }
    }
}

async fn look_at_runner(settings: &Settings, stores: &parts::Stores, findings: &mut Findings) {
    let installation = stores.driver.installation().await.unwrap_or_default();
    let agent = match parts::agent(settings, &installation, &Boundaries::default()) {
        Ok(agent) => agent,
        Err(error) => return findings.wrong("agent", format!("{error:#}")),
    };
    findings.fine(
        "agent",
        format!("{}. {}", agent.about.name, agent.about.hint),
    );
    findings.fine("workspaces", parts::owners_in_words(agent.owners));
    let about = agent.runner.about();
    match agent.runner.check().await {
        Err(error) => findings.wrong("runner", format!("{}: {error}", about.name)),
        Ok(checked) => {
            findings.fine("runner", format!("{}: {}", about.name, checked.engine));
            let mut notes = checked.warnings;
            if !notes.contains(&about.note) {
                notes.insert(0, about.note);
            }
            for note in notes {
                findings.fine("runner", note);
            }
        }
    }
}
