//! Phase plugins on wasmtime: how they come in, which one serves, and how a step of one is called.
//!
//! A plugin is a component of `wit/phase.wit`, or an Extism plug-in with the same shapes in JSON.
//! Every call has a store of its own and limits on everything that it may use; a plugin that
//! traps harms its own call only. What a guest answers
//! is checked here, so that the rest of Gantry sees `pipeline` types and no wasmtime. Nothing
//! here knows a job's state, a store or a workspace: they come in as [`CallContext`],
//! [`Archive`] and [`Files`].

mod plugins;
mod served;

mod archive;
mod call;
mod error;
mod grants;
mod limits;

mod folder;

mod admit;
mod compile;
mod fit;

mod engine;
mod guest;
mod sandbox;
mod step;
mod view;

mod record;
mod replay;

mod answer;
mod bindings;
mod fault;
mod said;
mod stats;
pub mod wire;

mod fuzzing;

pub use archive::{Archive, NoArchive};
pub use call::{CallContext, Called, Files, ReadError};
pub use compile::compile_child;
pub use error::PluginError;
#[doc(hidden)]
pub use fuzzing::WayIn;
pub use grants::Grants;
pub use limits::CallLimits;
pub use plugins::{Compiler, Config, ExtismChild, PluginChange, Plugins};
pub use record::{Answer, Bytes, Given, Look, Recording};
pub use replay::{Trial, TrialOutcome};
pub use served::{About, Served};
pub use step::Step;
