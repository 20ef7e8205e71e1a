//! The phase `build`: stages a starter page, asks for the game, and accepts a page that is
//! complete and refers to nothing outside itself. It doesn't play the game.

mod outside;
mod page;
mod site;

use gantry_sdk::{
    Describe, Error, Job, Manifest, Problems, Prompt, SelfTest, Task, Validate, Verdict, clip,
};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;

const PROMPT: &str = include_str!("../prompts/build.md");
const SAMPLE: &str = include_str!("sample.html");
const PROGRESSION: &str = "design/progression.json";
const SETTINGS: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "max_bytes": {
      "type": "integer",
      "minimum": 1024,
      "maximum": 5242880,
      "default": 1048576,
      "description": "the most bytes that site/index.html may have"
    }
  }
}"#;

/// The plugin.
pub struct Build;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    max_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_bytes: 1 << 20 }
    }
}

impl Describe for Build {
    fn describe() -> Manifest {
        Manifest::new(
            "build",
            env!("CARGO_PKG_VERSION"),
            "Builds a game as one page",
        )
        .settings_schema(SETTINGS)
    }
}

impl Prompt for Build {
    fn prompt(job: &Job) -> Result<Vec<Task>, Error> {
        let settings: Settings = job.settings()?;
        let mut prompt = PROMPT.to_owned();
        // Writing to a String can't fail.
        let _ = writeln!(
            prompt,
            "\nThe page has at most {} bytes.",
            settings.max_bytes
        );
        if let Some(title) = title(job) {
            let _ = writeln!(prompt, "The game's title is {title:?}.");
        }
        let upgrades = upgrades(job);
        if !upgrades.is_empty() {
            let _ = writeln!(prompt, "The upgrades' ids are {}.", upgrades.join(", "));
        }
        let _ = write!(prompt, "\n{}", job.briefing());
        let task = Task::new("build", prompt).expects(site::ENTRY);
        // What an earlier attempt built isn't to be lost.
        Ok(vec![if job.has(site::ENTRY) {
            task
        } else {
            task.stage(site::ENTRY, site::STARTER)
        }])
    }
}

impl Validate for Build {
    fn validate(job: &Job) -> Result<Verdict, Error> {
        let settings: Settings = job.settings()?;
        let mut problems = Problems::new();
        site::check(job, settings.max_bytes, &upgrades(job), &mut problems);
        Ok(problems.verdict("the page is complete and self-contained"))
    }
}

impl SelfTest for Build {
    fn self_test() -> Result<(), String> {
        let problems = site::of_page(SAMPLE);
        if !problems.is_empty() {
            return Err(format!("a good page is refused:\n{}", problems.message()));
        }
        if site::of_page(site::STARTER).is_empty() {
            return Err("the starter page is accepted".to_owned());
        }
        Ok(())
    }
}

gantry_sdk::export!(Build: prompt, validate, self_test);

/// The idea's title, where there is a usable one.
fn title(job: &Job) -> Option<String> {
    let idea: Value = job.read_json("idea.json").ok()?;
    Some(clip(idea["title"].as_str()?, 100))
}

/// The ids of the design's upgrades; none where there is no usable design.
fn upgrades(job: &Job) -> Vec<String> {
    let Ok(progression) = job.read_json::<Value>(PROGRESSION) else {
        return Vec::new();
    };
    let all = progression["upgrades"]
        .as_array()
        .into_iter()
        .flatten()
        .take(12);
    all.filter_map(|upgrade| Some(clip(upgrade["id"].as_str()?, 63)))
        .collect()
}

#[cfg(test)]
mod tests;
