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
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use store::PipelineEntry;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    /// It works, and keeps less than one might think.
    weak: bool,
    said: String,
}

#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn fine(&mut self, what: &'static str, said: impl Into<String>) {
        self.add(what, (true, false), said.into());
    }

    fn weak(&mut self, what: &'static str, said: impl Into<String>) {
        self.add(what, (true, true), said.into());
    }

    pub(super) fn wrong(&mut self, what: &'static str, said: impl Into<String>) {
        self.add(what, (false, false), said.into());
    }

    fn add(&mut self, what: &'static str, (ok, weak): (bool, bool), said: String) {
        self.0.push(Finding {
            what,
            ok,
            weak,
            said,
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
    look_at_disk(settings, findings);
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
            let cgroup = checked.cgroup.map(|version| format!(", cgroup v{version}"));
            let cgroup = cgroup.unwrap_or_default();
            findings.fine(
                "runner",
                format!("{}: {}{cgroup}", about.name, checked.engine),
            );
            if about.isolates {
                findings.fine("runner", about.note);
            }
            for line in checked.warnings {
                findings.weak("not enforced", line);
            }
        }
    }
}

/// What agents leave on the disk is looked at, and nothing keeps it from growing in between.
fn look_at_disk(settings: &Settings, findings: &mut Findings) {
    let limit = format!(
        "a job's agents may leave {} MiB (WORKER_DISK), and are stopped when more is found",
        settings.disk_bytes >> 20
    );
    findings.fine("disk", limit);
    let data = device(&settings.data);
    let folders = [
        ("WORKSPACE_PATH", &settings.workspaces.here),
        ("RUN_DIR", &settings.run_dir.here),
    ];
    let shared = folders.map(|(name, dir)| {
        let is_shared = data.is_some() && device(dir) == data;
        is_shared.then(|| format!("{name} ({})", dir.display()))
    });
    let shared: Vec<String> = shared.into_iter().flatten().collect();
    if !shared.is_empty() {
        let mend = format!("Put {} on a file system of its own", shared.join(" and "));
        findings.weak(
            "not enforced",
            format!(
                "agents share the disk of GANTRY_DATA, and may fill it before that is found. {mend}"
            ),
        );
    }
}

/// The file system of a folder, or of the one in which it will be made.
fn device(dir: &Path) -> Option<u64> {
    let mut there = dir.ancestors();
    there.find_map(|dir| std::fs::metadata(dir).ok().map(|found| found.dev()))
}
