//! A hostile guest: its `prompt` takes memory until there is none. It uses little time.

use gantry_sdk::{Describe, Error, Job, Manifest, Prompt, Task};

/// The plugin.
pub struct EatsMemory;

impl Describe for EatsMemory {
    fn describe() -> Manifest {
        Manifest::new("eats-memory", "1.0.0", "A hostile guest")
    }
}

impl Prompt for EatsMemory {
    fn prompt(_: &Job) -> Result<Vec<Task>, Error> {
        let mut eaten = Vec::new();
        loop {
            eaten.push(std::hint::black_box(vec![1_u8; 1 << 20]));
        }
    }
}

gantry_sdk::export!(EatsMemory: prompt);
