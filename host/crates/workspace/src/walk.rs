//! Looking through a tree, with limits. Only regular files count; everything else an agent left is
//! passed over, and counted. Nothing is read here.

use crate::tree::{list, past};
use crate::{Folder, RelativePath, WorkspaceError};
use pipeline::{FileEntry, LeftOut};
use rustix::fs::FileType;

/// How much of a tree is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeLimits {
    /// Entries of any kind.
    pub entries: u64,
    /// Folders within each other.
    pub depth: u64,
    /// Bytes that a snapshot or an archive holds.
    pub bytes: u64,
}

impl TreeLimits {
    /// What an agent's CLI may keep between its runs: a few conversations.
    pub const SESSIONS: Self = Self {
        entries: 10_000,
        depth: 16,
        bytes: 256 << 20,
    };
}

impl Default for TreeLimits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            depth: 64,
            bytes: 1 << 30,
        }
    }
}

/// Files of a tree, and what isn't among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Regular files, sorted by path.
    pub files: Vec<FileEntry>,
    /// What was passed over.
    pub left_out: LeftOut,
}

impl Folder {
    /// Every regular file at and below `dir`, sorted by path. Names that aren't UTF-8, links,
    /// FIFOs, sockets, devices and folders that may not be read are left out.
    ///
    /// # Errors
    /// Where `dir` isn't a folder, or there is more than `limits` allow.
    pub fn files(
        &self,
        dir: &RelativePath,
        limits: &TreeLimits,
    ) -> Result<Vec<FileEntry>, WorkspaceError> {
        let walk = self.walk(dir, limits)?;
        if walk.left_out.more {
            past("the number of entries", limits.entries + 1, limits.entries)?;
        }
        if walk.left_out.deep > 0 {
            past("the depth of folders", limits.depth + 1, limits.depth)?;
        }
        Ok(walk.files)
    }

    /// The same up to the limits on entries and depth: what is past them is left out. The same
    /// tree always gives the same files.
    ///
    /// # Errors
    /// Where `dir` isn't a folder.
    pub fn walk(&self, dir: &RelativePath, limits: &TreeLimits) -> Result<Walk, WorkspaceError> {
        let mut walk = Walk::default();
        let mut entries = 0;
        // A list rather than recursion, and of paths rather than of open folders: how deep and how
        // many they are, an agent decides.
        let mut folders = vec![(dir.clone(), 0)];
        while let Some((path, depth)) = folders.pop() {
            let listed = self.folder(&path).and_then(|folder| {
                let listed = list(&folder.fd, path.as_str())?;
                Ok((folder, listed))
            });
            let (folder, mut listed) = match listed {
                Ok(listed) => listed,
                Err(error) if path == *dir => return Err(error),
                // Removed, swapped or closed to us; or more in one folder than is ever listed.
                Err(error) => {
                    match error {
                        WorkspaceError::TooLarge { .. } => walk.left_out.more = true,
                        _ => walk.left_out.unreadable += 1,
                    }
                    continue;
                }
            };
            listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            let mut below = Vec::new();
            for (name, kind) in listed {
                entries += 1;
                if entries > limits.entries {
                    walk.left_out.more = true;
                    break;
                }
                let Some((name, full)) = named(&path, name) else {
                    walk.left_out.names += 1;
                    continue;
                };
                match kind {
                    FileType::Directory if depth >= limits.depth => walk.left_out.deep += 1,
                    FileType::Directory => below.push((full, depth + 1)),
                    FileType::RegularFile => match folder.stat(&name) {
                        Ok(FileEntry { size, .. }) => {
                            let path = full.as_str().to_owned();
                            walk.files.push(FileEntry { path, size });
                        }
                        Err(_) => walk.left_out.unreadable += 1,
                    },
                    _ => walk.left_out.special += 1,
                }
            }
            if walk.left_out.more {
                break;
            }
            folders.extend(below.into_iter().rev());
        }
        walk.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(walk)
    }
}

impl Walk {
    /// Leaves out the files for which no bytes are left.
    #[must_use]
    pub(crate) fn within(mut self, bytes: u64) -> Self {
        let mut left = bytes;
        self.files.retain(|file| match left.checked_sub(file.size) {
            Some(rest) => {
                left = rest;
                true
            }
            None => {
                self.left_out.large += 1;
                false
            }
        });
        self
    }
}

/// A name as it is opened, and the whole path; none where it isn't UTF-8.
fn named(folder: &RelativePath, name: Vec<u8>) -> Option<(RelativePath, RelativePath)> {
    let name = String::from_utf8(name).ok()?;
    let full = match folder.as_str() {
        "" => name.clone(),
        folder => format!("{folder}/{name}"),
    };
    // It may be longer than any path that can be asked for.
    Some((
        RelativePath::new(&name).ok()?,
        RelativePath::new(&full).ok()?,
    ))
}
