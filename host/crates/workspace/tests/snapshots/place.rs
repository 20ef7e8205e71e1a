//! A workspace in a folder of its own, and ways to look at it that aren't the crate's.

use pipeline::{AttemptKey, JobId, SnapshotName};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use workspace::{Root, Snapshot, TreeLimits, Workspace};

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) workspace: Workspace,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let workspace = workspace_in(dir.path());
        workspace.create().unwrap();
        Self { dir, workspace }
    }

    /// Where the agent's file of this path is.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.workspace.files_path().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, content).unwrap();
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.workspace.snapshot(&TreeLimits::default()).unwrap()
    }

    /// Every regular file by path, with its content and whether it can be run.
    pub(crate) fn files(&self) -> BTreeMap<String, (Vec<u8>, bool)> {
        let mut files = BTreeMap::new();
        look(&self.workspace.files_path(), "", &mut files);
        files
    }

    /// What the host keeps beside the files.
    pub(crate) fn kept(&self) -> PathBuf {
        self.workspace.files_path().with_file_name("snapshots")
    }

    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        let mut objects = Vec::new();
        for folder in fs::read_dir(self.kept().join("objects")).unwrap() {
            let folder = folder.unwrap().path();
            if folder.is_dir() {
                objects.extend(fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()));
            }
        }
        objects.sort();
        objects
    }
}

pub(crate) fn workspace_in(dir: &Path) -> Workspace {
    let root = Root::open(&dir.join("workspaces"), "fresh").unwrap();
    root.workspace(job(), None)
}

pub(crate) fn job() -> JobId {
    JobId("018f0000-0000-7000-8000-000000000001".parse().unwrap())
}

/// The snapshot before this attempt of a phase.
pub(crate) fn before(attempt: u32) -> SnapshotName {
    SnapshotName::Before(AttemptKey {
        revision: 1,
        phase: "build".to_owned(),
        attempt,
    })
}

fn look(folder: &Path, prefix: &str, files: &mut BTreeMap<String, (Vec<u8>, bool)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if kind.is_dir() {
            look(&entry.path(), &format!("{name}/"), files);
        } else if kind.is_file() {
            let executable = entry.metadata().unwrap().permissions().mode() & 0o100 != 0;
            files.insert(name, (fs::read(entry.path()).unwrap(), executable));
        } else {
            assert!(
                kind.is_symlink() || kind.is_fifo() || kind.is_socket(),
                "{name}"
            );
        }
    }
}

pub(crate) fn mkfifo(at: &Path) {
    let mode = rustix::fs::Mode::from(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}
