//! Laying out a site: all of it under a temporary name, then one rename. A folder that is there
//! is complete, and is never written again.

use crate::DeployError;
use pipeline::{FileEntry, JobId, Limits, SitePlan};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

/// Where a site's files come from: below the root of the plan, regular files only.
pub trait Source {
    /// Every file, with paths relative to the site's root.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn files(&self) -> Result<Vec<FileEntry>, String>;

    /// One of them, open.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn open(&self, path: &str) -> Result<File, String>;
}

/// The folder of all sites.
#[derive(Clone, Debug)]
pub struct Sites {
    pub(crate) dir: PathBuf,
}

impl Sites {
    /// Opens the folder, and makes it where it isn't there.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn open(dir: &Path) -> Result<Self, DeployError> {
        for part in ["versions", "live"] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(dir.join(part))?;
        }
        Ok(Self {
            dir: dir.canonicalize()?,
        })
    }

    /// Writes the files of a plan's `index`th site; the folder's name, relative to the folder of
    /// sites. Done already is fine: the files of a revision never change.
    ///
    /// # Errors
    /// Where the entry is missing, there is too much, or reading or writing fails.
    pub fn lay_out(
        &self,
        (job, revision, index): (JobId, u32, usize),
        plan: &SitePlan,
        source: &dyn Source,
        limits: &Limits,
    ) -> Result<String, DeployError> {
        let folder = format!("versions/{job}/r{revision}-{index}");
        let path = self.dir.join(&folder);
        if path.is_dir() {
            return Ok(folder);
        }
        let files = source.files().map_err(DeployError::Source)?;
        check(plan, &files, limits)?;
        let partial = self
            .dir
            .join(format!("versions/{job}/.r{revision}-{index}.partial"));
        match fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir_all(&partial)?,
        }
        let mut left = limits.site_bytes;
        for file in &files {
            left = left.saturating_sub(write(&partial, file, source, left)?);
        }
        File::open(&partial)?.sync_all()?;
        match fs::rename(&partial, &path) {
            // Another host was as far: what it wrote is the same.
            Err(_) if path.is_dir() => fs::remove_dir_all(&partial)?,
            other => other?,
        }
        Ok(folder)
    }

    /// Where the files of a published folder are; none where the name isn't one of ours.
    pub fn path(&self, folder: &str) -> Option<PathBuf> {
        let inside = folder.starts_with("versions/")
            && Path::new(folder)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
        inside.then(|| self.dir.join(folder))
    }

    /// The jobs that have files here.
    ///
    /// # Errors
    /// Where the folder can't be read.
    pub fn jobs(&self) -> Result<Vec<JobId>, DeployError> {
        let mut jobs = Vec::new();
        for entry in fs::read_dir(self.dir.join("versions"))? {
            let name = entry?.file_name();
            jobs.extend(name.to_str().and_then(|name| name.parse::<JobId>().ok()));
        }
        Ok(jobs)
    }

    /// The folders that were laid out for a job, by name as rows have it, with their revisions.
    ///
    /// # Errors
    /// Where they can't be read.
    pub fn folders(&self, job: JobId) -> Result<BTreeMap<String, u32>, DeployError> {
        let mut folders = BTreeMap::new();
        let entries = match fs::read_dir(self.dir.join(format!("versions/{job}"))) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(folders),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            let revision = name.strip_prefix('r').and_then(|rest| rest.split_once('-'));
            if let Some(Ok(revision)) = revision.map(|(revision, _)| revision.parse()) {
                folders.insert(format!("versions/{job}/{name}"), revision);
            }
        }
        Ok(folders)
    }

    /// Removes one folder that no row refers to; gone already is fine.
    ///
    /// # Errors
    /// Where the name isn't one of ours, or the operating system refuses.
    pub fn remove_folder(&self, folder: &str) -> Result<(), DeployError> {
        let Some(path) = self.path(folder) else {
            return Err(DeployError::Plan(format!(
                "`{folder}` isn't a site's folder"
            )));
        };
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Removes every version of a job's sites; gone already is fine.
    ///
    /// # Errors
    /// Where the operating system refuses.
    pub fn remove(&self, job: JobId) -> Result<(), DeployError> {
        match fs::remove_dir_all(self.dir.join(format!("versions/{job}"))) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn check(plan: &SitePlan, files: &[FileEntry], limits: &Limits) -> Result<(), DeployError> {
    let SitePlan { root, entry, .. } = plan;
    let wrong = |what: String| Err(DeployError::Plan(what));
    if !files.iter().any(|file| file.path == *entry) {
        return wrong(format!("the page to open, `{entry}`, isn't in `{root}`"));
    }
    if files.len() > limits.site_files {
        let (count, limit) = (files.len(), limits.site_files);
        return wrong(format!(
            "`{root}` holds {count} files; at most {limit} are published"
        ));
    }
    let bytes = files
        .iter()
        .fold(0_u64, |sum, file| sum.saturating_add(file.size));
    if bytes > limits.site_bytes {
        let limit = limits.site_bytes;
        return wrong(format!(
            "`{root}` holds {bytes} bytes; at most {limit} are published"
        ));
    }
    Ok(())
}

/// Writes one file; how many bytes. It may have grown since it was listed: never more than
/// `left`, and then it is an error.
fn write(dir: &Path, file: &FileEntry, source: &dyn Source, left: u64) -> Result<u64, DeployError> {
    let name = Path::new(&file.path);
    if !name
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Err(DeployError::Source(format!(
            "`{}` isn't a path of a site",
            file.path
        )));
    }
    let path = dir.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let from = source.open(&file.path).map_err(DeployError::Source)?;
    let mut to = File::create_new(&path)?;
    let bytes = std::io::copy(&mut from.take(left.saturating_add(1)), &mut to)?;
    if bytes > left {
        return Err(DeployError::Plan(format!(
            "`{}` grew while it was published",
            file.path
        )));
    }
    to.sync_all()?;
    Ok(bytes)
}
