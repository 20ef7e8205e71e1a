//! What trees take on the disk, whatever an agent left in them, also while it works on them. It
//! follows no link and opens no file; what it can't look into, it counts.

use crate::folder::open_beneath;
use crate::{Folder, WorkspaceError};
use pipeline::DiskUse;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat, statat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::rc::Rc;

/// A file's blocks are counted in these, whatever the file system's are.
const BLOCK: u64 = 512;
/// Folders within each other that are looked into.
const DEEPEST: u32 = 1_000;
/// Bytes of a path that the kernel takes at once.
const PATH: usize = 4_000;

/// Adds up what trees take.
pub struct Meter {
    used: DiskUse,
    /// Entries after which it stops: an agent decides how many there are.
    most: u64,
    /// Files with more than one name, by device and inode: each takes its room once.
    linked: HashSet<(u64, u64)>,
}

/// A folder on the way: by name, since open ones are few, and an agent's are many.
struct Step {
    name: Vec<u8>,
    above: Option<Rc<Step>>,
    depth: u32,
}

impl Folder {
    /// Bytes that everything below this folder takes, as the file system counts them: a hole in a
    /// file takes none.
    ///
    /// # Errors
    /// Where the folder itself can't be read.
    pub fn disk_bytes(&self) -> Result<u64, WorkspaceError> {
        let mut meter = Meter::new(u64::MAX);
        meter.add(self)?;
        Ok(meter.used().bytes)
    }
}

impl Meter {
    /// One that stops after so many entries, and has counted one more then.
    pub fn new(entries: u64) -> Self {
        Self {
            used: DiskUse::default(),
            most: entries,
            linked: HashSet::new(),
        }
    }

    /// What has been counted.
    pub fn used(&self) -> DiskUse {
        self.used
    }

    /// Counts everything below a folder. What goes meanwhile is passed over.
    ///
    /// # Errors
    /// Where the folder itself can't be read, or the system has no means to open another one.
    pub fn add(&mut self, folder: &Folder) -> Result<(), WorkspaceError> {
        let mut steps: Vec<Option<Rc<Step>>> = vec![None];
        while let Some(step) = steps.pop() {
            let listed = open(folder, step.as_deref())
                .and_then(|fd| self.count(&fd, step.as_ref(), &mut steps));
            match listed {
                Ok(()) => {}
                Err(Errno::ACCESS | Errno::PERM) if step.is_some() => self.used.hidden += 1,
                // It went, or something else is in its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::AGAIN)
                    if step.is_some() => {}
                Err(errno) => return Err(WorkspaceError::from_errno("workspace", errno)),
            }
            if self.used.entries > self.most {
                break;
            }
        }
        Ok(())
    }

    fn count(
        &mut self,
        fd: &OwnedFd,
        step: Option<&Rc<Step>>,
        steps: &mut Vec<Option<Rc<Step>>>,
    ) -> Result<(), Errno> {
        for entry in Dir::read_from(fd)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            self.used.entries += 1;
            if self.used.entries > self.most {
                return Ok(());
            }
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if is_folder || self.is_new(&stat) {
                let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
                let bytes = blocks.saturating_mul(BLOCK);
                self.used.bytes = self.used.bytes.saturating_add(bytes);
            }
            if is_folder {
                let depth = step.map_or(0, |step| step.depth) + 1;
                if depth > DEEPEST {
                    self.used.hidden += 1;
                    continue;
                }
                steps.push(Some(Rc::new(Step {
                    name: name.to_bytes().to_vec(),
                    above: step.cloned(),
                    depth,
                })));
            }
        }
        Ok(())
    }

    fn is_new(&mut self, stat: &Stat) -> bool {
        stat.st_nlink < 2 || self.linked.insert((stat.st_dev, stat.st_ino))
    }
}

/// Opens a folder that may lie deeper than a path is long.
fn open(folder: &Folder, step: Option<&Step>) -> Result<OwnedFd, Errno> {
    let mut names = Vec::new();
    let mut at = step;
    while let Some(step) = at {
        names.push(step.name.as_slice());
        at = step.above.as_deref();
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let mut fd = open_beneath(folder.fd.as_fd(), ".", flags)?;
    let mut path = Vec::new();
    while let Some(name) = names.pop() {
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        let is_long = names
            .last()
            .is_none_or(|next| path.len() + next.len() > PATH);
        if is_long {
            fd = open_beneath(&fd, path.as_slice(), flags)?;
            path.clear();
        }
    }
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, mkdirat, openat};
    use std::fs;
    use std::os::unix::fs::symlink;

    fn used(path: &std::path::Path, most: u64) -> DiskUse {
        let mut meter = Meter::new(most);
        meter.add(&Folder::open(path).unwrap()).unwrap();
        meter.used()
    }

    #[test]
    fn a_file_with_many_names_takes_its_room_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), vec![1; 1 << 20]).unwrap();
        let one = used(dir.path(), 100);
        for name in ["b", "c", "d"] {
            fs::hard_link(dir.path().join("a"), dir.path().join(name)).unwrap();
        }
        symlink("a", dir.path().join("e")).unwrap();
        let many = used(dir.path(), 100);
        assert_eq!((one.entries, many.entries), (1, 5));
        assert_eq!(one.bytes, many.bytes);
        assert!(one.bytes >= 1 << 20, "{one:?}");
    }

    #[test]
    fn it_stops_one_past_the_most_entries() {
        let dir = tempfile::tempdir().unwrap();
        for name in 0..20 {
            fs::create_dir(dir.path().join(name.to_string())).unwrap();
        }
        assert_eq!(used(dir.path(), 20).entries, 20);
        assert_eq!(used(dir.path(), 7).entries, 8);
    }

    #[test]
    fn what_lies_deeper_than_a_path_is_long_is_counted_and_past_the_deepest_said() {
        let dir = tempfile::tempdir().unwrap();
        let name = "n".repeat(250);
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut fd = openat(rustix::fs::CWD, dir.path(), flags, Mode::empty()).unwrap();
        // A name that isn't UTF-8 hides nothing.
        let odd: &[u8] = b"odd-\xff";
        for depth in 0..DEEPEST {
            let name = if depth == 20 { odd } else { name.as_bytes() };
            mkdirat(&fd, name, Mode::from(0o755)).unwrap();
            fd = openat(&fd, name, flags, Mode::empty()).unwrap();
        }
        let create = OFlags::CREATE | OFlags::WRONLY;
        let file = openat(&fd, "data", create, Mode::from(0o644)).unwrap();
        rustix::io::write(&file, &vec![1; 1 << 20]).unwrap();
        let deep = used(dir.path(), 10_000);
        assert_eq!((deep.entries, deep.hidden), (u64::from(DEEPEST) + 1, 0));
        assert!(deep.bytes >= 1 << 20, "{deep:?}");
        mkdirat(&fd, "deeper", Mode::from(0o755)).unwrap();
        assert_eq!(used(dir.path(), 10_000).hidden, 1);
        // As any tree of an agent's goes.
        crate::remove::remove_below(&Folder::open(dir.path()).unwrap().fd).unwrap();
    }
}
