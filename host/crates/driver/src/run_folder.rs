//! A run's own folder, below `RUN_DIR`: what the agent is shown, what it may write, and what
//! only the host knows. It stands for as long as the run's outcome isn't committed.
//!
//! ```text
//! RUN_DIR/0123456789abcdef/key.json    whose: for the reaper
//!                         /token       the run's token for the gateway
//!                         /staged      the task's files are in the workspace
//!                         /disk.json   what the agent's files took before it began
//!                         /run/…       bound read-only: prompt.md, model.sock, proxy.sock
//!                         /out/…       the agent's: agent.jsonl, status.json
//!        /.new-…, .gone-…              on its way in or out: nobody's
//! ```
//!
//! It comes and goes by a rename, so that it has its key for as long as it has its name, wherever
//! a host stops: without a key the reaper couldn't tell whose it is.

use pipeline::{DiskUse, RunKey};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;
use workspace::Owner;

const KEY: &str = "key.json";
/// On the way in.
const NEW: &str = ".new-";
/// On the way out.
const GONE: &str = ".gone-";

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
        self.place(key)?;
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

    /// What the agent's files took before it began, by whoever looked first: a run that is adopted
    /// keeps its limit.
    pub(crate) fn disk_at_start(
        &self,
        look: impl FnOnce() -> io::Result<DiskUse>,
    ) -> io::Result<DiskUse> {
        let path = self.dir.join("disk.json");
        if !path.exists() {
            let DiskUse {
                bytes,
                entries,
                hidden,
            } = look()?;
            write_once(
                &path,
                &serde_json::to_vec(&[bytes, entries, hidden])?,
                0o600,
            )?;
        }
        let [bytes, entries, hidden]: [u64; 3] = serde_json::from_slice(&fs::read(&path)?)?;
        Ok(DiskUse {
            bytes,
            entries,
            hidden,
        })
    }

    /// With what the agent left in it; gone already is fine.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let gone = self.beside(GONE);
        match fs::rename(&self.dir, &gone) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => removed(&gone),
        }
    }

    /// Puts the folder at its name with the key in it, unless it is there.
    fn place(&self, key: &RunKey) -> io::Result<()> {
        if self.key().is_some() {
            return Ok(());
        }
        // A host that stood still just here may find another's in its place: that one has its key.
        self.remove_keyless()?;
        let new = self.beside(NEW);
        let placed = private(&new)
            .and_then(|()| {
                let key = serde_json::to_vec(key)?;
                write_once(&new.join(KEY), &key, 0o600)
            })
            .and_then(|()| match fs::rename(&new, &self.dir) {
                // It was put there meanwhile, or its key is damaged: it is the same key.
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                    fs::rename(new.join(KEY), self.dir.join(KEY))
                }
                renamed => renamed,
            });
        // What stays, as on a full disk, the reaper will find.
        let _ = removed(&new);
        placed
    }

    /// Removes what an older host left without its key, and nothing that has one.
    fn remove_keyless(&self) -> io::Result<()> {
        workspace::remove_unless_holds(&self.dir, KEY).map_err(io::Error::other)
    }

    fn beside(&self, prefix: &str) -> PathBuf {
        let name = format!("{prefix}{}", Uuid::new_v4().simple());
        self.dir.with_file_name(name)
    }

    /// Whose it is; none where that can't be read.
    fn key(&self) -> Option<RunKey> {
        serde_json::from_slice(&fs::read(self.dir.join(KEY)).ok()?).ok()
    }

    /// Its name in `RUN_DIR`.
    pub(crate) fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Every folder of a run here.
    pub(crate) fn all(run_dir: &Path) -> io::Result<Vec<Listed>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(run_dir)? {
            let entry = entry?;
            let Some(on_its_way) = entry.file_name().to_str().and_then(ours) else {
                continue;
            };
            let folder = Self { dir: entry.path() };
            // Its run may end while it is looked at.
            let Ok(modified) = entry.metadata().and_then(|it| it.modified()) else {
                continue;
            };
            found.push(Listed {
                key: folder.key().filter(|_| !on_its_way),
                folder,
                age: modified.elapsed().unwrap_or_default(),
            });
        }
        Ok(found)
    }
}

/// A folder of a run.
pub(crate) struct Listed {
    /// Whose; none of one that is on its way in or out, or damaged.
    pub(crate) key: Option<RunKey>,
    pub(crate) folder: RunFolder,
    pub(crate) age: Duration,
}

