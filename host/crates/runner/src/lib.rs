//! Agents in Docker containers or as processes: one trait, and one conformance suite that
//! defines it (`tests/conformance.rs`). Whose run it is, and what follows from its end, is
//! not decided here: the store says the one, `pipeline` the other.

mod error;
mod run;

mod docker;
mod process;

mod marker;

pub use docker::{Docker, DockerConfig};
pub use error::RunnerError;
pub use marker::was_started;
pub use process::{Process, ProcessConfig, shim_main};
pub use run::{About, Checked, Ended, Found, How, Owner, Places, Run, RunLimits, RunSpec, Runner};
