//! A run's own folder, below `RUN_DIR`: what the agent is shown, what it may write, and what
//! only the host knows. It stands for as long as the run's outcome isn't committed.
//!
//! ```text
//! RUN_DIR/0123456789abcdef/key.json    whose: for the reaper
//!                         /token       the run's token for the gateway
//!                         /staged      the task's files are in the workspace
//!                         /run/…       bound read-only: prompt.md, model.sock, proxy.sock
//!                         /out/…       the agent's: agent.jsonl, status.json
//! ```

use pipeline::RunKey;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use workspace::Owner;

/// The folder of one run.
#[derive(Clone, Debug)]
pub(crate) struct RunFolder {
    dir: PathBuf,
}

impl RunFolder {
    pub(crate) fn of(run_dir: &Path, key: &RunKey) -> Self {
        Self {
            dir: run_dir.join(key.short()),
        }
    }

    /// Makes it ready, where it isn't: safe to do again, also while the agent works.
    pub(crate) fn prepare(
        &self,
        key: &RunKey,
        prompt: &str,
        owner: Option<Owner>,
    ) -> io::Result<()> {
        private(&self.dir)?;
        write_once(&self.dir.join("key.json"), &serde_json::to_vec(key)?, 0o600)?;
        write_once(&self.dir.join("token"), new_token().as_bytes(), 0o600)?;
        // Readable by the job's uid, written by nobody but the host.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(self.run())?;
        fs::set_permissions(self.run(), fs::Permissions::from_mode(0o755))?;
        write_once(&self.run().join("prompt.md"), prompt.as_bytes(), 0o644)?;
        private(&self.out())?;
        if let Some(Owner { uid, gid }) = owner {
            // The folder above opens for nobody, but an engine binds what is in it.
            std::os::unix::fs::lchown(self.out(), Some(uid), Some(gid))?;
        }
        Ok(())
    }

    /// Bound read-only where the agent runs.
    pub(crate) fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// What the agent writes about its run.
    pub(crate) fn out(&self) -> PathBuf {
        self.dir.join("out")
    }

    /// The run's token; the same after a restart, since the agent holds it.
    pub(crate) fn token(&self) -> io::Result<String> {
        fs::read_to_string(self.dir.join("token"))
    }

    /// Whether the files of the task were staged: then they never are again, since the agent
    /// may be at work on them.
    pub(crate) fn was_staged(&self) -> bool {
        self.dir.join("staged").exists()
    }

    /// Notes that the files of the task were staged.
    pub(crate) fn set_staged(&self) -> io::Result<()> {
        fs::write(self.dir.join("staged"), "")
    }

    /// With what the agent left in it; gone already is fine.
    pub(crate) fn remove(&self) -> io::Result<()> {
        workspace::remove_all(&self.dir).map_err(io::Error::other)
    }

    /// Every run that has a folder here, with the folder's age.
    pub(crate) fn all(run_dir: &Path) -> io::Result<Vec<(RunKey, Self, std::time::Duration)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(run_dir)? {
            let dir = entry?.path();
            let Ok(json) = fs::read(dir.join("key.json")) else {
                continue;
            };
            let Ok(key) = serde_json::from_slice::<RunKey>(&json) else {
                continue;
            };
            let age = fs::metadata(&dir)?
                .modified()?
                .elapsed()
                .unwrap_or_default();
            found.push((key, Self { dir }, age));
        }
        Ok(found)
    }
}

fn private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Writes a file by rename, unless it is there.
fn write_once(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&partial)?;
    io::Write::write_all(&mut file, content)?;
    fs::rename(&partial, path)
}

/// 122 random bits, as a version 4 UUID has them.
fn new_token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_look_changes_neither_token_nor_prompt() {
        let dir = tempfile::tempdir().unwrap();
        let key = RunKey {
            job: "018f0000-0000-7000-8000-000000000001".parse().unwrap(),
            revision: 1,
            phase: "idea".into(),
            attempt: 1,
            task: "idea".into(),
            run: 1,
        };
        let folder = RunFolder::of(dir.path(), &key);
        folder.prepare(&key, "first", None).unwrap();
        let token = folder.token().unwrap();
        folder.prepare(&key, "second", None).unwrap();
        assert_eq!(folder.token().unwrap(), token);
        assert_eq!(
            fs::read_to_string(folder.run().join("prompt.md")).unwrap(),
            "first"
        );
        assert!(!folder.was_staged());
        folder.set_staged().unwrap();
        assert!(folder.was_staged());
        let all = RunFolder::all(dir.path()).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].0, key);
        // An agent that is of the host's user may close it to both.
        fs::write(folder.out().join("agent.jsonl"), "").unwrap();
        fs::set_permissions(folder.out(), fs::Permissions::from_mode(0o000)).unwrap();
        folder.remove().unwrap();
        folder.remove().unwrap();
        assert!(RunFolder::all(dir.path()).unwrap().is_empty());
    }
}
