//! A guest that takes the place of the plugin `build`: whatever the agent left, it isn't good
//! enough. It never accepts.

use gantry_sdk::{Describe, Error, Job, Manifest, Prompt, Task, Validate, Verdict};

/// The plugin.
pub struct AlwaysRevise;

impl Describe for AlwaysRevise {
    fn describe() -> Manifest {
        Manifest::new("build", "9.0.0", "Sends everything back")
    }
}

impl Prompt for AlwaysRevise {
    fn prompt(job: &Job) -> Result<Vec<Task>, Error> {
        Ok(vec![Task::new(
            "build",
            format!("Build it.\n\n{}", job.briefing()),
        )])
    }
}

impl Validate for AlwaysRevise {
    fn validate(job: &Job) -> Result<Verdict, Error> {
        Ok(Verdict::revise(format!(
            "try {} isn't good enough",
            job.attempt()
        )))
    }
}

gantry_sdk::export!(AlwaysRevise: prompt, validate);
