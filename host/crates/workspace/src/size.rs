//! What a tree takes on the disk, whatever an agent left in it. It follows no link, opens no file,
//! and passes over what it may not read.

use crate::folder::open_below;
use crate::tree::list;
use crate::{Folder, RelativePath, WorkspaceError};
use rustix::fs::{AtFlags, FileType, OFlags, statat};
use std::ffi::CString;

/// A file's blocks are counted in these, whatever the file system's are.
const BLOCK: u64 = 512;

impl Folder {
    /// Bytes that everything at and below this folder takes, as the file system counts them: a
    /// hole in a file takes none.
    ///
    /// # Errors
    /// Where the folder itself can't be read.
    pub fn disk_bytes(&self) -> Result<u64, WorkspaceError> {
        let again = self.fd.try_clone();
        let mut folders = vec![again.map_err(WorkspaceError::io("workspace"))?];
        let mut bytes = 0_u64;
        let mut first = true;
        while let Some(fd) = folders.pop() {
            let listed = match list(&fd, "workspace") {
                Err(error) if first => return Err(error),
                listed => listed.unwrap_or_default(),
            };
            first = false;
            for (name, kind) in listed {
                if let Ok(name) = CString::new(name.clone())
                    && let Ok(stat) = statat(&fd, &name, AtFlags::SYMLINK_NOFOLLOW)
                {
                    let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
                    bytes = bytes.saturating_add(blocks.saturating_mul(BLOCK));
                }
                if kind == FileType::Directory
                    && let Ok(name) = String::from_utf8(name)
                    && let Ok(name) = RelativePath::new(&name)
                    && let Ok(below) = open_below(&fd, &name, OFlags::DIRECTORY | OFlags::NOFOLLOW)
                {
                    folders.push(below);
                }
            }
        }
        Ok(bytes)
    }
}