impl Listed {
    /// Removes it. One without a key may have got one since it was looked at, and stays then.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match (&self.key, ours(&self.folder.name())) {
            (None, Some(false)) => self.folder.remove_keyless(),
            _ => self.folder.remove(),
        }
    }
}

/// Whether a folder of this name is on its way in or out; none where it isn't a run's.
fn ours(name: &str) -> Option<bool> {
    if name.starts_with(NEW) || name.starts_with(GONE) {
        return Some(true);
    }
    let hex = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    (name.len() == 16 && name.bytes().all(hex)).then_some(false)
}

fn removed(dir: &Path) -> io::Result<()> {
    workspace::remove_all(dir).map_err(io::Error::other)
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
    // Else a power cut may leave the name and not the content.
    file.sync_all()?;
    fs::rename(&partial, path)
}

/// 122 random bits, as a version 4 UUID has them.
fn new_token() -> String {
    Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> RunKey {
        RunKey {
            job: "018f0000-0000-7000-8000-000000000001".parse().unwrap(),
            revision: 1,
            phase: "idea".into(),
            attempt: 1,
            task: "idea".into(),
            run: 1,
        }
    }

    #[test]
    fn one_that_lost_its_key_is_found_and_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::of(dir.path(), &key());
        folder.prepare(&key(), "first", None).unwrap();
        for damaged in [None, Some("{")] {
            let path = folder.dir.join("key.json");
            match damaged {
                None => fs::remove_file(&path).unwrap(),
                Some(half) => fs::write(&path, half).unwrap(),
            }
            let all = RunFolder::all(dir.path()).unwrap();
            assert_eq!(all.len(), 1);
            assert_eq!(all[0].key, None);
            folder.prepare(&key(), "second", None).unwrap();
            assert_eq!(RunFolder::all(dir.path()).unwrap()[0].key, Some(key()));
        }
    }

    #[test]
    fn a_host_that_stood_still_removes_nothing_that_has_its_key_by_now() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::of(dir.path(), &key());
        fs::create_dir_all(folder.out()).unwrap();
        let listed = RunFolder::all(dir.path()).unwrap().remove(0);
        assert_eq!(listed.key, None);
        folder.prepare(&key(), "first", None).unwrap();
        listed.remove().unwrap();
        folder.remove_keyless().unwrap();
        assert_eq!(RunFolder::all(dir.path()).unwrap()[0].key, Some(key()));
        assert!(folder.run().join("prompt.md").is_file());
    }

    #[test]
    fn what_a_host_left_on_its_way_in_or_out_is_found_and_what_isn_t_a_run_s_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".new-1", ".gone-1", "shims", "0123456789abcdeg", "notes"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let all = RunFolder::all(dir.path()).unwrap();
        let mut names: Vec<String> = all.iter().map(|it| it.folder.name()).collect();
        names.sort();
        assert_eq!(names, [".gone-1", ".new-1"]);
        for it in all {
            assert_eq!(it.key, None);
            it.remove().unwrap();
        }
        assert!(RunFolder::all(dir.path()).unwrap().is_empty());
        assert!(dir.path().join("notes").is_dir());
    }

    #[test]
    fn a_second_look_changes_neither_token_nor_prompt() {
        let dir = tempfile::tempdir().unwrap();
        let key = key();
        let folder = RunFolder::of(dir.path(), &key);
        folder.prepare(&key, "first", None).unwrap();
        let token = folder.token().unwrap();
        folder.prepare(&key, "second", None).unwrap();
        assert_eq!(folder.token().unwrap(), token);
        assert_eq!(
            fs::read_to_string(folder.run().join("prompt.md")).unwrap(),
            "first"
        );
        let found = DiskUse::of_bytes(7);
        assert_eq!(folder.disk_at_start(|| Ok(found)).unwrap(), found);
        let later = folder.disk_at_start(|| panic!("it was looked at before"));
        assert_eq!(later.unwrap(), found);
        assert!(!folder.was_staged());
        folder.set_staged().unwrap();
        assert!(folder.was_staged());
        let all = RunFolder::all(dir.path()).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].key, Some(key));
        // An agent that is of the host's user may close it to both.
        fs::write(folder.out().join("agent.jsonl"), "").unwrap();
        fs::set_permissions(folder.out(), fs::Permissions::from_mode(0o000)).unwrap();
        folder.remove().unwrap();
        folder.remove().unwrap();
        assert!(RunFolder::all(dir.path()).unwrap().is_empty());
    }
}
