//! Where parts that don't know each other meet: a workspace as the API's files, a site's folder
//! as the API's pages, the store as the plugins' memory.

use api::{FilesError, FilesPage, JobFiles, SiteFiles};
use async_trait::async_trait;
use pipeline::{Digest, Job, PluginHold, PluginPin, RecordedCall};
use plugin_runtime::Archive;
use std::fs::File;
use std::sync::Arc;
use store::{DriverStore, StoreError};
use workspace::{Folder, RelativePath, Root, TreeLimits, WorkspaceError};

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
}

impl Workspaces {
    fn folder(&self, job: &Job) -> Result<Folder, FilesError> {
        match &job.root {
            Some(root) if root != self.root.id() => Err(FilesError::Elsewhere),
            _ => self
                .root
                .workspace(job.id, None)
                .files()
                .map_err(files_error),
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
    }
}

/// The store as the plugins' memory.
pub(crate) struct PluginMemory(pub(crate) Arc<dyn DriverStore>);

#[async_trait]
impl Archive for PluginMemory {
    async fn put(&self, file: &str, pin: &PluginPin, bytes: &[u8]) -> Result<(), String> {
        let kept = self.0.put_blob(bytes).await.map_err(told)?;
        tracing::debug!(plugin.file = file, plugin.name = pin.name, digest = %kept, "kept");
        Ok(())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        self.0.blob(digest).await.map_err(told)
    }

    async fn history(&self, _file: &str) -> Result<Vec<PluginPin>, String> {
        Ok(Vec::new())
    }

    async fn forget(&self, _file: &str) -> Result<(), String> {
        Ok(())
    }

    async fn holds(&self) -> Result<Vec<PluginHold>, String> {
        Ok(Vec::new())
    }

    async fn calls(&self, _name: &str) -> Result<Vec<RecordedCall>, String> {
        Ok(Vec::new())
    }
}

fn told(error: StoreError) -> String {
    error.to_string()
}
