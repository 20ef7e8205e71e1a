//! A newer `probe`, whose `prompt` panics: what a bad release looks like. It answers nothing.

use gantry_sdk::{Describe, Error, Job, Manifest, Prompt, Task};

/// The plugin.
pub struct ProbeTraps;

impl Describe for ProbeTraps {
    fn describe() -> Manifest {
        Manifest::new("probe", "3.0.0", "Panics")
    }
}

impl Prompt for ProbeTraps {
    fn prompt(_: &Job) -> Result<Vec<Task>, Error> {
        panic!("a bad release")
    }
}

gantry_sdk::export!(ProbeTraps: prompt);
