//! Where a host may be stopped by a test: between each commit and its command, and inside a
//! command wherever it has left something behind. What happens there is not decided here.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

macro_rules! boundaries {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// A point between two things that a host does, each of which outlives it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Boundary {
            $($(#[$doc])* $name,)*
        }

        impl Boundary {
            /// All of them, in the order in which a job comes to them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

boundaries! {
    /// The store has given this host a job, and nobody here knows of it yet.
    Claimed = "claimed",
    /// What follows is decided, and isn't committed.
    BeforeCommit = "before-commit",
    /// It is committed; what it makes superfluous is still there.
    AfterCommit = "after-commit",
    /// Of a run that isn't wanted any more, container and process are gone, the folder isn't.
    RunRemoved = "run-removed",
    /// The state is committed, and its command isn't begun.
    BeforeCommand = "before-command",
    /// The workspace is there; the plugin isn't asked yet.
    WorkspaceReady = "workspace-ready",
    /// The run's folder and the staged files are there, and nothing runs.
    FolderReady = "folder-ready",
    /// A container was created, or a process's folder; no marker says so.
    RunMade = "run-made",
    /// The marker says that this name was started. It wasn't.
    RunMarked = "run-marked",
    /// The agent runs, and this host hasn't said so.
    RunStarted = "run-started",
    /// What stood under the name is taken over, and isn't listened to.
    RunAdopted = "run-adopted",
    /// A piece of an agent's output is in the store.
    OutputTold = "output-told",
    /// An agent has ended and all it printed is told; its outcome isn't made up.
    RunHeardOut = "run-heard-out",
    /// What the agent left is kept; the outcome of its run isn't committed.
    SnapshotTaken = "snapshot-taken",
    /// A site's files are laid out, and its address isn't reserved.
    FilesLaidOut = "files-laid-out",
    /// The address is reserved, and the row that publishes isn't there.
    AddressReserved = "address-reserved",
    /// A cancelled job's agent was told to end, and has.
    AgentStopped = "agent-stopped",
    /// A cancelled job's run is gone, and its state isn't committed.
    BeforeCancel = "before-cancel",
    /// Its state is committed.
    AfterCancel = "after-cancel",
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Boundary {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|it| it.word() == word);
        known.copied().ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|it| it.word()).collect();
            format!("there is no boundary `{word}`, only {}", words.join(", "))
        })
    }
}

/// Who is told when a boundary is reached: nobody, but in tests.
#[derive(Clone, Default)]
pub struct Boundaries(Option<Arc<dyn Fn(Boundary) + Send + Sync>>);

impl Boundaries {
    /// Tells this one.
    pub fn told(whom: impl Fn(Boundary) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(whom)))
    }

    /// This boundary is reached.
    pub fn at(&self, boundary: Boundary) {
        if let Some(told) = &self.0 {
            told(boundary);
        }
    }
}

impl fmt::Debug for Boundaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "told" } else { "untold" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_boundary_is_found_by_its_word_and_no_other_is() {
        for boundary in Boundary::ALL {
            assert_eq!(boundary.word().parse(), Ok(*boundary));
        }
        let error = "commit".parse::<Boundary>().unwrap_err();
        assert!(error.contains("`commit`") && error.contains("before-commit, after-commit"));
    }
}
