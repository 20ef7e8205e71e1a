//! Snapshots of a job's workspace: before an attempt, and after each run of an agent. What a phase
//! is put back to is one of them. What changed in between isn't looked at here.

use crate::hold::{Done, Holder};
use crate::steps::{blocking, broken};
use pipeline::{Boundary, Job, LeftOut, Level, PhaseSpec, RunKey, SnapshotName};
use std::time::Instant;
use workspace::WorkspaceError;

impl Holder<'_> {
    /// The workspace, there and as the phase wants it.
    pub(crate) async fn set_up(
        &self,
        job: &Job,
        spec: &PhaseSpec,
        reset: bool,
    ) -> Result<(), Done> {
        let workspace = self.workspace();
        // Nothing was kept where this is the first attempt with this workspace.
        let kept = match reset {
            true => job.snapshots_to_put_back(),
            false => Vec::new(),
        };
        let ready = blocking(move || {
            workspace.create()?;
            for name in kept {
                if let Some(snapshot) = workspace.snapshot_named(&name)? {
                    return workspace.put_back(&snapshot);
                }
            }
            Ok(())
        });
        ready.await.map_err(|error| broken(&error))?;
        let Some(name) = job.snapshot_before() else {
            return Ok(());
        };
        match self.snapshot(name, spec.reset).await {
            Ok(left_out) => self.lacks(job, left_out).await,
            // It couldn't be put back, and its pipeline says that it will be.
            Err(error) if spec.reset => return Err(broken(&error)),
            Err(error) => self.without(job, &error).await,
        }
        Ok(())
    }

    /// Keeps what a run left, whatever became of it. The job doesn't depend on it.
    pub(crate) async fn keep_what_is_left(&self, job: &Job, key: &RunKey) {
        match self.snapshot(SnapshotName::After(key.clone()), false).await {
            Ok(left_out) => self.lacks(job, left_out).await,
            Err(error) => self.without(job, &error).await,
        }
        self.driver.at(Boundary::SnapshotTaken);
    }

    async fn snapshot(&self, name: SnapshotName, whole: bool) -> Result<LeftOut, WorkspaceError> {
        let trees = self.driver.config.trees.clone();
        let workspace = self.workspace();
        let taken = blocking(move || workspace.snapshot(&trees)).await?;
        if whole {
            taken.is_whole()?;
        }
        // It may have taken long: the next holder's agent may be at work in there.
        if !self.driver.fence.holds(Instant::now()) {
            return Ok(LeftOut::default());
        }
        let workspace = self.workspace();
        blocking(move || {
            workspace.name_snapshot(&name, &taken)?;
            Ok(taken.left_out)
        })
        .await
    }

    /// Says what a limit kept out of a snapshot; what agents leave besides files is no news.
    async fn lacks(&self, job: &Job, left_out: LeftOut) {
        if left_out.is_beyond() {
            let text = format!("the snapshot of the workspace lacks {left_out}");
            self.log(job, vec![(Level::Warn, text)]).await;
        }
    }

    async fn without(&self, job: &Job, error: &WorkspaceError) {
        tracing::warn!(job.id = %job.id, %error, "no snapshot of a workspace could be taken");
        let text = format!("no snapshot of the workspace could be taken: {error}");
        self.log(job, vec![(Level::Warn, text)]).await;
    }
}
