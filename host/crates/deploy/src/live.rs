//! The links that follow the rows, for web servers other than the host's own.
//! The host itself serves by the row and never looks at a link.

use crate::{DeployError, Sites};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

impl Sites {
    /// Puts the links right: `rows` are slugs and folders, as the store has them.
    /// The number of links that had to change.
    ///
    /// # Errors
    /// Where the operating system refuses.
    pub fn follow(&self, rows: &BTreeMap<String, String>) -> Result<usize, DeployError> {
        let live = self.dir.join("live");
        let mut changed = 0;
        for entry in fs::read_dir(&live)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_none_or(|name| !rows.contains_key(name)) {
                fs::remove_file(entry.path())?;
                changed += 1;
            }
        }
        for (slug, folder) in rows.iter().filter(|(slug, _)| pipeline::is_slug(slug)) {
            let target = Path::new("..").join(folder);
            let link = live.join(slug);
            if fs::read_link(&link).is_ok_and(|now| now == target) {
                continue;
            }
            swap(&live, &link, &target)?;
            changed += 1;
        }
        Ok(changed)
    }
}

/// Points a link elsewhere in one step, so that a request in between finds one or the other.
fn swap(live: &Path, link: &Path, target: &Path) -> std::io::Result<()> {
    let partial: PathBuf = live.join(".partial");
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => symlink(target, &partial)?,
    }
    fs::rename(&partial, link)
}
