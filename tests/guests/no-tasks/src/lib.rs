//! A guest that answers and wants no agent: a job of it is calls of plugins and nothing else. It
//! looks at no file.

use gantry_sdk::{Describe, Error, Job, Manifest, Prompt, Task, Validate, Verdict};

/// The plugin.
pub struct NoTasks;

impl Describe for NoTasks {
    fn describe() -> Manifest {
        Manifest::new("no-tasks", "1.0.0", "Accepts without an agent")
    }
}

impl Prompt for NoTasks {
    fn prompt(_: &Job) -> Result<Vec<Task>, Error> {
        Ok(Vec::new())
    }
}

impl Validate for NoTasks {
    fn validate(_: &Job) -> Result<Verdict, Error> {
        Ok(Verdict::accept("nothing was to be done"))
    }
}

gantry_sdk::export!(NoTasks: prompt, validate);
