//! What an agent's files take on the disk while it works: looked at now and then, for at most a
//! twentieth of the time. What was written and is gone by the next look was never there, and what
//! a process holds open without a name isn't seen. How much is too much is `pipeline`'s matter.

use crate::Driver;
use crate::run_folder::RunFolder;
use crate::steps::blocking;
use pipeline::{DiskPast, DiskUse, Job, PhaseSpec, pause_after_look};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use workspace::{Folder, Meter, Workspace, WorkspaceError};

/// After the start of a run that was only just looked at.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A run's eye on the disk.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    /// All that the agent may write to, but for what lies in memory.
    folders: Vec<PathBuf>,
    /// What a run may leave.
    most: DiskUse,
    /// What it may have while it works: it may have found more.
    most_now: DiskUse,
}

impl Disk {
    pub(super) fn of(
        driver: &Driver,
        job: &Job,
        spec: &PhaseSpec,
        workspace: &Workspace,
        folder: &RunFolder,
    ) -> Self {
        let config = &driver.config;
        let bytes = match spec.disk {
            Some(bytes) => bytes.min(config.most.disk_bytes),
            None => config.disk_bytes,
        };
        tracing::debug!(job.id = %job.id, limit_bytes = bytes, "a run's room on the disk");
        let most = DiskUse::of_bytes(bytes);
        Self {
            folders: vec![
                workspace.files_path(),
                workspace.session_path(),
                folder.out(),
            ],
            most,
            most_now: most,
        }
    }

    /// Looks before the agent's start, unless somebody did. Where it can't, the limit holds as it is.
    pub(super) async fn at_start(&mut self, folder: &RunFolder) {
        let (disk, folder) = (self.clone(), folder.clone());
        let found = blocking(move || {
            let look = || disk.look().map_err(io::Error::other);
            let found = folder.disk_at_start(look);
            found.map_err(|source| WorkspaceError::Io {
                path: "RUN_DIR".to_owned(),
                source,
            })
        });
        match found.await {
            Ok(found) => self.most_now = found.or_at_start(&self.most),
            Err(error) => {
                tracing::warn!(%error, "what an agent finds on the disk can't be looked at");
            }
        }
    }

    /// Returns once there is more than there may be. Can be dropped and called again.
    pub(super) async fn past(&self) -> DiskPast {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            let begun = Instant::now();
            let disk = self.clone();
            match blocking(move || disk.look()).await {
                // In the words of the limit that holds in the end.
                Ok(used) if used.past(&self.most_now).is_some() => {
                    if let Some(past) = used.past(&self.most) {
                        return past;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "what an agent's files take can't be looked at");
                }
            }
            pause = pause_after_look(begun.elapsed());
        }
    }

    /// What is too much of what a run has left; none where nothing is.
    pub(super) async fn left(self) -> Result<Option<DiskPast>, WorkspaceError> {
        let most = self.most;
        let used = blocking(move || self.look()).await?;
        Ok(used.past(&most))
    }

    fn look(&self) -> Result<DiskUse, WorkspaceError> {
        // It has seen enough where there are more than there may be.
        let mut meter = Meter::new(self.most_now.entries);
        for folder in &self.folders {
            match Folder::open(folder) {
                // Nothing was made there, or nobody wants it any more.
                Err(WorkspaceError::NotFound(_)) => {}
                folder => meter.add(&folder?)?,
            }
        }
        Ok(meter.used())
    }
}
