//! Looking through the plugin folders: which files have settled, changed or gone, and their bytes.
//! It opens regular files only, follows no link, and knows nothing of what is in them.

use crate::fault::size;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file that hasn't changed for so long when it is first seen has settled.
const SETTLED: Duration = Duration::from_secs(2);

/// A file: the index of its folder, and its name there.
pub(crate) type Place = (usize, String);

/// The folders, and what was last seen in them.
pub(crate) struct Folders {
    sources: Vec<PathBuf>,
    file_bytes: u64,
    seen: BTreeMap<Place, Seen>,
    away: BTreeSet<usize>,
}

struct Seen {
    mark: Mark,
    taken: bool,
}

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What one look has found.
#[derive(Default)]
pub(crate) struct Look {
    /// Settled, new or changed: the bytes, or why they may not be read.
    pub(crate) landed: Vec<(Place, Result<Vec<u8>, String>)>,
    /// Was here at the last look.
    pub(crate) gone: Vec<Place>,
    /// Whether some file hasn't settled.
    pub(crate) pending: bool,
}

impl Folders {
    pub(crate) fn new(sources: Vec<PathBuf>, file_bytes: u64) -> Self {
        Self {
            sources,
            file_bytes,
            seen: BTreeMap::new(),
            away: BTreeSet::new(),
        }
    }

    /// Looks once. `closed` are the files that were just closed by a writer or renamed in: they
    /// have settled.
    pub(crate) fn look(&mut self, closed: &BTreeSet<PathBuf>) -> Look {
        let mut look = Look::default();
        for source in 0..self.sources.len() {
            match self.names(source) {
                Ok(names) => {
                    if self.away.remove(&source) {
                        let path = self.sources[source].display().to_string();
                        tracing::info!(plugin.folder = path, "the plugin folder is back");
                    }
                    self.look_at(source, names, closed, &mut look);
                }
                // What is loaded stays: a folder that isn't there says nothing about its files.
                Err(error) if self.away.insert(source) => {
                    let path = self.sources[source].display().to_string();
                    tracing::warn!(
                        plugin.folder = path,
                        %error,
                        "the plugin folder can't be read; what it held goes on serving"
                    );
                }
                Err(_) => {}
            }
        }
        look
    }

    /// Files that could be plugins. Hidden and temporary ones don't end in `.wasm`, or begin with
    /// a dot.
    fn names(&self, source: usize) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&self.sources[source])? {
            let name = OsString::into_string(entry?.file_name());
            names.extend(name.ok().filter(|name| could_be_a_plugin(name)));
        }
        Ok(names)
    }

    fn look_at(
        &mut self,
        source: usize,
        names: BTreeSet<String>,
        closed: &BTreeSet<PathBuf>,
        look: &mut Look,
    ) {
        self.seen.retain(|place, _| {
            let here = place.0 != source || names.contains(&place.1);
            if !here {
                look.gone.push(place.clone());
            }
            here
        });
        // The built-ins' folder is filled before the host starts.
        let watched = source + 1 == self.sources.len();
        for name in names {
            let path = self.sources[source].join(&name);
            let Ok(found) = fs::symlink_metadata(&path) else {
                // Gone since the listing; the next look tells.
                look.pending = true;
                continue;
            };
            let mark = Mark::of(&found);
            let place = (source, name);
            let before = self.seen.get(&place);
            if before.is_some_and(|seen| seen.taken && seen.mark == mark) {
                continue;
            }
            let settled = !watched
                || closed.contains(&path)
                || before.is_some_and(|seen| seen.mark == mark)
                || is_old(&found)
                || !found.is_file();
            let bytes = match settled {
                true => read(&path, mark, self.file_bytes),
                false => Content::Moving,
            };
            let taken = match bytes {
                Content::Moving => {
                    look.pending = true;
                    false
                }
                Content::Refused(reason) => {
                    look.landed.push((place.clone(), Err(reason)));
                    true
                }
                Content::Whole(bytes) => {
                    look.landed.push((place.clone(), Ok(bytes)));
                    true
                }
            };
            self.seen.insert(place, Seen { mark, taken });
        }
    }
}

fn could_be_a_plugin(name: &str) -> bool {
    name.ends_with(".wasm") && !name.starts_with('.')
}

fn is_old(found: &Metadata) -> bool {
    let age = found.modified().ok().and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age > SETTLED)
}

impl Mark {
    fn of(found: &Metadata) -> Self {
        Self {
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// What came of reading a file.
enum Content {
    Whole(Vec<u8>),
    Refused(String),
    Moving,
}

fn read(path: &Path, mark: Mark, most: u64) -> Content {
    // Without NONBLOCK opening a FIFO would wait for a writer for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Content::Moving,
        Err(Errno::LOOP) => {
            return Content::Refused("is a symbolic link: copy the file itself here".to_owned());
        }
        Err(error) => {
            return Content::Refused(format!(
                "can't be read: {error}; let the host's user read it"
            ));
        }
    };
    let Ok(found) = file.metadata() else {
        return Content::Moving;
    };
    if !found.is_file() {
        return Content::Refused("isn't a regular file".to_owned());
    }
    if found.size() > most {
        let (found, most) = (
            found.size(),
            size(usize::try_from(most).unwrap_or(usize::MAX)),
        );
        return Content::Refused(format!("has {found} bytes; a plugin has at most {most}"));
    }
    let mut bytes = Vec::new();
    match (&file).take(most.saturating_add(1)).read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => return Content::Refused(format!("can't be read: {error}")),
    }
    // Only what didn't change while it was read is one file.
    let after = file.metadata().map(|found| Mark::of(&found));
    match after {
        Ok(after) if after == mark && bytes.len() as u64 == mark.size => Content::Whole(bytes),
        _ => Content::Moving,
    }
}
