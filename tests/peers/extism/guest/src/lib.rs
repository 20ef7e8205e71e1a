//! The prompt of Gantry's phase `idea` as an Extism plug-in: the same job in, as JSON, and the
//! same text out. It has no other step.

use extism_pdk::{FnResult, plugin_fn};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write as _;

const PROMPT: &str = include_str!("../../../../../plugins/idea/prompts/idea.md");
const ANGLES: [&str; 12] = [
    "a trade that hardly exists any more",
    "something that is usually thrown away",
    "a place at an unusual hour",
    "weather as the main character",
    "something very small seen from up close",
    "a journey there and back",
    "the care of something that lives",
    "a message that has to arrive",
    "a collection that wants completing",
    "repairing what others made",
    "a festival and its eve",
    "sounds rather than sights",
];

/// What a step is given. Params and settings are JSON in a string, as in Gantry's interface.
#[derive(Deserialize)]
struct Job {
    name: String,
    params: String,
    settings: String,
    seed: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    genre: Option<String>,
}

#[derive(Serialize)]
struct Task {
    name: &'static str,
    prompt: String,
    expects: [&'static str; 1],
}

/// Asks for the tasks.
#[plugin_fn]
pub fn prompt(job: String) -> FnResult<String> {
    let job: Job = serde_json::from_str(&job)?;
    let settings: Settings = serde_json::from_str(&job.settings)?;
    let params: Value = serde_json::from_str(&job.params)?;
    let genre = match &params["genre"] {
        Value::String(genre) if !genre.trim().is_empty() => Some(genre.clone()),
        _ => settings.genre,
    };
    let mut prompt = PROMPT.to_owned();
    // Writing to a String can't fail.
    if let Some(genre) = genre {
        let _ = write!(prompt, "\nThe genre asked for: {genre}.\n");
    }
    let angle = ANGLES[(job.seed % ANGLES.len() as u64) as usize];
    let mut briefing = format!("The job is called {:?}.\n", job.name);
    if !matches!(job.params.trim(), "" | "{}") {
        let _ = writeln!(
            briefing,
            "The person who submitted it wishes, as JSON: {}",
            job.params
        );
    }
    let _ = write!(
        prompt,
        "\nThe job's name is the brief. Where it leaves room, think of {angle}.\n\n{briefing}"
    );
    let task = Task {
        name: "idea",
        prompt,
        expects: ["idea.json"],
    };
    Ok(serde_json::to_string(&[task])?)
}
