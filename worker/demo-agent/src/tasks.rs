//! What is written for each task: from the job and from what earlier tasks left in
//! the workspace. It writes no file itself.

mod design;
mod idea;
mod plan;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::folder::Folder;
use crate::page;
use crate::words::Choices;

/// What the games are derived from.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) params: BTreeMap<String, Value>,
    pub(crate) choices: Choices,
}

impl Job {
    pub(crate) fn new(name: &str, params: BTreeMap<String, Value>) -> Self {
        let mut seed = name.to_owned();
        for (key, value) in &params {
            seed.push_str(&format!("\n{key}={value}"));
        }
        Self {
            name: name.to_owned(),
            choices: Choices::from(&seed),
            params,
        }
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.trim().is_empty())
    }
}

/// A task's file and how it is made.
pub(crate) struct Work {
    pub(crate) path: &'static str,
    pub(crate) make: Make,
}

type Make = fn(&Job, &Folder) -> Result<Made, Error>;

/// The content of a task's file, and a sentence about it.
pub(crate) struct Made {
    pub(crate) content: String,
    pub(crate) summary: String,
}

/// The phases and tasks that this agent knows, all of them.
pub(crate) fn find(phase: &str, task: &str) -> Option<Work> {
    let (path, make): (_, Make) = match (phase, task) {
        ("idea", "idea") => (IDEA, idea::make),
        ("design", "currencies") => (CURRENCIES, design::currencies),
        ("design", "progression") => (PROGRESSION, design::progression),
        ("design", "interface") => (INTERFACE, design::interface),
        ("plan", "plan") => (PLAN, plan::make),
        ("build", "build") => (PAGE, page::make),
        _ => return None,
    };
    Some(Work { path, make })
}

pub(crate) const IDEA: &str = "idea.json";
pub(crate) const CURRENCIES: &str = "design/currencies.json";
pub(crate) const PROGRESSION: &str = "design/progression.json";
pub(crate) const INTERFACE: &str = "design/interface.json";
pub(crate) const PLAN: &str = "plan.json";
pub(crate) const PAGE: &str = "site/index.html";

fn written(path: &str, form: &impl Serialize, summary: String) -> Result<Made, Error> {
    let mut content = serde_json::to_string_pretty(form).map_err(|source| Error::Form {
        path: path.to_owned(),
        source,
    })?;
    content.push('\n');
    Ok(Made { content, summary })
}
