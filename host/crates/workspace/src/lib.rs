//! The one crate that touches what an agent wrote: it opens, lists, keeps, packs and removes, and
//! never follows a link, waits on a FIFO or runs a program there.
//!
//! A [`Root`] holds a folder for each job; in it, `files` is what the agent sees and owns,
//! `session` what its CLI keeps between runs, and `snapshots` what the files were at some moment.
//! A [`Folder`] is an open directory that nothing below can lead out of.

mod error;
mod folder;
mod path;
mod remove;
mod root;
mod size;
mod tree;
mod walk;

mod archive;
mod diff;
mod session;
mod snapshot;

pub use archive::Archive;
pub use diff::DiffLimits;
pub use error::WorkspaceError;
pub use folder::{Folder, Page};
pub use path::RelativePath;
pub use remove::{remove_all, remove_unless_holds};
pub use root::{Owner, Root, Workspace};
pub use size::Meter;
pub use snapshot::Snapshot;
pub use walk::{TreeLimits, Walk};
