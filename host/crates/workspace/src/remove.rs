//! Removing what an agent left, whatever it left: unreadable folders, links, deep trees.
//! It never looks behind a link.

use crate::tree::list;
use crate::{Folder, WorkspaceError};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::ffi::{CString, OsStr};
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

/// Removes everything below an open folder.
pub(crate) fn remove_below(folder: &OwnedFd) -> Result<(), WorkspaceError> {
    // A list of folders rather than recursion: an agent decides how deep they are.
    let mut open = vec![(reopen(folder)?, None::<CString>)];
    while let Some((fd, _)) = open.last() {
        match remove_files(fd)? {
            Some((child, name)) => open.push((child, Some(name))),
            None => {
                let Some((_, name)) = open.pop() else { break };
                if let (Some((parent, _)), Some(name)) = (open.last(), name) {
                    rustix::fs::unlinkat(parent, &name, AtFlags::REMOVEDIR)
                        .map_err(|errno| error(&name, errno))?;
                }
            }
        }
    }
    Ok(())
}

/// Removes all that isn't a folder; the first folder that is found, open.
fn remove_files(fd: &OwnedFd) -> Result<Option<(OwnedFd, CString)>, WorkspaceError> {
    for (name, kind) in list(fd, "workspace")? {
        let Ok(name) = CString::new(name) else {
            continue;
        };
        if kind == FileType::Directory {
            return Ok(Some((open_anyhow(fd, &name)?, name)));
        }
        rustix::fs::unlinkat(fd, &name, AtFlags::empty()).map_err(|errno| error(&name, errno))?;
    }
    Ok(None)
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
