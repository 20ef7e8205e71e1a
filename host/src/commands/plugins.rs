//! `gantry plugin …`: what serves on a running host, and files that might. A file is looked at in
//! this process, under the limits of production; only recorded calls come from the host.

use crate::cli::{Plugin, PluginFile, PluginName, PluginTest};
use crate::client::Client;
use crate::commands::FAILED;
use crate::{parts, show};
use anyhow::{Context, Result, bail};
use pipeline::PlannedTask;
use plugin_runtime::{Answer, Recording, Served, Trial, TrialOutcome};
use serde_json::{Value, json};
use similar::TextDiff;
use std::path::Path;
use std::process::ExitCode;

pub(super) async fn run(command: Plugin) -> Result<ExitCode> {
    match command {
        Plugin::List(server) => {
            let plugins = Client::new(&server)?.get("/api/plugins").await?;
            show::answer(server.json, &plugins, show::plugins)?;
            Ok(ExitCode::SUCCESS)
        }
        Plugin::Check(args) => check(&args).await,
        Plugin::Test(args) => test(&args).await,
        Plugin::Rollback(args) => act(&args, "rollback").await,
        Plugin::Release(args) => act(&args, "release").await,
    }
}

async fn act(args: &PluginName, act: &str) -> Result<ExitCode> {
    let name = &args.name;
    if !pipeline::is_slug(name) {
        bail!("`{name}` isn't a plugin's name: lowercase letters, digits and hyphens");
    }
    let path = format!("/api/plugins/{name}/{act}");
    let answer = Client::new(&args.server)?.post(&path, &json!({})).await?;
    show::answer(args.server.json, &answer, |answer| match act {
        "rollback" => {
            let version = &answer["plugin"]["version"];
            format!("{name} {}: {}", text(version), text(&answer["reason"]))
        }
        _ => format!("{name}: every version may answer again"),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

async fn check(args: &PluginFile) -> Result<ExitCode> {
    let scratch = tempfile::tempdir().context("a folder for compiled plugins")?;
    let served = examined(&args.file, scratch.path()).await?;
    let about = served.about();
    show::answer(args.json, &json!(about), |_| {
        format!(
            "{} {}: fine; {} of interface {}, with {}",
            about.name,
            about.version,
            about.kind,
            about.interface,
            about.steps.join(", ")
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Looks at a file as a host does that finds it in its folder.
async fn examined(file: &Path, scratch: &Path) -> Result<Served> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} isn't a file's name", file.display()))?;
    let wasm = std::fs::read(file).with_context(|| file.display().to_string())?;
    let plugins = parts::examiner(scratch).await?;
    let served = plugins.examine(name, wasm).await;
    served.map_err(|reason| anyhow::anyhow!("{name} {reason}"))
}

async fn test(args: &PluginTest) -> Result<ExitCode> {
    let scratch = tempfile::tempdir().context("a folder for compiled plugins")?;
    let served = examined(&args.file, scratch.path()).await?;
    let path = format!("/api/plugins/{}/calls", served.pin().name);
    let recorded = Client::new(&args.server)?.get(&path).await?;
    let mut tried = Vec::new();
    for call in recorded["items"].as_array().into_iter().flatten() {
        // What a host of another version wrote in another form isn't a call to try.
        if let Ok(recording) = serde_json::from_value::<Recording>(call["recording"].clone()) {
            let trial = served.replay(&recording).await;
            tried.push((call.clone(), recording, trial));
        }
    }
    let shown: Vec<Value> = tried.iter().map(as_json).collect();
    let worse = tried
        .iter()
        .filter(|(_, _, trial)| matches!(trial.outcome, TrialOutcome::Worse(_)))
        .count();
    let answer = json!({ "plugin": served.pin(), "calls": shown, "worse": worse });
    show::answer(args.server.json, &answer, |_| {
        let mut lines: String = tried.iter().map(in_words).collect();
        lines.push_str(&format!(
            "{} recorded calls, {worse} worse than they were",
            tried.len()
        ));
        lines
    })?;
    match worse {
        0 => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::from(FAILED)),
    }
}

type Tried = (Value, Recording, Trial);

fn word(outcome: &TrialOutcome) -> (&'static str, Option<&str>) {
    match outcome {
        TrialOutcome::Same => ("same", None),
        TrialOutcome::Differs => ("differs", None),
        TrialOutcome::Worse(why) => ("worse", Some(why)),
        TrialOutcome::Inconclusive(what) => ("inconclusive", Some(what)),
    }
}

fn as_json((call, recording, trial): &Tried) -> Value {
    let (outcome, why) = word(&trial.outcome);
    json!({
        "step": recording.step, "job": recording.given.job, "at": call["at"],
        "outcome": outcome, "why": why,
        "was": { "answer": recording.answer, "took_us": recording.took_us, "memory_bytes": recording.memory_bytes },
        "is": { "answer": trial.answer, "took_us": trial.took_us, "memory_bytes": trial.memory_bytes },
    })
}

fn in_words((_, recording, trial): &Tried) -> String {
    let (outcome, why) = word(&trial.outcome);
    let mut lines = format!(
        "{:12} {:8} job {}  {} µs (was {}), {} KiB (was {})\n",
        outcome,
        recording.step.word(),
        recording.given.job,
        trial.took_us,
        recording.took_us,
        trial.memory_bytes >> 10,
        recording.memory_bytes >> 10,
    );
    match (&trial.outcome, why) {
        (TrialOutcome::Inconclusive(_), Some(what)) => {
            lines.push_str(&format!("    it asks for {what}, which wasn't recorded\n"));
        }
        (_, Some(why)) => lines.push_str(&format!("    {why}\n")),
        (TrialOutcome::Differs, None) => {
            lines.push_str(&difference(&recording.answer, &trial.answer));
        }
        _ => {}
    }
    lines
}

/// Answers line by line: prompts as they are, everything else as JSON.
fn difference(was: &Answer, is: &Answer) -> String {
    let (was, is) = (readable(was), readable(is));
    let diff = TextDiff::from_lines(&was, &is);
    let mut unified = diff.unified_diff();
    let shown = unified.context_radius(2).to_string();
    shown.lines().map(|line| format!("    {line}\n")).collect()
}

fn readable(answer: &Answer) -> String {
    let task = |task: &PlannedTask| {
        let mut rest = json!(task);
        if let Some(rest) = rest.as_object_mut() {
            rest.remove("prompt");
        }
        format!("task {rest}\n{}\n", task.prompt)
    };
    match answer {
        Answer::Tasks(tasks) => tasks.iter().map(task).collect(),
        other => serde_json::to_string_pretty(other).unwrap_or_default() + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_prompt_is_shown_line_by_line() {
        let answer = |prompt: &str| {
            Answer::Tasks(vec![PlannedTask {
                name: "make".to_owned(),
                prompt: prompt.to_owned(),
                stage: Vec::new(),
                expects: Vec::new(),
                options: pipeline::TaskOptions::default(),
            }])
        };
        let shown = difference(&answer("Make it.\nSoon."), &answer("Make it.\nNow."));
        assert!(shown.contains("    -Soon.\n    +Now.\n"), "{shown}");
        assert!(shown.contains("     Make it.\n"), "{shown}");
    }
}
