//! A hostile guest: its `prompt` never ends. It uses no memory.

use gantry_sdk::{Describe, Error, Job, Manifest, Prompt, Task};

/// The plugin.
pub struct Loops;

impl Describe for Loops {
    fn describe() -> Manifest {
        Manifest::new("loops", "1.0.0", "A hostile guest")
    }
}

impl Prompt for Loops {
    fn prompt(_: &Job) -> Result<Vec<Task>, Error> {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
}

gantry_sdk::export!(Loops: prompt);
