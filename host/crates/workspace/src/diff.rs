//! What changed from one snapshot to another: which files, and in texts which lines. Renames are
//! an old file and a new one. What is shown is bounded, whatever the snapshots hold.

mod text;

use crate::snapshot::{Blob, Objects};
use crate::{Snapshot, Workspace, WorkspaceError};
use pipeline::{ChangeKind, ChangedFile, Changes, ContentKind, FileState};
use std::io;
use std::time::{Duration, Instant};

/// How much of a comparison is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLimits {
    /// Files that are named.
    pub files: usize,
    /// Bytes of a file that is compared.
    pub file_bytes: u64,
    /// Bytes of all files that are compared, both sides together.
    pub read_bytes: u64,
    /// Bytes of lines that are shown.
    pub shown_bytes: usize,
    /// How long is looked for what differs least; past that, more is shown as changed than is.
    pub time: Duration,
}

impl Default for DiffLimits {
    fn default() -> Self {
        Self {
            files: 1_000,
            file_bytes: 512 << 10,
            read_bytes: 16 << 20,
            shown_bytes: 1 << 20,
            time: Duration::from_secs(2),
        }
    }
}

impl Workspace {
    /// What changed from one snapshot of this workspace to another.
    ///
    /// # Errors
    /// Where an object of theirs is gone or damaged.
    pub fn changes(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        limits: &DiffLimits,
    ) -> Result<Changes, WorkspaceError> {
        let io = WorkspaceError::io("snapshots");
        let objects = self.objects();
        let mut pairs = Vec::new();
        if before.tree != after.tree {
            let old = objects.files(&before.id()?).map_err(&io)?;
            let new = objects.files(&after.id()?).map_err(&io)?;
            pairs = differing(old, new);
        }
        let more = pairs.len().saturating_sub(limits.files) as u64;
        pairs.truncate(limits.files);
        let mut shown = Shown {
            objects: &objects,
            limits,
            read: limits.read_bytes,
            left: limits.shown_bytes,
            deadline: Instant::now() + limits.time,
        };
        let items: io::Result<_> = pairs.into_iter().map(|pair| shown.file(pair)).collect();
        Ok(Changes {
            items: items.map_err(&io)?,
            more,
            left_out: before.left_out.most(after.left_out),
        })
    }
}

/// The two sides of a path; at least one is there.
type Pair = (Option<Blob>, Option<Blob>);

/// What isn't on both sides the same; both are sorted by path.
fn differing(old: Vec<Blob>, new: Vec<Blob>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        let pair = match (old.peek(), new.peek()) {
            (None, None) => return pairs,
            (Some(a), Some(b)) if a.path == b.path => (old.next(), new.next()),
            (Some(a), Some(b)) if a.path < b.path => (old.next(), None),
            (Some(_), None) => (old.next(), None),
            (_, Some(_)) => (None, new.next()),
        };
        if pair.0 != pair.1 {
            pairs.push(pair);
        }
    }
}

/// An answer under way.
struct Shown<'a> {
    objects: &'a Objects,
    limits: &'a DiffLimits,
    /// Bytes that may still be compared.
    read: u64,
    /// Bytes of lines that may still be shown.
    left: usize,
    deadline: Instant,
}

impl Shown<'_> {
    fn file(&mut self, (old, new): Pair) -> io::Result<ChangedFile> {
        let change = match (&old, &new) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Deleted,
            _ => ChangeKind::Changed,
        };
        let path = new.as_ref().or(old.as_ref()).map(|blob| blob.path.clone());
        let (before, after) = (self.state(old.as_ref())?, self.state(new.as_ref())?);
        let sizes = [before, after].map(|state| state.map_or(0, |state| state.size));
        let (content, diff) = self.content(old.as_ref(), new.as_ref(), sizes)?;
        Ok(ChangedFile {
            path: path.unwrap_or_default(),
            change,
            before,
            after,
            content,
            diff,
        })
    }

    fn state(&self, blob: Option<&Blob>) -> io::Result<Option<FileState>> {
        let Some(blob) = blob else {
            return Ok(None);
        };
        Ok(Some(FileState {
            size: self.objects.open(&blob.id)?.size,
            executable: blob.executable,
        }))
    }

    fn content(
        &mut self,
        old: Option<&Blob>,
        new: Option<&Blob>,
        sizes: [u64; 2],
    ) -> io::Result<(ContentKind, Option<String>)> {
        if sizes.iter().any(|size| *size > self.limits.file_bytes) {
            return Ok((ContentKind::Large, None));
        }
        let Some(read) = self.read.checked_sub(sizes[0] + sizes[1]) else {
            return Ok((ContentKind::Omitted, None));
        };
        self.read = read;
        let bytes = |blob: Option<&Blob>| match blob {
            None => Ok(Vec::new()),
            Some(blob) => self.objects.open(&blob.id)?.all(),
        };
        let (old, new) = (bytes(old)?, bytes(new)?);
        let (Some(old), Some(new)) = (text::read(&old), text::read(&new)) else {
            return Ok((ContentKind::Binary, None));
        };
        let lines = text::unified(old, new, self.deadline);
        match self.left.checked_sub(lines.len()) {
            None => Ok((ContentKind::Omitted, None)),
            Some(left) => {
                self.left = left;
                Ok((ContentKind::Text, Some(lines)))
            }
        }
    }
}
