//! Where parts that don't know each other meet: a workspace as the API's files, a site's folder
//! as the API's pages, the store as the plugins' memory.

use api::{FilesError, FilesPage, JobFiles, Packed, SiteFiles};
use async_trait::async_trait;
use pipeline::{AttemptKey, Changes, Digest, Job, PluginHold, PluginPin, RecordedCall};
use plugin_runtime::Archive;
use std::fs::File;
use std::sync::Arc;
use store::{DriverStore, PluginStore, StoreError};
use workspace::{DiffLimits, Folder, RelativePath, Root, TreeLimits, Workspace, WorkspaceError};

/// The workspaces of this host, read-only.
pub(crate) struct Workspaces {
    pub(crate) root: Root,
    pub(crate) limits: TreeLimits,
}

impl JobFiles for Workspaces {
    fn list(&self, job: &Job, after: Option<&str>, limit: usize) -> Result<FilesPage, FilesError> {
        let all = RelativePath::new("").map_err(files_error)?;
        let page = self.folder(job)?.page(&all, after, limit, &self.limits);
        let page = page.map_err(files_error)?;
        Ok(FilesPage {
            items: page.items,
            more: page.more,
        })
    }

    fn open(&self, job: &Job, path: &str) -> Result<(File, u64), FilesError> {
        let path = RelativePath::new(path).map_err(files_error)?;
        self.folder(job)?.file(&path).map_err(files_error)
    }

    fn pack(&self, job: &Job) -> Result<Packed, FilesError> {
        let archive = self.folder(job)?.archive(&self.limits);
        let archive = archive.map_err(files_error)?;
        Ok(Packed {
            left_out: archive.left_out(),
            archive: Box::new(archive),
        })
    }

    fn changes(&self, job: &Job, attempt: &AttemptKey) -> Result<Changes, FilesError> {
        let workspace = self.workspace(job)?;
        let names = job.snapshots_of(attempt).ok_or(FilesError::NotFound)?;
        let named = |name| workspace.snapshot_named(name).map_err(files_error);
        let before = named(&names.before)?.ok_or(FilesError::NotFound)?;
        for name in &names.after {
            if let Some(after) = named(name)? {
                let changes = workspace.changes(&before, &after, &DiffLimits::default());
                return changes.map_err(files_error);
            }
        }
        Err(FilesError::NotFound)
    }
}

impl Workspaces {
    fn folder(&self, job: &Job) -> Result<Folder, FilesError> {
        self.workspace(job)?.files().map_err(files_error)
    }

    fn workspace(&self, job: &Job) -> Result<Workspace, FilesError> {
        match &job.root {
            Some(root) if root != self.root.id() => Err(FilesError::Elsewhere),
            _ => Ok(self.root.workspace(job.id, None)),
        }
    }
}

/// The sites' folders.
pub(crate) struct SitePages(pub(crate) deploy::Sites);

impl SiteFiles for SitePages {
    fn open(&self, folder: &str, path: &str) -> Result<(File, u64), FilesError> {
        let folder = self.0.path(folder).ok_or(FilesError::NotFound)?;
        let path = RelativePath::new(path).map_err(files_error)?;
        let found = Folder::open(&folder).and_then(|folder| folder.file(&path));
        found.map_err(|error| match error {
            // Nothing but files and folders is ever laid out.
            WorkspaceError::NotAFile(_) => FilesError::Folder,
            error => files_error(error),
        })
    }
}

fn files_error(error: WorkspaceError) -> FilesError {
    match error {
        WorkspaceError::NotFound(_) | WorkspaceError::NotAFolder(_) => FilesError::NotFound,
        WorkspaceError::NotAFile(_) => FilesError::Denied,
        WorkspaceError::InvalidPath { .. } | WorkspaceError::TooLarge { .. } => {
            FilesError::Invalid(error.to_string())
        }
        WorkspaceError::Io { source, .. } => FilesError::Io(source),
        WorkspaceError::Partial(_) => FilesError::Io(std::io::Error::other(error.to_string())),
    }
}

/// Recorded calls that a new version is tried on.
const TRIED: u32 = 50;

/// The store as the plugins' memory.
pub(crate) struct PluginMemory {
    pub(crate) store: Arc<dyn DriverStore>,
    pub(crate) plugins: Arc<dyn PluginStore>,
}

#[async_trait]
impl Archive for PluginMemory {
    async fn put(&self, file: &str, pin: &PluginPin, bytes: &[u8]) -> Result<(), String> {
        self.plugins.accepted(file, pin, bytes).await.map_err(told)
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        self.store.blob(digest).await.map_err(told)
    }

    async fn history(&self, file: &str) -> Result<Vec<PluginPin>, String> {
        let held = self.plugins.held_by(file).await.map_err(told)?;
        Ok(held.into_iter().map(|generation| generation.pin).collect())
    }

    async fn forget(&self, file: &str) -> Result<(), String> {
        self.plugins.forget_file(file).await.map_err(told)
    }

    async fn holds(&self) -> Result<Vec<PluginHold>, String> {
        self.plugins.holds().await.map_err(told)
    }

    async fn calls(&self, name: &str) -> Result<Vec<RecordedCall>, String> {
        self.plugins.recorded(name, TRIED).await.map_err(told)
    }
}

fn told(error: StoreError) -> String {
    error.to_string()
}
