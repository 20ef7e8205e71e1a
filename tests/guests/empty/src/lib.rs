//! A guest that exports no step: a job of it is the queue, the state machine and the events. It
//! is never called, but for its manifest.

use gantry_sdk::{Describe, Manifest};

/// The plugin.
pub struct Empty;

impl Describe for Empty {
    fn describe() -> Manifest {
        Manifest::new("empty", "1.0.0", "Answers nothing, and so accepts")
    }
}

gantry_sdk::export!(Empty);
