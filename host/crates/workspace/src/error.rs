//! What can go wrong with an agent's files. It names the path, never the host's own folders.

use pipeline::LeftOut;
use std::io;
use thiserror::Error;

/// Why a file or folder couldn't be used.
#[derive(Debug, Error)]
pub enum WorkspaceError {
    /// Nothing there.
    #[error("`{0}` isn't there")]
    NotFound(String),
    /// A folder, link, FIFO, socket or device where a regular file was wanted.
    #[error("`{0}` isn't a regular file")]
    NotAFile(String),
    /// A file or link where a folder was wanted.
    #[error("`{0}` isn't a folder")]
    NotAFolder(String),
    /// Absolute, with `..`, too long, or through a link.
    #[error("`{path}` isn't a path inside the workspace: {why}")]
    InvalidPath {
        /// As it was given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A limit of [`crate::TreeLimits`].
    #[error("too large: {what} is more than the {limit} that are allowed")]
    TooLarge {
        /// What was counted, and how much of it there is.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// A snapshot that lacks files, where all of them are wanted.
    #[error(
        "the workspace can't be put back as it was: its snapshot lacks {0}. Make it smaller, or take `reset` out of the phase"
    )]
    Partial(LeftOut),
    /// The operating system refused.
    #[error("`{path}`: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl WorkspaceError {
    /// What this system error means for `path`.
    pub(crate) fn from_errno(path: &str, errno: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        let invalid = |why| Self::InvalidPath {
            path: path.to_owned(),
            why,
        };
        match errno {
            Errno::NOENT => Self::NotFound(path.to_owned()),
            // A FIFO or socket that nobody serves, a folder opened as a file.
            Errno::NXIO | Errno::ISDIR => Self::NotAFile(path.to_owned()),
            Errno::NOTDIR => Self::NotAFolder(path.to_owned()),
            Errno::LOOP => invalid("a symbolic link is in it"),
            Errno::XDEV => invalid("it leads out"),
            Errno::NAMETOOLONG => invalid("it is too long"),
            errno => Self::Io {
                path: path.to_owned(),
                source: errno.into(),
            },
        }
    }

    pub(crate) fn io(path: &str) -> impl Fn(io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
