//! The folders of a run that is only tried: below `RUN_DIR`, as a real run's are, so that the
//! engine sees them. They go with the trial.

use anyhow::{Context, Result};
use runner::Owner;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use workspace::{Folder, RelativePath};

/// Of an agent's files, more than any that is as it should be.
const READ_BYTES: usize = 4 << 20;

/// The folder of one trial.
pub(super) struct Place {
    dir: TempDir,
    /// Whether folders are to be given to those whom the agent runs as.
    gives: bool,
}

/// The four folders of one run.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    pub(super) workspace: PathBuf,
    pub(super) run: PathBuf,
    pub(super) out: PathBuf,
    pub(super) session: PathBuf,
}

impl Place {
    pub(super) fn new(run_dir: &Path) -> Result<Self> {
        let made = || {
            fs::create_dir_all(run_dir)?;
            // Short, since the path of a socket in it has to be.
            let mut name = tempfile::Builder::new();
            name.prefix("c-").rand_bytes(6).tempdir_in(run_dir)
        };
        let dir = made().with_context(|| format!("RUN_DIR: {}", run_dir.display()))?;
        Ok(Self {
            dir,
            gives: rustix::process::getuid().is_root(),
        })
    }

    /// Of run `number`, whose prompt is laid ready; in the workspace and with the sessions of an
    /// earlier one, where it goes on with it.
    pub(super) fn folders(
        &self,
        number: usize,
        owner: Owner,
        prompt: &str,
        earlier: Option<&Folders>,
    ) -> Result<Folders> {
        let dir = self.dir.path().join(number.to_string());
        let mut folders = Folders {
            workspace: dir.join("files"),
            run: dir.join("run"),
            out: dir.join("out"),
            session: dir.join("session"),
        };
        if let Some(earlier) = earlier {
            folders.workspace.clone_from(&earlier.workspace);
            folders.session.clone_from(&earlier.session);
        }
        let make = |path: &Path, mode| {
            let mut folder = fs::DirBuilder::new();
            folder.recursive(true).mode(mode).create(path)
        };
        let made = || {
            make(&folders.run, 0o755)?;
            fs::set_permissions(&folders.run, fs::Permissions::from_mode(0o755))?;
            let file = folders.run.join("prompt.md");
            fs::write(&file, prompt)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
            for path in [&folders.workspace, &folders.out, &folders.session] {
                make(path, 0o700)?;
                if self.gives {
                    chown(path, Some(owner.uid), Some(owner.gid))?;
                }
            }
            Ok::<_, std::io::Error>(())
        };
        made().context("the folders of a run")?;
        Ok(folders)
    }

    /// Who may use a run's sockets, where that isn't this program's user.
    pub(super) fn socket_owner(&self, owner: Owner) -> Option<door::Owner> {
        let Owner { uid, gid } = owner;
        self.gives.then_some(door::Owner { uid, gid })
    }
}

impl Folders {
    /// A file that the agent left, and its number; none where it isn't there as a regular file.
    pub(super) fn read(&self, name: &str) -> Option<(Vec<u8>, u64)> {
        let folder = Folder::open(&self.out).ok()?;
        let path = RelativePath::new(name).ok()?;
        let (file, _) = folder.file(&path).ok()?;
        let number = file.metadata().ok()?.ino();
        let bytes = folder.read(&path, 0, READ_BYTES).ok()?;
        Some((bytes, number))
    }
}
