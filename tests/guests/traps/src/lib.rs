//! A hostile guest: its `prompt` panics. It answers nothing.

use gantry_sdk::{Describe, Error, Job, Manifest, Prompt, Task};

/// The plugin.
pub struct Traps;

impl Describe for Traps {
    fn describe() -> Manifest {
        Manifest::new("traps", "1.0.0", "A hostile guest")
    }
}

impl Prompt for Traps {
    fn prompt(_: &Job) -> Result<Vec<Task>, Error> {
        panic!("on purpose")
    }
}

gantry_sdk::export!(Traps: prompt);
