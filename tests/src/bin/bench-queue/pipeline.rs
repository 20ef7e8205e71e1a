//! The pipeline of these benchmarks: one phase whose plugin exports no step, without an agent
//! and without a deploy. What remains is the queue, `step` and the events.

use std::path::{Path, PathBuf};

use ::pipeline::{Job, JobId, PipelineSpec, Timestamp};
use tests::bench::place;
use uuid::Uuid;

/// Its name, and its plugin's.
pub(crate) const NAME: &str = "empty";
/// Its file.
pub(crate) const TEXT: &str = "name=\"empty\"\n[[phase]]\nid=\"empty\"\nplugin=\"empty\"\n";

/// A job of it, as a submit makes one.
pub(crate) fn job(name: &str) -> Job {
    let spec = PipelineSpec::parse(TEXT).expect("the pipeline of this file is one");
    let now: Timestamp = std::time::SystemTime::now().into();
    Job::new(JobId(Uuid::now_v7()), name.to_owned(), spec, now)
}

/// The plugin's file.
pub(crate) fn plugin() -> PathBuf {
    let folder = place("GANTRY_TEST_GUESTS").expect("`cargo xtask bench` names the guests");
    Path::new(&folder).join("empty.wasm")
}
