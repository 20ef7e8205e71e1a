//! One run, from the variables to the exit status. What is written for which task
//! is in `tasks`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::blocks;
use crate::error::Error;
use crate::folder::Folder;
use crate::output::{Output, Pace, Status};
use crate::tasks::{self, Job};

/// Runs the agent once with the variables of the worker's contract, and gives the
/// exit status: 0 done, 64 wrong inputs, 124 out of time, 1 failed. Reads the clock
/// and the files that the variables name, and nothing else of its surroundings.
pub fn run(vars: &BTreeMap<String, String>) -> u8 {
    match Inputs::read(vars).and_then(|inputs| inputs.work()) {
        Ok(()) => 0,
        Err(error) => {
            report(vars, &error);
            error.exit_status()
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the contract's place for lines for people"
)]
fn report(vars: &BTreeMap<String, String>, error: &Error) {
    eprintln!("demo-agent: {error}");
    // Wrong inputs end before there is a status; the rest has written its own.
    if error.exit_status() == 64
        && let Some(out_dir) = vars.get("OUT_DIR")
    {
        let name = |name| vars.get(name).map_or("", String::as_str);
        let status = Status::new(out_dir, name("PHASE"), name("TASK"));
        if let Err(error) = status.failed(&error.to_string()) {
            eprintln!("demo-agent: {error}");
        }
    }
}

struct Inputs<'a> {
    phase: &'a str,
    task: &'a str,
    workspace_dir: &'a str,
    prompt_file: &'a str,
    out_dir: &'a str,
    session_id: &'a str,
    job: Job,
    pace: Pace,
}

impl<'a> Inputs<'a> {
    fn read(vars: &'a BTreeMap<String, String>) -> Result<Self, Error> {
        let optional = |name| {
            vars.get(name)
                .map(String::as_str)
                .filter(|value| !value.is_empty())
        };
        let required = |name| optional(name).ok_or(Error::Missing(name));
        let number = |name: &'static str| {
            let parse = |value: &str| {
                value.parse::<u64>().map_err(|_| Error::Variable {
                    name,
                    value: value.to_owned(),
                    expected: "a whole number",
                })
            };
            optional(name).map(parse).transpose()
        };
        let params: BTreeMap<String, Value> = match optional("JOB_PARAMS") {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(text).map_err(|_| Error::Variable {
                name: "JOB_PARAMS",
                value: text.to_owned(),
                expected: "a JSON object",
            })?,
        };
        Ok(Self {
            phase: required("PHASE")?,
            task: required("TASK")?,
            workspace_dir: required("WORKSPACE_DIR")?,
            prompt_file: required("PROMPT_FILE")?,
            out_dir: required("OUT_DIR")?,
            session_id: optional("SESSION_ID").unwrap_or("demo"),
            job: Job::new(required("JOB_NAME")?, params),
            pace: Pace {
                pause: Duration::from_millis(number("DEMO_PACE_MS")?.unwrap_or(0)),
                limit_seconds: number("TIMEOUT_SECONDS")?,
            },
        })
    }

    fn work(&self) -> Result<(), Error> {
        let status = Status::new(self.out_dir, self.phase, self.task);
        status.running()?;
        let mut output = Output::create(self.out_dir, self.session_id, self.pace)?;
        match self.write_files(&mut output) {
            Ok(summary) => {
                output.result(false, &summary)?;
                status.completed()
            }
            Err(error) => {
                output.result(true, &error.to_string())?;
                status.failed(&error.to_string())?;
                Err(error)
            }
        }
    }

    fn write_files(&self, output: &mut Output) -> Result<String, Error> {
        let prompt = fs::read(self.prompt_file).map_err(Error::io(self.prompt_file))?;
        let blocks = blocks::find(&String::from_utf8_lossy(&prompt));
        let folder = Folder::open(self.workspace_dir)?;
        output.init(self.workspace_dir)?;
        if !blocks.is_empty() {
            for block in &blocks {
                output.wrote(&folder.write(&block.path, &block.content)?)?;
            }
            return Ok(format!(
                "Wrote the {} files that the prompt holds.",
                blocks.len()
            ));
        }
        let work = tasks::find(self.phase, self.task).ok_or_else(|| Error::UnknownPhase {
            phase: self.phase.to_owned(),
            task: self.task.to_owned(),
        })?;
        output.text(&format!("Working on {}.", work.path))?;
        let made = (work.make)(&self.job, &folder)?;
        output.wrote(&folder.write(work.path, &made.content)?)?;
        output.text(&made.summary)?;
        Ok(made.summary)
    }
}
