//! The phase `idea` as an Extism plug-in: the same prompt as the built-in one's from the same
//! job, as JSON. It is shorter than that, and judges the form of an idea only roughly.

use extism_pdk::{FnResult, Json, host_fn, plugin_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Write as _;

const FILE: &str = "idea.json";
const TEXTS: [&str; 6] = ["title", "theme", "pitch", "genre", "player_goal", "tone"];
const LISTS: [&str; 2] = ["core_loop", "palette"];
const PROMPT: &str = include_str!("../../../../plugins/idea/prompts/idea.md");
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

#[host_fn]
extern "ExtismHost" {
    fn job_read(asked: Json<Value>) -> Json<Value>;
}

/// Of what a step is given, what this plugin looks at. Params and settings are JSON in a string.
#[derive(Deserialize)]
struct Job {
    name: String,
    params: String,
    settings: String,
    feedback: Option<String>,
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

/// What the plugin is.
#[plugin_fn]
pub fn describe() -> FnResult<Json<Value>> {
    Ok(Json(json!({
        "name": "idea",
        "version": "1.0.0+extism",
        "summary": "Invents one small browser game, as an Extism plug-in",
    })))
}

/// Asks for the tasks.
#[plugin_fn]
pub fn prompt(Json(job): Json<Job>) -> FnResult<Json<Value>> {
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
    if let Some(feedback) = job.feedback {
        let _ = write!(
            briefing,
            "\nThe last attempt was sent back:\n\n{feedback}\n"
        );
    }
    let _ = write!(
        prompt,
        "\nThe job's name is the brief. Where it leaves room, think of {angle}.\n\n{briefing}"
    );
    let task = Task {
        name: "idea",
        prompt,
        expects: [FILE],
    };
    Ok(Json(json!({ "ok": [task] })))
}

/// Looks at the `idea.json` that was left.
#[plugin_fn]
pub fn validate(Json(_): Json<Value>) -> FnResult<Json<Value>> {
    let asked = json!({ "path": FILE, "offset": 0, "length": 1 << 20 });
    // SAFETY: the host has this function, or the plugin wasn't loaded.
    let Json(read) = unsafe { job_read(Json(asked)) }?;
    let problems = match read["ok"].as_str() {
        Some(base64) => problems(base64)?,
        None => vec![format!("{FILE}: {}", read["error"])],
    };
    let (decision, message) = match problems.is_empty() {
        true => ("accept", "idea.json is complete, says Extism".to_owned()),
        false => ("revise", problems.join("\n")),
    };
    Ok(Json(
        json!({ "ok": { "decision": decision, "message": message } }),
    ))
}

fn problems(base64: &str) -> FnResult<Vec<String>> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64)?;
    let idea: Value = match serde_json::from_slice(&bytes) {
        Ok(idea) => idea,
        Err(error) => return Ok(vec![format!("{FILE}: {error}")]),
    };
    let is_text = |key: &&str| idea[*key].as_str().is_some_and(|text| !text.is_empty());
    let is_list = |key: &&str| idea[*key].as_array().is_some_and(|list| !list.is_empty());
    let wrong = TEXTS
        .into_iter()
        .filter(|key| !is_text(key))
        .chain(LISTS.into_iter().filter(|key| !is_list(key)));
    Ok(wrong
        .map(|key| format!("{FILE}: {key} is missing or empty"))
        .collect())
}
