//! The one crate that touches what an agent wrote: it opens, lists, copies and removes, and
//! never follows a link, waits on a FIFO or runs a program there.
//!
//! A [`Root`] holds a folder for each job; in it, `files` is what the agent sees and owns,
//! `session` what its CLI keeps between runs, and `before` copies from before a phase.
//! A [`Folder`] is an open directory that nothing below can lead out of.

mod error;
mod folder;
mod path;
mod remove;
mod root;
mod size;
mod tree;

pub use error::WorkspaceError;
pub use folder::{Folder, Page};
pub use path::RelativePath;
pub use root::{Owner, Root, Workspace};
pub use tree::{TreeLimits, copy_tree};
