//! Why a run ends badly, and with which exit status. It prints nothing.

use std::path::PathBuf;

/// Everything that ends a run of the demo agent other than success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} is missing: the worker's contract requires it")]
    Missing(&'static str),
    #[error("{name} is {value:?}: it must be {expected}")]
    Variable {
        name: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("out of time: the limit is {0} s")]
    OutOfTime(u64),
    #[error(
        "the demo agent knows the phases idea, design, plan and build, not {phase}/{task}; \
         a prompt may hand it a file in a block that begins with ```demo-agent write PATH"
    )]
    UnknownPhase { phase: String, task: String },
    #[error("the path {0:?} leaves the workspace or is not a plain relative path")]
    Path(String),
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} does not have the form that this phase reads: {source}")]
    Form {
        path: String,
        source: serde_json::Error,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// 64 for wrong inputs, 124 out of time, 1 for all else.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Missing(_) | Self::Variable { .. } => 64,
            Self::OutOfTime(_) => 124,
            _ => 1,
        }
    }
}
