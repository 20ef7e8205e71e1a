//! What hosts of one database share on disk: workspaces, runs and sites, so that one may take
//! over another's job. Each keeps a data folder of its own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::host::Setup;
use super::processes::{self, Process};

/// The folder.
pub struct Shared {
    folder: TempDir,
    /// It is a file system of its own, with a size.
    mounted: bool,
}

impl Shared {
    /// An empty one.
    ///
    /// # Panics
    /// Where none can be made.
    #[must_use]
    pub fn new() -> Self {
        // Short, as the paths of the sockets in it must be.
        let folder = tempfile::Builder::new().prefix("gs-").tempdir_in("/tmp");
        Self {
            folder: folder.unwrap(),
            mounted: false,
        }
    }

    /// An empty one on a small file system of its own, which can be filled up. None: this
    /// isn't root, or may not mount.
    #[must_use]
    pub fn small(megabytes: u32) -> Option<Self> {
        let mut shared = Self::new();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={megabytes}m,mode=755"))
            .arg("gantry-test")
            .arg(shared.path())
            .stderr(Stdio::null())
            .status();
        shared.mounted = mount.is_ok_and(|status| status.success());
        shared.mounted.then_some(shared)
    }

    /// Fills the file system up, until what this answers is removed.
    pub fn fill(&self) -> Option<PathBuf> {
        if !self.mounted {
            return None;
        }
        let path = self.path().join("filler");
        let mut file = File::create(&path).ok()?;
        for block in [vec![0; 1 << 20], vec![0; 1 << 10]] {
            while file.write_all(&block).is_ok() {}
        }
        Some(path)
    }

    /// A host that uses it.
    #[must_use]
    pub fn setup(&self, setup: Setup) -> Setup {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        setup
            .set("WORKSPACE_PATH", path("w"))
            .set("RUN_DIR", path("r"))
            .set("DEPLOY_DIR", path("s"))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What stands in the folder of runs, the process runner's among them.
    #[must_use]
    pub fn run_folders(&self) -> Vec<String> {
        runs(&self.folder.path().join("r"))
    }

    /// The processes that belong to its hosts and runs, the hosts among them.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        processes::that_name(self.folder.path())
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.mounted {
            let unmounted = Command::new("umount")
                .arg("--lazy")
                .arg(self.path())
                .status();
            if !unmounted.is_ok_and(|status| status.success()) {
                println!("{} is still mounted", self.path().display());
            }
        }
    }
}

/// The entries of a folder of runs, and of the process runner's below it.
pub(super) fn runs(folder: &Path) -> Vec<String> {
    let entries = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    let mut all = entries(folder);
    all.retain(|name| name != "shims");
    all.extend(entries(&folder.join("shims")));
    all
}
