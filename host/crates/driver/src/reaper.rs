//! Removing what no job wants: containers, run folders, workspaces of deleted jobs. It lists
//! first and asks the store after, so that what is new is never taken for an orphan.

use crate::Driver;
use crate::run_folder::RunFolder;
use pipeline::{JobId, RunKey};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use store::JobState;
use tokio_util::sync::CancellationToken;

/// Reaps at start, and as often as something can have grown old enough.
pub(crate) async fn run(driver: Arc<Driver>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if driver.is_ready() {
            reap(&driver).await;
        }
        let rest = if driver.is_ready() {
            driver.config.orphan_age
        } else {
            Duration::from_secs(1)
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

async fn reap(driver: &Driver) {
    let found = match driver.parts.runner.list().await {
        Ok(found) => found,
        Err(error) => return tracing::warn!(%error, "runs couldn't be listed"),
    };
    let folders = folders(driver).await;
    let workspaces = driver.parts.root.jobs().unwrap_or_default();
    let mut jobs: BTreeSet<JobId> = found.iter().map(|run| run.job).collect();
    jobs.extend(folders.iter().map(|(key, _)| key.job));
    jobs.extend(&workspaces);
    let jobs: Vec<JobId> = jobs.into_iter().collect();
    let states = match driver.parts.store.states(&jobs).await {
        Ok(states) => states,
        Err(error) => return tracing::warn!(%error, "the states of jobs couldn't be read"),
    };
    let now = crate::now();
    for run in found {
        let old = now.since(run.created_at) >= driver.config.orphan_age;
        if old && !wanted(&states, &run.key) {
            tracing::info!(run.name = run.name, running = run.running, "orphan removed");
            if let Err(error) = driver.parts.runner.remove(&run.name).await {
                tracing::warn!(run.name = run.name, %error, "an orphan couldn't be removed");
            }
        }
    }
    for (key, folder) in folders {
        if !wanted(&states, &key) {
            let _ = tokio::task::spawn_blocking(move || folder.remove()).await;
        }
    }
    for job in workspaces
        .into_iter()
        .filter(|job| !states.contains_key(job))
    {
        remove_workspace(driver, job).await;
    }
}

/// Run folders that are old enough to be looked at.
async fn folders(driver: &Driver) -> Vec<(RunKey, RunFolder)> {
    let (dir, age) = (driver.config.run_dir.clone(), driver.config.orphan_age);
    let all = tokio::task::spawn_blocking(move || RunFolder::all(&dir)).await;
    let all = all.ok().and_then(Result::ok).unwrap_or_default();
    all.into_iter()
        .filter(|(_, _, old)| *old >= age)
        .map(|(key, folder, _)| (key, folder))
        .collect()
}

/// Whether the job's next command may still ask for this run.
fn wanted(states: &HashMap<JobId, JobState>, key: &RunKey) -> bool {
    states
        .get(&key.job)
        .is_some_and(|state| !state.status.is_final() && state.current.as_ref() == Some(key))
}

/// The workspace and the sites of a job that was deleted.
async fn remove_workspace(driver: &Driver, job: JobId) {
    let (workspace, sites) = (
        driver.parts.root.workspace(job, None),
        driver.parts.sites.clone(),
    );
    let removed = tokio::task::spawn_blocking(move || {
        workspace.remove().map_err(|error| error.to_string())?;
        sites.remove(job).map_err(|error| error.to_string())
    });
    match removed.await {
        Ok(Ok(())) => tracing::info!(job.id = %job, "workspace of a deleted job removed"),
        Ok(Err(error)) => tracing::warn!(job.id = %job, %error, "a workspace couldn't be removed"),
        Err(error) => tracing::error!(job.id = %job, %error, "a workspace couldn't be removed"),
    }
}
