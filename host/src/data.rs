//! The folder of everything that this host keeps: locked by the host that uses it, with the id
//! that makes it the same host after a restart.

use anyhow::{Context, Result, bail};
use pipeline::HostId;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("GANTRY_DATA={shown} can't be made"))?;
        let mut options = File::options();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options
            .open(path.join("lock"))
            .with_context(|| format!("GANTRY_DATA={shown}"))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
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
}
