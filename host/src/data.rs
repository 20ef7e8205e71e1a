//! The folder of everything that this host keeps: locked by the host that uses it, with the id
//! that makes it the same host after a restart.

use anyhow::{Context, Result, bail};
use pipeline::HostId;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder, for as long as it is locked.
pub(crate) struct Data {
    pub(crate) host: HostId,
    pub(crate) cache: PathBuf,
    _lock: File,
}

impl Data {
    /// Makes and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        make(path)?;
        let mut options = File::options();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options
            .open(path.join("lock"))
            .with_context(|| format!("GANTRY_DATA={shown}"))?;
        let taken = take(&lock, || std::thread::sleep(PAUSE));
        if !taken.with_context(|| format!("GANTRY_DATA={shown} can't be locked"))? {
            bail!(
                "GANTRY_DATA={shown} is in use by another host: stop that one, give this one a \
                 folder of its own, or use PostgreSQL (DATABASE_URL) for many hosts"
            );
        }
        let cache = path.join("cache");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&cache)?;
        Ok(Self {
            host: host_id(path)?,
            cache,
            _lock: lock,
        })
    }
}

/// Makes the folder, for this user only, where it isn't there.
pub(crate) fn make(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("GANTRY_DATA={} can't be made", path.display()))
}

/// Looks for a lock that is held, and the time between two of them: two seconds in all, since
/// whoever starts a host anew may do so before the killed one is gone.
const LOOKS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// Whether the lock is had.
fn take(lock: &File, mut pause: impl FnMut()) -> std::io::Result<bool> {
    for look in 0..=LOOKS {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) if look < LOOKS => pause(),
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

fn host_id(path: &Path) -> Result<HostId> {
    let file = path.join("host-id");
    match fs::read_to_string(&file) {
        Ok(id) if !id.trim().is_empty() => return Ok(HostId(id.trim().to_owned())),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = pipeline::slug_from(name.trim());
    let random = uuid::Uuid::new_v4().simple().to_string();
    let id = format!("{name}-{}", &random[..8]);
    fs::write(&file, &id).context("the host's id can't be kept in GANTRY_DATA")?;
    Ok(HostId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hosts_dont_share_a_folder_and_one_is_the_same_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = Data::open(dir.path()).unwrap();
        let error = Data::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("in use by another host"), "{error}");
        let id = first.host.clone();
        drop(first);
        assert_eq!(Data::open(dir.path()).unwrap().host, id);
    }

    #[test]
    fn a_host_that_is_about_to_be_gone_is_waited_for_and_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let lock = || File::create(dir.path().join("lock")).unwrap();
        let first = lock();
        assert!(take(&first, || panic!("it is free")).unwrap());
        let mut waits = 0;
        assert!(!take(&lock(), || waits += 1).unwrap());
        assert_eq!(waits, LOOKS);
        assert_eq!(PAUSE * LOOKS, Duration::from_secs(2));
        // It goes just before the last look.
        let (mut dying, mut waits) = (Some(first), 0);
        let second = lock();
        let taken = take(&second, || {
            waits += 1;
            if waits == LOOKS {
                dying.take();
            }
        });
        assert!(taken.unwrap());
    }
}
