//! A guest that says which version of it decided: 1.0.0. What the agent leaves is all one to it.

use gantry_sdk::{Describe, Error, Job, Manifest, Prompt, Task, Validate, Verdict};

/// The plugin.
pub struct Probe;

impl Describe for Probe {
    fn describe() -> Manifest {
        Manifest::new("probe", "1.0.0", "Says its version")
    }
}

impl Prompt for Probe {
    fn prompt(_: &Job) -> Result<Vec<Task>, Error> {
        let prompt = "Write a line.\n\n```demo-agent write probe.txt\nprobe\n```\n";
        Ok(vec![Task::new("probe", prompt).expects("probe.txt")])
    }
}

impl Validate for Probe {
    fn validate(_: &Job) -> Result<Verdict, Error> {
        Ok(Verdict::accept("accepted by 1.0.0"))
    }
}

gantry_sdk::export!(Probe: prompt, validate);
