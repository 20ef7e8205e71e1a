//! Paths that plugins, clients and agents give: relative, with `/`, without `..`.
//! That the path leads nowhere else is the kernel's word (`openat2`), not this file's.

use crate::WorkspaceError;

/// A checked path below a folder; empty for the folder itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelativePath(String);

impl RelativePath {
    /// Checks `path`: at most 4,096 bytes, parts of at most 255, no `.`, `..`, empty part, NUL.
    ///
    /// # Errors
    /// [`WorkspaceError::InvalidPath`] with what is wrong.
    pub fn new(path: &str) -> Result<Self, WorkspaceError> {
        let wrong = |why| {
            Err(WorkspaceError::InvalidPath {
                path: path.to_owned(),
                why,
            })
        };
        if path.is_empty() {
            return Ok(Self(String::new()));
        }
        if path.len() > 4096 {
            return wrong("it is longer than 4096 bytes");
        }
        if path.starts_with('/') {
            return wrong("it must be relative");
        }
        if path.contains('\0') {
            return wrong("it holds a NUL");
        }
        for part in path.split('/') {
            match part {
                "" => return wrong("it has an empty part"),
                "." | ".." => return wrong("it has a `.` or `..`"),
                part if part.len() > 255 => return wrong("a part is longer than 255 bytes"),
                _ => {}
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// As text, with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the kernel is asked for.
    pub(crate) fn for_open(&self) -> &str {
        if self.0.is_empty() { "." } else { &self.0 }
    }

    /// The folder that holds it, and its last part. None for the folder itself.
    pub(crate) fn split(&self) -> Option<(Self, &str)> {
        match self.0.rsplit_once('/') {
            Some((parent, name)) => Some((Self(parent.to_owned()), name)),
            None if self.0.is_empty() => None,
            None => Some((Self(String::new()), &self.0)),
        }
    }
}
