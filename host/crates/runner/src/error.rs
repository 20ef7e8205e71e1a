//! What can go wrong with a runner: each error names the culprit and the mend.
//! How an agent's run ended isn't an error; that is `Ended`.

use pipeline::FailureKind;
use std::io;
use std::path::PathBuf;

/// Why a run could not be started, watched or removed.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The engine doesn't have the agent's image. Passes, once somebody has built it.
    #[error("the image `{image}` isn't there: {mend}")]
    MissingImage {
        /// As it was configured.
        image: String,
        /// What to do.
        mend: &'static str,
    },

    /// The agent's command can't be started. Passes, once somebody has mended it.
    #[error("the agent's command `{command}` can't be started ({reason}): {mend}")]
    BadCommand {
        /// As it was configured.
        command: String,
        /// In the system's words.
        reason: String,
        /// What to do.
        mend: &'static str,
    },

    /// The engine is away, or refuses. Passes.
    #[error("{doing}: {reason}. {mend}")]
    Engine {
        /// What was asked of it.
        doing: &'static str,
        /// In the engine's words.
        reason: String,
        /// What to do.
        mend: &'static str,
    },

    /// The run was started once, and nothing stands under its name any more.
    #[error("the run `{name}` was started, and is gone")]
    Vanished {
        /// The run's.
        name: String,
    },

    /// The specification makes no sense to this runner.
    #[error("the run `{name}` can't be started as it was asked for: {reason}")]
    BadSpec {
        /// The run's.
        name: String,
        /// What is wrong.
        reason: String,
    },

    /// A file of the host's own.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// In the system's words.
        source: io::Error,
    },
}

impl RunnerError {
    /// What the driver makes of it.
    pub fn failure_kind(&self) -> FailureKind {
        match self {
            Self::MissingImage { .. } | Self::BadCommand { .. } | Self::Engine { .. } => {
                FailureKind::Engine
            }
            Self::Vanished { .. } => FailureKind::Interrupted,
            // A disk that is full is so for everybody, and passes.
            Self::Io { source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                FailureKind::Engine
            }
            Self::BadSpec { .. } | Self::Io { .. } => FailureKind::Internal,
        }
    }

    /// For `map_err`: a file, and what was done to it.
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_passes_and_a_wrong_one_does_not() {
        let failed = |kind: io::ErrorKind| RunnerError::io("writing", "created")(kind.into());
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert_eq!(failed(kind).failure_kind(), FailureKind::Engine);
        }
        let other = failed(io::ErrorKind::PermissionDenied);
        assert_eq!(other.failure_kind(), FailureKind::Internal);
    }
}
