//! Write Gantry phases in Rust. A plugin says what the agent is asked, whether what it left will
//! do, and what is published; this crate never reaches files, clocks or the network, since a
//! plugin has none.
//!
//! ```
//! use gantry_sdk::{Describe, Error, Job, Manifest, Node, Problems, Prompt, Task, Validate, Verdict};
//!
//! pub struct Haiku;
//!
//! impl Describe for Haiku {
//!     fn describe() -> Manifest {
//!         Manifest::new("haiku", env!("CARGO_PKG_VERSION"), "Three lines on the job's name")
//!     }
//! }
//!
//! impl Prompt for Haiku {
//!     fn prompt(job: &Job) -> Result<Vec<Task>, Error> {
//!         let prompt = format!(
//!             "Write haiku.json: {{\"lines\": [three strings of at most 40 characters]}}.\n\n{}",
//!             job.briefing()
//!         );
//!         Ok(vec![Task::new("haiku", prompt).expects("haiku.json")])
//!     }
//! }
//!
//! impl Validate for Haiku {
//!     fn validate(job: &Job) -> Result<Verdict, Error> {
//!         let mut problems = Problems::new();
//!         if let Some(haiku) = problems.read_json(job, "haiku.json") {
//!             let root = Node::root("haiku.json", &haiku).object(&mut problems);
//!             for line in root.key("lines").list(3..=3, &mut problems) {
//!                 line.text(1..=40, &mut problems);
//!             }
//!         }
//!         Ok(problems.verdict("three lines"))
//!     }
//! }
//!
//! gantry_sdk::export!(Haiku: prompt, validate);
//!
//! // In a native test the job is one in memory.
//! # fn main() {
//! let job = gantry_sdk::JobInMemory::new("Fog").file("haiku.json", r#"{"lines": []}"#).job();
//! let verdict = Haiku::validate(&job).unwrap();
//! assert_eq!(
//!     verdict,
//!     Verdict::revise("- haiku.json, lines: has 0 items; it must be a list of 3 items")
//! );
//! # }
//! ```
//!
//! # Building a component
//!
//! `gantry plugin build` does it. By hand: compile the crate as a `cdylib` for
//! `wasm32-unknown-unknown`, and give the module to `wasm-tools component new`. The module imports
//! nothing but `gantry:phase/job`, so no adapter is needed.
//!
//! # Panics
//!
//! A panic in `prompt`, `validate` or `deploy` is written to the job's log before the call traps.
//! In `describe` and `self_test` there is no job to log to.

#[doc(hidden)]
pub mod bindings;

#[cfg(any(target_arch = "wasm32", test))]
mod arena;

// A plugin that brings an allocator of its own can't link: this one knows what a call is.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: arena::Allocator = arena::Allocator::new();

mod export;
pub use export::{Deploy, Describe, Prompt, SelfTest, Validate};

mod job;
#[cfg(not(target_arch = "wasm32"))]
pub use job::JobInMemory;
pub use job::{FileError, Files, JSON_BYTES, Job};

mod answer;
mod check;
mod text;
pub use check::{Node, Problems};
pub use text::{clip, is_slug, slug_from};

pub use bindings::deploy::exports::gantry::phase::deploy::{Plan, Site};
pub use bindings::describe::exports::gantry::phase::describe::Manifest;
pub use bindings::describe::gantry::phase::types::{Error, File, Level, Outcome, ReadError};
pub use bindings::prompt::exports::gantry::phase::prompt::{StagedFile, Task};
pub use bindings::validate::exports::gantry::phase::validate::{Decision, Verdict};

/// The settings of a plugin that has none: a key is refused by its name.
///
/// ```
/// use gantry_sdk::{JobInMemory, NoSettings};
/// assert!(JobInMemory::new("Fog").job().settings::<NoSettings>().is_ok());
/// assert!(JobInMemory::new("Fog").settings(r#"{"a": 1}"#).job().settings::<NoSettings>().is_err());
/// ```
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl NoSettings {
    /// The JSON Schema that says so.
    pub const SCHEMA: &'static str = r#"{"type":"object","additionalProperties":false}"#;
}
