//! Git's objects of one job, one file each, named by the SHA-256 of what is in them. It is a git
//! object store that no `git` runs over, and whose content nobody but the host writes.
//! What is in a tree means nothing here.

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use gix_hash::{Hasher, Kind as HashKind, ObjectId};
use gix_object::{Kind, Tree, TreeRefIter, WriteTo};
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, Write};
use std::path::PathBuf;

/// No two contents share a name, whoever makes them: SHA-1 couldn't promise that of an agent's.
const HASH: HashKind = HashKind::Sha256;
/// Bytes of a tree at most, when it is read: more than any limit on entries lets be written.
const TREE_BYTES: u64 = 64 << 20;
/// Read at once.
const PIECE: usize = 64 << 10;

/// The objects below a folder.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    dir: PathBuf,
}

/// A file in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) path: String,
    pub(crate) id: ObjectId,
    pub(crate) executable: bool,
}

impl Objects {
    /// Below `dir`, whether it is there or not.
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Keeps the first `size` bytes of a file. None where there are fewer by now, or they can't
    /// be read: an error is one of the store.
    pub(crate) fn keep_file(&self, file: &mut File, size: u64) -> io::Result<Option<ObjectId>> {
        let mut hasher = begun(Kind::Blob, size);
        if pass(file, size, |bytes| {
            hasher.update(bytes);
            Ok(())
        })?
        .is_none()
        {
            return Ok(None);
        }
        let id = finished(hasher)?;
        if self.has(&id) {
            return Ok(Some(id));
        }
        if file.rewind().is_err() {
            return Ok(None);
        }
        // It may have changed since: what is kept goes by its own name.
        self.keep(Kind::Blob, size, file)
    }

    /// Keeps a tree, whose entries are in git's order.
    pub(crate) fn keep_tree(&self, tree: &Tree) -> io::Result<ObjectId> {
        let mut bytes = Vec::new();
        tree.write_to(&mut bytes)?;
        let size = bytes.len() as u64;
        let mut hasher = begun(Kind::Tree, size);
        hasher.update(&bytes);
        let id = finished(hasher)?;
        if !self.has(&id) {
            self.keep(Kind::Tree, size, &mut bytes.as_slice())?;
        }
        Ok(id)
    }

    /// Whether there is such an object. An empty file is what a machine that lost its power leaves.
    pub(crate) fn has(&self, id: &ObjectId) -> bool {
        fs::metadata(self.path(id)).is_ok_and(|file| file.len() > 0)
    }

    /// The bytes of a file that was kept, to be read; the reader fails at the end where they
    /// aren't what their name says.
    pub(crate) fn open(&self, id: &ObjectId) -> io::Result<Content> {
        self.content(id, Kind::Blob)
    }

    /// Every file of a tree and below, sorted by path.
    pub(crate) fn files(&self, tree: &ObjectId) -> io::Result<Vec<Blob>> {
        let mut files = Vec::new();
        let mut trees = vec![(*tree, String::new())];
        while let Some((id, folder)) = trees.pop() {
            let bytes = self.tree(&id)?;
            for entry in TreeRefIter::from_bytes(&bytes, HASH) {
                let entry = entry.map_err(|error| damaged(&error.to_string()))?;
                let name = std::str::from_utf8(entry.filename);
                let name = name.map_err(|error| damaged(&error.to_string()))?;
                let path = match folder.as_str() {
                    "" => name.to_owned(),
                    folder => format!("{folder}/{name}"),
                };
                let id = entry.oid.to_owned();
                match entry.mode.is_tree() {
                    true => trees.push((id, path)),
                    false => files.push(Blob {
                        path,
                        id,
                        executable: entry.mode.is_executable(),
                    }),
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    fn tree(&self, id: &ObjectId) -> io::Result<Vec<u8>> {
        let content = self.content(id, Kind::Tree)?;
        if content.size > TREE_BYTES {
            return Err(damaged("a tree of its is too large"));
        }
        content.all()
    }

    fn content(&self, id: &ObjectId, wanted: Kind) -> io::Result<Content> {
        let mut from = ZlibDecoder::new(BufReader::new(File::open(self.path(id))?));
        let mut header = Vec::new();
        // As `blob 123` and a NUL.
        while header.last() != Some(&0) {
            let mut byte = [0];
            from.read_exact(&mut byte)?;
            header.extend(byte);
            if header.len() > 32 {
                return Err(damaged("an object has no header"));
            }
        }
        let (kind, size, _) = gix_object::decode::loose_header(&header)
            .map_err(|error| damaged(&error.to_string()))?;
        if kind != wanted {
            return Err(damaged(&format!("a {kind} stands for a {wanted}")));
        }
        Ok(Content {
            size,
            left: size,
            from,
            hasher: Some(begun(kind, size)),
            id: *id,
        })
    }

    /// Writes an object, and gives it its name last. None where there are fewer bytes.
    fn keep(&self, kind: Kind, size: u64, from: &mut dyn Read) -> io::Result<Option<ObjectId>> {
        let mut hasher = begun(kind, size);
        let file = tempfile::NamedTempFile::new_in(&self.dir)?;
        let mut encoder = ZlibEncoder::new(file, Compression::fast());
        encoder.write_all(&gix_object::encode::loose_header(kind, size))?;
        let kept = pass(from, size, |bytes| {
            hasher.update(bytes);
            encoder.write_all(bytes)
        })?;
        if kept.is_none() {
            return Ok(None);
        }
        let file = encoder.finish()?;
        let id = finished(hasher)?;
        let path = self.path(&id);
        if let Some(folder) = path.parent() {
            crate::root::make_private(folder)?;
        }
        file.persist(&path)?;
        Ok(Some(id))
    }

    fn path(&self, id: &ObjectId) -> PathBuf {
        let hex = id.to_string();
        let (folder, name) = hex.split_at(2);
        self.dir.join(folder).join(name)
    }
}

/// A file's bytes, as they were kept.
pub(crate) struct Content {
    /// In all.
    pub(crate) size: u64,
    left: u64,
    from: ZlibDecoder<BufReader<File>>,
    hasher: Option<Hasher>,
    id: ObjectId,
}

impl Content {
    /// All of them at once.
    pub(crate) fn all(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        if most == 0 && self.left > 0 {
            return Ok(0);
        }
        let read = self.from.read(&mut buffer[..most])?;
        self.left -= read as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        if read == 0 && self.left > 0 {
            return Err(damaged("an object ends early"));
        }
        if self.left == 0
            && let Some(hasher) = self.hasher.take()
            && finished(hasher)? != self.id
        {
            return Err(damaged("an object isn't what its name says"));
        }
        Ok(read)
    }
}

/// Hands on exactly `size` bytes. None where they end before, or can't be read.
fn pass(
    from: &mut dyn Read,
    size: u64,
    mut to: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<()>> {
    let mut from = from.take(size);
    let mut buffer = vec![0; PIECE];
    let mut passed = 0;
    while passed < size {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(read) => {
                to(&buffer[..read])?;
                passed += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(()))
}

fn begun(kind: Kind, size: u64) -> Hasher {
    let mut hasher = gix_hash::hasher(HASH);
    hasher.update(&gix_object::encode::loose_header(kind, size));
    hasher
}

fn finished(hasher: Hasher) -> io::Result<ObjectId> {
    hasher
        .try_finalize()
        .map_err(|error| io::Error::other(error.to_string()))
}

/// What a file of a snapshot is whose bytes aren't there.
pub(super) fn gone(path: &str) -> io::Error {
    damaged(&format!("the content of `{}` is gone", path.escape_debug()))
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("it is damaged: {why}"))
}
