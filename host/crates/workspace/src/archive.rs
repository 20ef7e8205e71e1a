//! A folder's regular files as one tar archive, made while it is read: nothing of it is kept
//! anywhere. Owners and links aren't in it.

use crate::{Folder, RelativePath, TreeLimits, WorkspaceError};
use pipeline::{FileEntry, LeftOut};
use std::io::{self, Cursor, ErrorKind, Read};
use std::os::unix::fs::MetadataExt as _;
use std::vec;

/// An archive's blocks.
const BLOCK: u64 = 512;

/// An archive, to be read.
pub struct Archive {
    folder: Folder,
    files: vec::IntoIter<FileEntry>,
    part: Box<dyn Read + Send>,
    /// Whether `part` is what ends an archive.
    ends: bool,
    left_out: LeftOut,
}

impl Folder {
    /// Its regular files, and those below it, within `limits`.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn archive(self, limits: &TreeLimits) -> Result<Archive, WorkspaceError> {
        let walk = self.walk(&RelativePath::new("")?, limits)?;
        let walk = walk.within(limits.bytes);
        Ok(Archive {
            folder: self,
            files: walk.files.into_iter(),
            part: Box::new(io::empty()),
            ends: false,
            left_out: walk.left_out,
        })
    }
}

impl Archive {
    /// What isn't in it.
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// The next file's header and content, or the end; none after that.
    fn next(&mut self) -> io::Result<Option<Box<dyn Read + Send>>> {
        for entry in self.files.by_ref() {
            let path = RelativePath::new(&entry.path).map_err(io::Error::other)?;
            // It may have gone since it was listed.
            let Ok((file, size)) = self.folder.file(&path) else {
                continue;
            };
            let head = head(&entry.path, &file, size)?;
            let padding = (BLOCK - size % BLOCK) % BLOCK;
            let content = Exactly { file, left: size };
            let part = Cursor::new(head).chain(content);
            return Ok(Some(Box::new(part.chain(io::repeat(0).take(padding)))));
        }
        if self.ends {
            return Ok(None);
        }
        self.ends = true;
        Ok(Some(Box::new(io::repeat(0).take(2 * BLOCK))))
    }
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.part.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.next()? {
                Some(part) => self.part = part,
                None => return Ok(0),
            }
        }
    }
}

/// What stands before a file's content: its header, and before that its path, where it is long.
fn head(path: &str, file: &std::fs::File, size: u64) -> io::Result<Vec<u8>> {
    let meta = file.metadata()?;
    let mut header = tar::Header::new_gnu();
    header.set_mode(if meta.mode() & 0o100 == 0 {
        0o644
    } else {
        0o755
    });
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
    header.set_size(size);
    let mut head = tar::Builder::new(Vec::new());
    head.append_data(&mut header, path, io::empty())?;
    // Not `into_inner`, which would end the archive.
    Ok(std::mem::take(head.get_mut()))
}

/// As many bytes as the header says.
struct Exactly {
    file: std::fs::File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            // Whoever reads must see that it isn't whole.
            let why = "a file became shorter while it was packed";
            return Err(io::Error::new(ErrorKind::UnexpectedEof, why));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
