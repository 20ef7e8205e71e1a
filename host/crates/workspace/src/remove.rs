//! Removing what an agent left, whatever it left: unreadable folders, links, deep trees.
//! It never looks behind a link.

use crate::tree::list;
use crate::{Folder, WorkspaceError};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::ffi::{CString, OsStr};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Removes a folder of the host's, with all that an agent left in it: also folders that it closed to
/// their owner. Gone already is fine.
///
/// # Errors
/// Where the operating system refuses.
pub fn remove_all(path: &Path) -> Result<(), WorkspaceError> {
    match Folder::open(path) {
        Err(WorkspaceError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error),
        Ok(folder) => remove_below(&folder.fd)?,
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    std::fs::remove_dir(path).map_err(WorkspaceError::io(&name))
}

/// The same, unless the folder holds something of this name. That is asked of the very folder that is
/// emptied: another one that takes its place meanwhile stays.
///
/// # Errors
/// Where the operating system refuses.
pub fn remove_unless_holds(path: &Path, name: &str) -> Result<(), WorkspaceError> {
    let folder = match Folder::open(path) {
        Err(WorkspaceError::NotFound(_)) => return Ok(()),
        opened => opened?,
    };
    if rustix::fs::statat(&folder.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Ok(());
    }
    remove_below(&folder.fd)?;
    match std::fs::remove_dir(path) {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(WorkspaceError::io(name)(error))
        }
        _ => Ok(()),
    }
}

/// A folder that is being emptied. It isn't kept open: how deep they are, an agent decides, and
/// how many a host may have open is the same for all its jobs.
struct Level {
    /// In the folder above it.
    name: CString,
    /// Its device and inode: what `..` must lead back to.
    id: (u64, u64),
    /// The folders in it that are still there.
    folders: Vec<CString>,
}

/// Removes everything below an open folder.
pub(crate) fn remove_below(folder: &OwnedFd) -> Result<(), WorkspaceError> {
    let mut fd = reopen(folder)?;
    let mut levels = vec![Level::begin(&fd, CString::default())?];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.folders.pop() {
            fd = open_anyhow(&fd, &name)?;
            levels.push(Level::begin(&fd, name)?);
            continue;
        }
        if let (Some(empty), Some(above)) = (levels.pop(), levels.last()) {
            fd = above.again(&fd)?;
            rustix::fs::unlinkat(&fd, &empty.name, AtFlags::REMOVEDIR)
                .map_err(|errno| error(&empty.name, errno))?;
        }
    }
    Ok(())
}

impl Level {
    /// Removes all that isn't a folder, and lists the rest.
    fn begin(fd: &OwnedFd, name: CString) -> Result<Self, WorkspaceError> {
        let mut folders = Vec::new();
        for (name, kind) in list(fd, "workspace")? {
            let Ok(name) = CString::new(name) else {
                continue;
            };
            if kind == FileType::Directory {
                folders.push(name);
                continue;
            }
            rustix::fs::unlinkat(fd, &name, AtFlags::empty())
                .map_err(|errno| error(&name, errno))?;
        }
        let id = id(fd, &name)?;
        Ok(Self { name, id, folders })
    }

    /// Opens it from the folder in it, which nobody may have put elsewhere meanwhile.
    fn again(&self, below: &OwnedFd) -> Result<OwnedFd, WorkspaceError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = rustix::fs::openat(below, "..", flags, Mode::empty())
            .map_err(|errno| error(&self.name, errno))?;
        match id(&fd, &self.name)? == self.id {
            true => Ok(fd),
            false => Err(error(&self.name, rustix::io::Errno::XDEV)),
        }
    }
}

fn id(fd: &OwnedFd, name: &CString) -> Result<(u64, u64), WorkspaceError> {
    let stat = rustix::fs::fstat(fd).map_err(|errno| error(name, errno))?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Opens a folder, also one that its owner closed to himself.
fn open_anyhow(parent: &OwnedFd, name: &CString) -> Result<OwnedFd, WorkspaceError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |flags| rustix::fs::openat(parent, name, flags, Mode::empty());
    let fd = open(flags | OFlags::PATH).map_err(|errno| error(name, errno))?;
    // By descriptor, so that a link swapped in meanwhile isn't what changes its mode.
    let by_descriptor = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mode = Mode::from(0o700);
    if rustix::fs::stat(&by_descriptor).is_ok_and(|stat| stat.st_mode & 0o700 != 0o700) {
        rustix::fs::chmod(&by_descriptor, mode).map_err(|errno| error(name, errno))?;
    }
    open(flags | OFlags::RDONLY).map_err(|errno| error(name, errno))
}

fn reopen(folder: &OwnedFd) -> Result<OwnedFd, WorkspaceError> {
    folder.try_clone().map_err(WorkspaceError::io("workspace"))
}

fn error(name: &CString, errno: rustix::io::Errno) -> WorkspaceError {
    let name = OsStr::from_bytes(name.to_bytes()).to_string_lossy();
    WorkspaceError::from_errno(&name, errno)
}
