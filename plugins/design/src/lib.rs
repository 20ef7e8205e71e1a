//! The phase `design`: three tasks for three documents, and whether they have the right form and
//! agree with each other. It writes none of them and mends none.

mod currencies;
mod interface;
mod progression;

use gantry_sdk::{
    Describe, Error, Job, Manifest, NoSettings, Problems, Prompt, SelfTest, Task, Validate, Verdict,
};
use serde_json::Value;

/// Each task's name, its document and its prompt, in the order in which they are run.
const TASKS: [(&str, &str, &str); 3] = [
    (
        "currencies",
        currencies::FILE,
        include_str!("../prompts/currencies.md"),
    ),
    (
        "progression",
        progression::FILE,
        include_str!("../prompts/progression.md"),
    ),
    (
        "interface",
        interface::FILE,
        include_str!("../prompts/interface.md"),
    ),
];

/// The plugin.
pub struct Design;

impl Describe for Design {
    fn describe() -> Manifest {
        Manifest::new(
            "design",
            env!("CARGO_PKG_VERSION"),
            "Designs currencies, progression and interface of a game",
        )
        .settings_schema(NoSettings::SCHEMA)
    }
}

impl Prompt for Design {
    fn prompt(job: &Job) -> Result<Vec<Task>, Error> {
        job.settings::<NoSettings>()?;
        let briefing = job.briefing();
        let again = documents_to_mend(job);
        let wanted = TASKS
            .iter()
            .filter(|(_, file, _)| again.is_empty() || again.contains(file));
        Ok(wanted
            .map(|(name, file, prompt)| {
                Task::new(*name, format!("{prompt}\n{briefing}")).expects(*file)
            })
            .collect())
    }
}

/// After an attempt that was sent back, the documents that have to change; empty for all. What a
/// person asked for may concern documents that are right in form, so a revision asks for all.
fn documents_to_mend(job: &Job) -> Vec<&'static str> {
    if job.attempt() == 1 || job.revision() > 1 {
        return Vec::new();
    }
    let documents = Documents::read(job);
    let wrong = documents
        .problems
        .iter()
        .filter(|(_, problems)| !problems.is_empty());
    wrong.map(|(file, _)| *file).collect()
}

impl Validate for Design {
    fn validate(job: &Job) -> Result<Verdict, Error> {
        let mut all = Problems::new();
        for (_, problems) in Documents::read(job).problems {
            all.extend(problems);
        }
        Ok(all.verdict("the three documents are complete and agree"))
    }
}

impl SelfTest for Design {
    fn self_test() -> Result<(), String> {
        let parse = |text| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
        let currencies = parse(include_str!("sample/currencies.json"))?;
        let progression = parse(include_str!("sample/progression.json"))?;
        let interface = parse(include_str!("sample/interface.json"))?;
        let mut problems = Problems::new();
        let known = currencies::check(&currencies, &mut problems);
        progression::check(&progression, Some(&known), &mut problems);
        interface::check(&interface, &mut problems);
        if !problems.is_empty() {
            return Err(format!("a good design is refused:\n{}", problems.message()));
        }
        progression::check(&progression, Some(&known[..1]), &mut problems);
        if problems.is_empty() {
            return Err("a currency that doesn't exist is accepted".to_owned());
        }
        Ok(())
    }
}

gantry_sdk::export!(Design: prompt, validate, self_test);

/// What is wrong with each document, in the order of the tasks. What two of them disagree on is
/// told of the later one.
struct Documents {
    problems: [(&'static str, Problems); 3],
}

impl Documents {
    fn read(job: &Job) -> Self {
        let mut problems = TASKS.map(|(_, file, _)| (file, Problems::new()));
        let [(_, currencies), (_, progression), (_, interface)] = &mut problems;
        let known = currencies
            .read_json(job, currencies::FILE)
            .map(|value| currencies::check(&value, currencies))
            .filter(|known| !known.is_empty());
        if let Some(value) = progression.read_json(job, progression::FILE) {
            progression::check(&value, known.as_deref(), progression);
        }
        if let Some(value) = interface.read_json(job, interface::FILE) {
            interface::check(&value, interface);
        }
        Self { problems }
    }
}

#[cfg(test)]
mod tests;
