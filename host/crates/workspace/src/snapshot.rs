//! What a job's files were at some moment, kept beside them where no agent comes: git trees, and a
//! name for each, which is written last. The program `git` is run over none of it.

mod objects;

use crate::remove::remove_below;
use crate::root::make_private;
use crate::{Folder, RelativePath, TreeLimits, Workspace, WorkspaceError};
use gix_hash::ObjectId;
use gix_object::Tree;
use gix_object::tree::{Entry, EntryKind};
pub(crate) use objects::{Blob, Objects};
use pipeline::{LeftOut, SnapshotName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// How often a file is looked at that changes while it is read.
const TRIES: usize = 3;

/// What the files of a workspace were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The git tree's name, in hexadecimal.
    pub tree: String,
    /// What isn't in it.
    #[serde(default)]
    pub left_out: LeftOut,
}

impl Workspace {
    /// Keeps what its files are now. Until it has a [name](Workspace::name_snapshot), nobody
    /// finds it. What is past `limits` is left out, and named as such.
    ///
    /// # Errors
    /// Where the job has no workspace here, or nothing can be written.
    pub fn snapshot(&self, limits: &TreeLimits) -> Result<Snapshot, WorkspaceError> {
        let io = WorkspaceError::io("snapshots");
        let files = self.files()?;
        let walk = files.walk(&RelativePath::new("")?, limits)?;
        make_private(&self.objects_path()).map_err(&io)?;
        let objects = self.objects();
        let mut left_out = walk.left_out;
        let mut left = limits.bytes;
        let mut trees = Trees::default();
        for entry in walk.files {
            let path = RelativePath::new(&entry.path)?;
            match keep(&objects, &files, &path, left).map_err(&io)? {
                Kept::Whole {
                    id,
                    executable,
                    size,
                } => {
                    trees.add(&entry.path, id, executable);
                    left -= size;
                }
                Kept::Large => left_out.large += 1,
                Kept::Changed => left_out.changed += 1,
            }
        }
        let tree = trees.keep(&objects).map_err(&io)?;
        Ok(Snapshot {
            tree: tree.to_string(),
            left_out,
        })
    }

    /// Gives a snapshot its name, in one step, in place of another one of that name.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn name_snapshot(
        &self,
        name: &SnapshotName,
        snapshot: &Snapshot,
    ) -> Result<(), WorkspaceError> {
        let io = WorkspaceError::io("snapshots");
        let path = self.name_path(name);
        let names = self.names_path();
        make_private(&names).map_err(&io)?;
        let text = serde_json::to_vec(snapshot).map_err(|error| io(error.into()))?;
        let mut file = tempfile::NamedTempFile::new_in(&names).map_err(&io)?;
        file.write_all(&text).map_err(&io)?;
        file.persist(&path).map_err(|error| io(error.error))?;
        Ok(())
    }

    /// The snapshot of this name; none where none was taken, or it is gone.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn snapshot_named(&self, name: &SnapshotName) -> Result<Option<Snapshot>, WorkspaceError> {
        let file = name.file_name();
        let io = WorkspaceError::io(&file);
        match fs::read(self.name_path(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(error)),
            Ok(text) => serde_json::from_slice(&text).map_err(|error| io(error.into())),
        }
    }

    /// Puts its files back to what they were. A snapshot that is damaged changes nothing; a crash
    /// in the middle is mended by doing it again.
    ///
    /// # Errors
    /// Where a limit left something out of the snapshot, or an object of it is gone or damaged.
    pub fn put_back(&self, snapshot: &Snapshot) -> Result<(), WorkspaceError> {
        let io = WorkspaceError::io("snapshots");
        snapshot.is_whole()?;
        let objects = self.objects();
        let blobs = objects.files(&snapshot.id()?).map_err(&io)?;
        // What is there is removed only once there is something to put in its place.
        for blob in &blobs {
            if !objects.has(&blob.id) {
                return Err(io(objects::gone(&blob.path)));
            }
        }
        let files = self.files()?;
        remove_below(&files.fd)?;
        for Blob {
            path,
            id,
            executable,
        } in &blobs
        {
            let mode = if *executable { 0o755 } else { 0o644 };
            let mut content = objects.open(id).map_err(&io)?;
            files.put(&RelativePath::new(path)?, &mut content, mode, self.owner())?;
        }
        Ok(())
    }

    pub(crate) fn objects(&self) -> Objects {
        Objects::at(self.objects_path())
    }

    fn objects_path(&self) -> PathBuf {
        self.snapshots_path().join("objects")
    }

    fn names_path(&self) -> PathBuf {
        self.snapshots_path().join("names")
    }

    fn name_path(&self, name: &SnapshotName) -> PathBuf {
        self.names_path().join(name.file_name())
    }
}

