//! Whole trees: listing, writing and copying, with their limits. Only regular files count;
//! everything else an agent left is passed over.

use crate::folder::open_below;
use crate::{Folder, Owner, RelativePath, WorkspaceError};
use pipeline::{FileEntry, StagedFile};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags};
use std::fs::File;
use std::io::{Read, Write};

/// How much of a tree is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeLimits {
    /// Entries of any kind.
    pub entries: u64,
    /// Folders within each other.
    pub depth: u64,
    /// Bytes that are copied.
    pub bytes: u64,
}

impl Default for TreeLimits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            depth: 64,
            bytes: 1 << 30,
        }
    }
}

impl Folder {
    /// Every regular file at and below `dir`, sorted by path. Names that aren't UTF-8, links,
    /// FIFOs, sockets, devices and folders that may not be read are left out.
    ///
    /// # Errors
    /// Where `dir` isn't a folder, or there is more than `limits` allow.
    pub fn files(
        &self,
        dir: &RelativePath,
        limits: &TreeLimits,
    ) -> Result<Vec<FileEntry>, WorkspaceError> {
        let mut files = Vec::new();
        let mut entries = 0;
        let mut folders = vec![(self.folder(dir)?.fd, dir.as_str().to_owned(), 0)];
        while let Some((fd, path, depth)) = folders.pop() {
            for (name, kind) in list(&fd, &path)? {
                entries += 1;
                past("the number of entries", entries, limits.entries)?;
                let Ok(name) = String::from_utf8(name) else {
                    continue;
                };
                let Ok(relative) = RelativePath::new(&name) else {
                    continue;
                };
                let full = if path.is_empty() {
                    name
                } else {
                    format!("{path}/{name}")
                };
                match kind {
                    FileType::Directory => {
                        past("the depth of folders", depth + 1, limits.depth)?;
                        match open_below(&fd, &relative, OFlags::DIRECTORY | OFlags::NOFOLLOW) {
                            Ok(fd) => folders.push((fd, full, depth + 1)),
                            Err(_) => continue, // Removed, swapped or closed to us.
                        }
                    }
                    FileType::RegularFile => {
                        let folder = Folder {
                            fd: dup(&fd, &full)?,
                        };
                        if let Ok(entry) = folder.stat(&relative) {
                            files.push(FileEntry {
                                path: full,
                                size: entry.size,
                            });
                        }
                    }
                    _ => {}
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

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

    fn put(
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

/// Copies every regular file of `from` into `to`; the number of files and of bytes.
///
/// # Errors
/// Where there is more than `limits` allow, or a file changed its kind meanwhile.
pub fn copy_tree(
    from: &Folder,
    to: &Folder,
    limits: &TreeLimits,
    owner: Option<Owner>,
) -> Result<(u64, u64), WorkspaceError> {
    let mut copied = 0;
    let files = from.files(&RelativePath::new("")?, limits)?;
    let total = files
        .iter()
        .fold(0_u64, |sum, file| sum.saturating_add(file.size));
    past("the size in bytes", total, limits.bytes)?;
    for entry in &files {
        let path = RelativePath::new(&entry.path)?;
        let (file, _) = from.file(&path)?;
        let executable = rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_mode & 0o100 != 0);
        // It may have grown since it was listed: no more than the limit is ever copied.
        let left = limits.bytes.saturating_sub(copied) + 1;
        let mode = if executable { 0o755 } else { 0o644 };
        copied += to.put(&path, &mut file.take(left), mode, owner)?;
        past("the size in bytes", copied, limits.bytes)?;
    }
    Ok((files.len() as u64, copied))
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

fn past(what: &str, count: u64, limit: u64) -> Result<(), WorkspaceError> {
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
