//! The workspace as this agent sees it: reading forms, writing files below one
//! folder. It never follows a path out of that folder.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::error::Error;

/// A folder that is there, with links resolved.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(crate) fn open(path: &str) -> Result<Self, Error> {
        let root = fs::canonicalize(path).map_err(Error::io(path))?;
        Ok(Self { root })
    }

    /// Writes `content` to the relative `path`, and gives the absolute one.
    pub(crate) fn write(&self, path: &str, content: &str) -> Result<PathBuf, Error> {
        let refused = || Error::Path(path.to_owned());
        let plain = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || path.ends_with('/') || !plain {
            return Err(refused());
        }
        let target = self.root.join(path);
        let mut parent = self.root.clone();
        let folders = Path::new(path).parent().unwrap_or(Path::new(""));
        for part in folders.components() {
            parent.push(part);
            match fs::create_dir(&parent) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(Error::io(&parent)(error));
                }
                _ if !is_folder(&parent) => return Err(refused()),
                _ => {}
            }
        }
        if target.is_symlink() {
            return Err(refused());
        }
        fs::write(&target, content).map_err(Error::io(&target))?;
        Ok(target)
    }

    /// Reads what an earlier phase left at the relative `path`.
    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let file = self.root.join(path);
        let text = fs::read_to_string(&file).map_err(Error::io(path))?;
        serde_json::from_str(&text).map_err(|source| Error::Form {
            path: path.to_owned(),
            source,
        })
    }
}

/// A link to a folder is not one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| data.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_stay_inside() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("out")).unwrap();
        let folder = Folder::open(inside.path().to_str().unwrap()).unwrap();
        for path in ["../x", "/x", "", "a/../../x", "out/x", "a/", "./../x"] {
            assert!(
                matches!(folder.write(path, "x"), Err(Error::Path(_))),
                "{path}"
            );
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        folder.write("a/b/c.txt", "x").unwrap();
        folder.write("a/b/c.txt", "y").unwrap();
        assert_eq!(
            fs::read_to_string(inside.path().join("a/b/c.txt")).unwrap(),
            "y"
        );
    }
}
