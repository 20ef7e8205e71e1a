//! A hostile guest: its steps never end; where the job's params name one of them as `in`, only that
//! one doesn't. It uses no memory.

use gantry_sdk::{Deploy, Describe, Error, Job, Manifest, Plan, Prompt, Task, Validate, Verdict};
use serde::Deserialize;

/// The plugin.
pub struct Loops;

#[derive(Default, Deserialize)]
struct Params {
    r#in: Option<String>,
}

fn never_ends_in(job: &Job, step: &str) {
    let Params { r#in } = job.params().unwrap_or_default();
    if r#in.is_some_and(|named| named != step) {
        return;
    }
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

impl Describe for Loops {
    fn describe() -> Manifest {
        Manifest::new("loops", "1.0.0", "A hostile guest")
    }
}

impl Prompt for Loops {
    fn prompt(job: &Job) -> Result<Vec<Task>, Error> {
        never_ends_in(job, "prompt");
        Ok(Vec::new())
    }
}

impl Validate for Loops {
    fn validate(job: &Job) -> Result<Verdict, Error> {
        never_ends_in(job, "validate");
        Ok(Verdict::accept("it ended"))
    }
}

impl Deploy for Loops {
    fn deploy(job: &Job) -> Result<Plan, Error> {
        never_ends_in(job, "deploy");
        Ok(Plan::nothing())
    }
}

gantry_sdk::export!(Loops: prompt, validate, deploy);