impl Snapshot {
    /// That no limit left anything out, so that files can be put back to it.
    ///
    /// # Errors
    /// [`WorkspaceError::Partial`].
    pub fn is_whole(&self) -> Result<(), WorkspaceError> {
        match self.left_out.is_beyond() || self.left_out.changed > 0 {
            true => Err(WorkspaceError::Partial(self.left_out)),
            false => Ok(()),
        }
    }

    pub(crate) fn id(&self) -> Result<ObjectId, WorkspaceError> {
        ObjectId::from_hex(self.tree.as_bytes()).map_err(|error| {
            let source = std::io::Error::new(ErrorKind::InvalidData, error.to_string());
            WorkspaceError::io("snapshots")(source)
        })
    }
}

/// What came of a file.
enum Kept {
    Whole {
        id: ObjectId,
        executable: bool,
        size: u64,
    },
    /// It is more than there is room for.
    Large,
    /// It went, became something else, or changed each time that it was read.
    Changed,
}

/// Keeps a file of at most `most` bytes. An error is one of the store's.
fn keep(
    objects: &Objects,
    files: &Folder,
    path: &RelativePath,
    most: u64,
) -> std::io::Result<Kept> {
    for _ in 0..TRIES {
        let Ok((mut file, size)) = files.file(path) else {
            break;
        };
        if size > most {
            return Ok(Kept::Large);
        }
        let executable = rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_mode & 0o100 != 0);
        if let Some(id) = objects.keep_file(&mut file, size)? {
            return Ok(Kept::Whole {
                id,
                executable,
                size,
            });
        }
    }
    Ok(Kept::Changed)
}

/// Folders of a tree to be, by path.
#[derive(Default)]
struct Trees(BTreeMap<String, Vec<Entry>>);

impl Trees {
    fn add(&mut self, path: &str, id: ObjectId, executable: bool) {
        let kind = match executable {
            true => EntryKind::BlobExecutable,
            false => EntryKind::Blob,
        };
        self.entry(path, kind, id);
        // Every folder on the way is one, whether it holds a file or only folders.
        let mut folder = path;
        while let Some((parent, _)) = folder.rsplit_once('/') {
            self.0.entry(parent.to_owned()).or_default();
            folder = parent;
        }
    }

    fn entry(&mut self, path: &str, kind: EntryKind, oid: ObjectId) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.0.entry(folder.to_owned()).or_default();
        folder.push(Entry {
            mode: kind.into(),
            filename: name.into(),
            oid,
        });
    }

    /// Keeps each folder, those within it first; the name of the whole.
    fn keep(mut self, objects: &Objects) -> std::io::Result<ObjectId> {
        // A path comes after those of the folders that hold it.
        while let Some((path, mut entries)) = self.0.pop_last() {
            entries.sort();
            let id = objects.keep_tree(&Tree { entries })?;
            if path.is_empty() {
                return Ok(id);
            }
            self.entry(&path, EntryKind::Tree, id);
        }
        objects.keep_tree(&Tree::empty())
    }
}
