//! Removing what no job wants: containers, run folders, workspaces of deleted jobs. It lists
//! first and asks the store after, so that what is new is never taken for an orphan.

use crate::{Driver, due};
use pipeline::JobId;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Reaps at start, and as often as something can have grown old enough.
pub(crate) async fn run(driver: Arc<Driver>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if driver.is_ready() {
            reap(&driver).await;
            if let Err(error) = driver.parts.store.sweep().await {
                tracing::warn!(%error, "lines couldn't be looked through");
            }
            book_orphans(&driver).await;
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

/// Books what runs had set aside that nobody holds any more.
async fn book_orphans(driver: &Driver) {
    // Without a way to a model nothing is set aside here, and a host that has one looks.
    if driver.parts.gateway.is_none() {
        return;
    }
    match driver.parts.money.book_orphans().await {
        Ok(0) => {}
        Ok(runs) => tracing::info!(runs, "what runs had set aside is booked as spent"),
        Err(error) => tracing::warn!(%error, "what runs had set aside isn't booked"),
    }
}

async fn reap(driver: &Driver) {
    let Driver { parts, config, .. } = driver;
    let aged = (config.run_dir.as_path(), config.orphan_age);
    let found = due::orphans(&*parts.store, &*parts.runner, &parts.root, aged).await;
    let orphans = match found {
        Ok(orphans) => orphans,
        Err(error) => return tracing::warn!(error, "no orphans could be looked for"),
    };
    for run in orphans.runs {
        tracing::info!(run.name = run.name, running = run.running, "orphan removed");
        if let Err(error) = parts.runner.remove(&run.name).await {
            tracing::warn!(run.name = run.name, %error, "an orphan couldn't be removed");
        }
    }
    for orphan in orphans.folders {
        let name = orphan.folder.name();
        tracing::info!(folder = name, "run folder that no job wants removed");
        let removed = tokio::task::spawn_blocking(move || orphan.remove()).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(folder = name, %error, "a run's folder couldn't be removed");
        }
    }
    for job in orphans.workspaces {
        remove_workspace(driver, job).await;
    }
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
