//! A guest that sends the first attempt of each revision back and accepts the second. By its
//! settings, the agent is to forget the first. What the agent leaves is all one to it.

use gantry_sdk::{Describe, Error, Job, Manifest, Prompt, Task, Validate, Verdict};
use serde::Deserialize;

/// The plugin.
pub struct ThinksAgain;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    forget: bool,
}

impl Describe for ThinksAgain {
    fn describe() -> Manifest {
        Manifest::new("thinks-again", "1.0.0", "Sends the first attempt back")
    }
}

impl Prompt for ThinksAgain {
    fn prompt(job: &Job) -> Result<Vec<Task>, Error> {
        let prompt = format!("Write the poem.\n\n{}", job.briefing());
        Ok(vec![Task::new("poem", prompt)])
    }
}

impl Validate for ThinksAgain {
    fn validate(job: &Job) -> Result<Verdict, Error> {
        let Settings { forget } = job.settings()?;
        let verdict = match job.attempt() {
            1 => Verdict::revise("it has to rhyme"),
            _ => return Ok(Verdict::accept("it rhymes")),
        };
        Ok(match forget {
            true => verdict.fresh_session(),
            false => verdict,
        })
    }
}

gantry_sdk::export!(ThinksAgain: prompt, validate);
