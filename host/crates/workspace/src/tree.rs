//! Writing below a folder, and what one folder holds. It follows nothing that an agent left in
//! the way.

use crate::folder::open_below;
use crate::{Folder, Owner, RelativePath, WorkspaceError};
use pipeline::StagedFile;
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags};
use std::fs::File;
use std::io::{Read, Write};

impl Folder {
    /// Writes files of the host's into the folder, each by rename, so that a link in its place
    /// is replaced and never followed. Folders on the way are made.
    ///
    /// # Errors
    /// Where a path is wrong, or something that isn't a folder is in the way.
    pub fn write(&self, files: &[StagedFile], owner: Option<Owner>) -> Result<(), WorkspaceError> {
        for file in files {
            let path = RelativePath::new(&file.path)?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            self.put(&path, &mut file.content.as_slice(), mode, owner)?;
        }
        Ok(())
    }

    pub(crate) fn put(
        &self,
        path: &RelativePath,
        content: &mut dyn Read,
        mode: u32,
        owner: Option<Owner>,
    ) -> Result<u64, WorkspaceError> {
        let errno = |errno| WorkspaceError::from_errno(path.as_str(), errno);
        let io = WorkspaceError::io(path.as_str());
        let Some((parent, name)) = path.split() else {
            return Err(WorkspaceError::NotAFile(path.as_str().to_owned()));
        };
        let dir = self.make(&parent, owner)?;
        let temporary = format!(".gantry-{}", pipeline::Digest::of(name.as_bytes()).short());
        // What an earlier, interrupted write left, or what an agent put there.
        let _ = rustix::fs::unlinkat(&dir, &temporary, rustix::fs::AtFlags::empty());
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let flags = flags | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&dir, &temporary, flags, Mode::from(mode)).map_err(errno)?;
        give(&fd, owner).map_err(errno)?;
        rustix::fs::fchmod(&fd, Mode::from(mode)).map_err(errno)?;
        let mut file = File::from(fd);
        let bytes = std::io::copy(content, &mut file).map_err(&io)?;
        file.flush().map_err(&io)?;
        rustix::fs::renameat(&dir, &temporary, &dir, name).map_err(errno)?;
        Ok(bytes)
    }

    /// The folder at `path`, made where it isn't there.
    pub(crate) fn make(
        &self,
        path: &RelativePath,
        owner: Option<Owner>,
    ) -> Result<OwnedFd, WorkspaceError> {
        let mut fd = dup(&self.fd, path.as_str())?;
        for part in path.as_str().split('/').filter(|part| !part.is_empty()) {
            let part = RelativePath::new(part)?;
            let made = match rustix::fs::mkdirat(&fd, part.as_str(), Mode::from(0o755)) {
                Ok(()) => true,
                Err(rustix::io::Errno::EXIST) => false,
                Err(errno) => return Err(WorkspaceError::from_errno(path.as_str(), errno)),
            };
            fd = open_below(&fd, &part, OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
            if made {
                give(&fd, owner).map_err(|e| WorkspaceError::from_errno(path.as_str(), e))?;
            }
        }
        Ok(fd)
    }
}

/// What a folder holds: names as they are, and kinds that are looked up where the file system
/// doesn't say.
pub(crate) fn list(fd: &OwnedFd, path: &str) -> Result<Vec<(Vec<u8>, FileType)>, WorkspaceError> {
    let errno = |errno| WorkspaceError::from_errno(path, errno);
    let mut names = Vec::new();
    for entry in Dir::read_from(fd).map_err(errno)? {
        let entry = entry.map_err(errno)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                match rustix::fs::statat(fd, name, flags) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(_) => continue,
                }
            }
            kind => kind,
        };
        names.push((name.to_bytes().to_vec(), kind));
        // A listing of one folder is bounded too, well past any limit on a tree.
        past("the number of entries", names.len() as u64, 2_000_000)?;
    }
    Ok(names)
}

pub(crate) fn past(what: &str, count: u64, limit: u64) -> Result<(), WorkspaceError> {
    if count <= limit {
        return Ok(());
    }
    Err(WorkspaceError::TooLarge {
        what: format!("{what}, {count},"),
        limit,
    })
}

fn dup(fd: &OwnedFd, path: &str) -> Result<OwnedFd, WorkspaceError> {
    fd.try_clone().map_err(WorkspaceError::io(path))
}

fn give(fd: &OwnedFd, owner: Option<Owner>) -> Result<(), rustix::io::Errno> {
    match owner {
        None => Ok(()),
        Some(Owner { uid, gid }) => rustix::fs::fchown(
            fd,
            Some(rustix::fs::Uid::from_raw(uid)),
            Some(rustix::fs::Gid::from_raw(gid)),
        ),
    }
}
