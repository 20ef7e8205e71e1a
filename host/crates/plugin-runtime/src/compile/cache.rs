//! Compiled plugins on disk, by digest and engine. Every file begins with the SHA-256 of the rest
//! and is written by rename; nothing from outside is ever put here.

use crate::PluginError;
use pipeline::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const CHECKSUM: usize = 32;
/// After that a compiled plugin is made anew, so that the folder doesn't grow for ever.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

pub(super) struct Cache {
    folder: PathBuf,
    engine: String,
    written: AtomicU64,
}

impl Cache {
    /// Makes the folder, or checks that it is this user's alone: what is in it is run as code.
    pub(super) fn open(folder: PathBuf, engine: &str) -> Result<Self, PluginError> {
        let refused = |reason: String| PluginError::Cache {
            path: folder.clone(),
            reason,
        };
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&folder);
        let found = made.and_then(|()| fs::symlink_metadata(&folder));
        let found = found.map_err(|error| refused(format!("{error}; name another folder")))?;
        if !found.is_dir() {
            return Err(refused("isn't a folder; name another one".to_owned()));
        }
        let user = rustix::process::geteuid().as_raw();
        if found.uid() != user {
            let owner = found.uid();
            return Err(refused(format!(
                "belongs to user {owner}, and this host is user {user}; what is in it would be \
                 run as code: name a folder of its own"
            )));
        }
        if found.mode() & 0o022 != 0 {
            return Err(refused(
                "may be written by others, and what is in it would be run as code: chmod it to 700"
                    .to_owned(),
            ));
        }
        prune(&folder);
        Ok(Self {
            folder,
            engine: engine.to_owned(),
            written: AtomicU64::new(0),
        })
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}-{}.cwasm", self.engine))
    }

    /// The code of a digest, where it is here and whole.
    pub(super) fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.file(digest)).ok()?;
        let (checksum, code) = bytes.split_at_checked(CHECKSUM)?;
        if Sha256::digest(code)[..] != *checksum {
            return None;
        }
        bytes.drain(..CHECKSUM);
        Some(bytes)
    }

    pub(super) fn put(&self, digest: &Digest, code: &[u8]) -> io::Result<()> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let name = format!(".{}-{number}.tmp", process::id());
        let temporary = self.folder.join(name);
        let written =
            write(&temporary, code).and_then(|()| fs::rename(&temporary, self.file(digest)));
        if written.is_err() {
            // Left behind it would only be in the way; the error that matters is told.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

fn write(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)
}

/// What can't be looked at or removed is left for the next start.
fn prune(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let age = entry.metadata().and_then(|found| found.modified());
        let age = age.ok().and_then(|written| written.elapsed().ok());
        if age.is_some_and(|age| age > KEPT) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn whole_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path().join("cache"), "e1").unwrap();
        let digest = Digest::of(b"wasm");
        assert_eq!(cache.get(&digest), None);
        cache.put(&digest, b"code").unwrap();
        assert_eq!(cache.get(&digest).as_deref(), Some(&b"code"[..]));
        let mode = fs::metadata(cache.file(&digest)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);

        let mut bytes = fs::read(cache.file(&digest)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(cache.file(&digest), bytes).unwrap();
        assert_eq!(cache.get(&digest), None);
        fs::write(cache.file(&digest), b"short").unwrap();
        assert_eq!(cache.get(&digest), None);
    }

    #[test]
    fn another_engine_has_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"wasm");
        let one = Cache::open(folder.path().join("cache"), "e1").unwrap();
        one.put(&digest, b"code").unwrap();
        let two = Cache::open(folder.path().join("cache"), "e2").unwrap();
        assert_eq!(two.get(&digest), None);
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = Cache::open(open, "e1").err().unwrap();
        assert!(error.to_string().contains("chmod it to 700"), "{error}");
    }
}
