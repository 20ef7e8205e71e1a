//! An open folder, and what may be done below it. Every open goes through the kernel's
//! `openat2` with BENEATH and NO_SYMLINKS: there is no check that a swap could outrun.

use crate::{RelativePath, WorkspaceError};
use pipeline::FileEntry;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use rustix::path::Arg;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A folder that an agent may have written in.
#[derive(Debug)]
pub struct Folder {
    pub(crate) fd: OwnedFd,
}

/// Some of a folder's files, and whether there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Sorted by path.
    pub items: Vec<FileEntry>,
    /// Whether more follow the last one.
    pub more: bool,
}

/// The kernel's own guard: nothing below can lead out.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

impl Folder {
    /// Opens a folder of the host's own; the path itself may be anywhere, what is at its end
    /// may not be a link.
    ///
    /// # Errors
    /// Where it isn't there or isn't a folder.
    pub fn open(path: &Path) -> Result<Self, WorkspaceError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| WorkspaceError::from_errno(&name, errno))?;
        Ok(Self { fd })
    }

    /// A folder below this one.
    ///
    /// # Errors
    /// Where it isn't there, isn't a folder, or a link is in the way.
    pub fn folder(&self, path: &RelativePath) -> Result<Self, WorkspaceError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
        Ok(Self {
            fd: open_below(&self.fd, path, flags)?,
        })
    }

    /// A regular file below this one, open for reading, and its size in bytes.
    ///
    /// # Errors
    /// Where it isn't there, isn't a regular file, or a link is in the way.
    pub fn file(&self, path: &RelativePath) -> Result<(File, u64), WorkspaceError> {
        // NONBLOCK: the open of a FIFO must not wait for somebody who writes.
        let fd = open_below(&self.fd, path, OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = fstat(&fd).map_err(|errno| WorkspaceError::from_errno(path.as_str(), errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(WorkspaceError::NotAFile(path.as_str().to_owned()));
        }
        Ok((File::from(fd), u64::try_from(stat.st_size).unwrap_or(0)))
    }

    /// A regular file's path and size.
    ///
    /// # Errors
    /// As [`Folder::file`].
    pub fn stat(&self, path: &RelativePath) -> Result<FileEntry, WorkspaceError> {
        let (_, size) = self.file(path)?;
        Ok(FileEntry {
            path: path.as_str().to_owned(),
            size,
        })
    }

    /// At most `length` bytes from `offset`; fewer only at the end.
    ///
    /// # Errors
    /// As [`Folder::file`].
    pub fn read(
        &self,
        path: &RelativePath,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, WorkspaceError> {
        let (file, size) = self.file(path)?;
        let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(left)];
        let mut filled = 0;
        while filled < bytes.len() {
            let at = offset + filled as u64;
            match file.read_at(&mut bytes[filled..], at) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(WorkspaceError::io(path.as_str())(error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Regular files at and below `dir`, sorted by path, after `after`, at most `limit`.
    ///
    /// # Errors
    /// Where `dir` isn't a folder, or the tree is past `limits`.
    pub fn page(
        &self,
        dir: &RelativePath,
        after: Option<&str>,
        limit: usize,
        limits: &crate::TreeLimits,
    ) -> Result<Page, WorkspaceError> {
        let mut items = self.files(dir, limits)?;
        if let Some(after) = after {
            items.retain(|entry| entry.path.as_str() > after);
        }
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(Page { items, more })
    }
}

/// Opens for reading, below `dir`; links, `..` and other file systems' tricks end in an error.
pub(crate) fn open_below(
    dir: impl AsFd,
    path: &RelativePath,
    flags: OFlags,
) -> Result<OwnedFd, WorkspaceError> {
    open_beneath(dir, path.for_open(), flags).map_err(|errno| match errno {
        Errno::AGAIN => WorkspaceError::InvalidPath {
            path: path.as_str().to_owned(),
            why: "it kept changing while it was opened",
        },
        errno => WorkspaceError::from_errno(path.as_str(), errno),
    })
}

/// The same by a name as the file system has it, in the kernel's own words.
pub(crate) fn open_beneath(
    dir: impl AsFd,
    path: impl Arg + Copy,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    // EAGAIN: a rename raced with the look-up; the kernel asks to try again.
    for _ in 0..64 {
        match openat2(&dir, path, flags, Mode::empty(), BENEATH) {
            Err(Errno::AGAIN) => {}
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}
