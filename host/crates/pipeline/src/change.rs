//! What an attempt changed in its workspace, as people are shown it, and what couldn't be looked
//! at. Nothing is compared here.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What changed between two snapshots of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Sorted by path.
    pub items: Vec<ChangedFile>,
    /// Changed files beyond those.
    pub more: u64,
    /// What the later snapshot, or the earlier one, lacks.
    pub left_out: LeftOut,
}

/// One file that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFile {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// What became of it.
    pub change: ChangeKind,
    /// As it was; none where it wasn't there.
    pub before: Option<FileState>,
    /// As it is; none where it is gone.
    pub after: Option<FileState>,
    /// Whether its lines are shown, and why not.
    pub content: ContentKind,
    /// The hunks of a unified diff, without the names; empty where only the mode changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content or its mode is another.
    Changed,
    /// It is gone.
    Deleted,
}

/// What is known of a file besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// Bytes.
    pub size: u64,
    /// Whether its owner may run it.
    pub executable: bool,
}

/// Whether a file's lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentKind {
    /// UTF-8 without a NUL: they are.
    Text,
    /// Anything else.
    Binary,
    /// Too large to be compared.
    Large,
    /// The answer is full.
    Omitted,
}

/// What was passed over in a workspace: only regular files are looked at, up to limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// Links, FIFOs, sockets and devices.
    pub special: u64,
    /// Names that aren't UTF-8, of whatever.
    pub names: u64,
    /// Files and folders that the host may not read.
    pub unreadable: u64,
    /// Files that changed, or went, while they were read.
    pub changed: u64,
    /// Folders that lie too deep, with all that is in them.
    pub deep: u64,
    /// Files for which no bytes were left.
    pub large: u64,
    /// Whether there are more entries than are looked at.
    pub more: bool,
}

impl LeftOut {
    /// Whether it was a limit that left something out.
    pub const fn is_beyond(&self) -> bool {
        self.deep > 0 || self.large > 0 || self.more
    }

    /// The larger of each: what at least one of two looks lacked.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        Self {
            special: self.special.max(other.special),
            names: self.names.max(other.names),
            unreadable: self.unreadable.max(other.unreadable),
            changed: self.changed.max(other.changed),
            deep: self.deep.max(other.deep),
            large: self.large.max(other.large),
            more: self.more || other.more,
        }
    }
}

impl fmt::Display for LeftOut {
    /// In words, separated by commas; nothing where nothing was left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = [
            (self.special, "links, pipes, sockets or devices"),
            (self.names, "names that aren't UTF-8"),
            (self.unreadable, "files or folders that can't be read"),
            (self.changed, "files that changed while they were read"),
            (self.deep, "folders that lie too deep"),
            (self.large, "files that are too large"),
        ];
        let counted = counted.iter().filter(|(count, _)| *count > 0);
        let mut words: Vec<String> = counted
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if self.more {
            words.push("all that is past the number of entries".to_owned());
        }
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_said_and_only_limits_count_as_beyond() {
        let mut left_out = LeftOut::default();
        assert_eq!(left_out.to_string(), "");
        left_out.special = 2;
        assert!(!left_out.is_beyond());
        let other = LeftOut {
            large: 1,
            more: true,
            ..LeftOut::default()
        };
        let both = left_out.most(other);
        assert!(both.is_beyond());
        assert_eq!(
            both.to_string(),
            "2 links, pipes, sockets or devices, 1 files that are too large, \
             all that is past the number of entries"
        );
    }
}
