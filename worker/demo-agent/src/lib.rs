//! An agent without a model: it meets the worker's contract (`worker/README.md`)
//! and turns a job's name into a small playable game, the same name always into
//! the same one. It reads no network, and takes nothing from a prompt but blocks
//! that are addressed to it.
#![doc = include_str!("../README.md")]

mod bank;
mod blocks;
mod error;
mod folder;
mod forms;
mod output;
mod page;
mod palette;
mod run;
mod tasks;
mod words;

pub use run::run;
