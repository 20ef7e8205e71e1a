//! Settings: command line, then environment, then `gantry.toml`, then the default. Each is read
//! once, here; nothing below the host looks at the environment.

mod layers;
mod texts;
mod values;

pub(crate) use layers::{Layers, NAMES};
pub(crate) use values::{Replay, RunnerChoice, Settings};
