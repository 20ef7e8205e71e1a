//! What would be cleared away now: listed from the folders first and asked of the store after, so
//! that what is new is never taken for what has ended. It removes nothing.

use crate::run_folder::{Listed, RunFolder};
use pipeline::{EndedWorkspace, JobId, Retention, RunKey, Why};
use runner::{Found, Runner};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;
use store::{DriverStore, JobState, RetentionStore, StoreError};
use workspace::Root;

/// Between two steps: whoever works goes first.
pub(crate) const REST: Duration = Duration::from_millis(10);
/// Jobs that the store is asked for at once.
const CHUNK: usize = 200;

/// What no job wants.
pub(crate) struct Orphans {
    pub(crate) runs: Vec<Found>,
    pub(crate) folders: Vec<Listed>,
    /// Of jobs that aren't there any more.
    pub(crate) workspaces: Vec<JobId>,
}

/// Runs, run folders and workspaces that no job wants, but for what is younger than `age`.
pub(crate) async fn orphans(
    store: &dyn DriverStore,
    runner: &dyn Runner,
    root: &Root,
    (run_dir, age): (&Path, Duration),
) -> Result<Orphans, String> {
    let runs = runner.list().await;
    let mut runs = runs.map_err(|error| format!("runs couldn't be listed: {error}"))?;
    let mut folders = old_folders(run_dir, age).await;
    let mut workspaces = root.jobs().unwrap_or_default();
    let mut jobs: BTreeSet<JobId> = runs.iter().map(|run| run.job).collect();
    jobs.extend(folders.iter().filter_map(|it| Some(it.key.as_ref()?.job)));
    jobs.extend(&workspaces);
    let jobs: Vec<JobId> = jobs.into_iter().collect();
    let states = store.states(&jobs).await;
    let states = states.map_err(|error| format!("the states of jobs couldn't be read: {error}"))?;
    let now = crate::now();
    runs.retain(|run| now.since(run.created_at) >= age && !wanted(&states, &run.key));
    folders.retain(|it| !it.key.as_ref().is_some_and(|key| wanted(&states, key)));
    workspaces.retain(|job| !states.contains_key(job));
    Ok(Orphans {
        runs,
        folders,
        workspaces,
    })
}

/// Run folders that are old enough to be looked at.
async fn old_folders(run_dir: &Path, age: Duration) -> Vec<Listed> {
    let dir = run_dir.to_owned();
    let all = tokio::task::spawn_blocking(move || RunFolder::all(&dir)).await;
    let mut all = all.ok().and_then(Result::ok).unwrap_or_default();
    all.retain(|it| it.age >= age);
    all
}

/// Whether the job's next command may still ask for this run.
fn wanted(states: &HashMap<JobId, JobState>, key: &RunKey) -> bool {
    states
        .get(&key.job)
        .is_some_and(|state| !state.status.is_final() && state.current.as_ref() == Some(key))
}

/// Workspaces in this root that are too old, or too many. `sizes` are those that are known of
/// jobs that have ended, where nobody writes any more.
pub(crate) async fn workspaces(
    store: &dyn RetentionStore,
    root: &Root,
    retention: &Retention,
    sizes: &mut HashMap<JobId, u64>,
) -> Result<Vec<(JobId, Why)>, StoreError> {
    if retention.workspaces.is_none() && retention.workspaces_bytes.is_none() {
        return Ok(Vec::new());
    }
    let jobs = root.jobs().unwrap_or_default();
    let mut ended = HashMap::new();
    for jobs in jobs.chunks(CHUNK) {
        ended.extend(store.ended(jobs).await?);
        tokio::time::sleep(REST).await;
    }
    sizes.retain(|job, _| ended.contains_key(job));
    let (mut all, mut others) = (Vec::new(), 0_u64);
    for job in jobs {
        let known = sizes.get(&job).copied();
        let bytes = match (retention.workspaces_bytes, known) {
            (None, _) => 0,
            (Some(_), Some(bytes)) => bytes,
            (Some(_), None) => size(root, job).await,
        };
        match ended.get(&job) {
            None => others = others.saturating_add(bytes),
            Some(age) => {
                sizes.insert(job, bytes);
                let age = *age;
                all.push(EndedWorkspace { job, age, bytes });
            }
        }
    }
    Ok(retention.workspaces(all, others))
}

async fn size(root: &Root, job: JobId) -> u64 {
    tokio::time::sleep(REST).await;
    let root = root.clone();
    let size = move || root.disk_bytes(job).map_err(|error| error.to_string());
    blocking(size).await.unwrap_or(0)
}

/// Files of sites that no row refers to.
pub(crate) enum OldVersion {
    /// All of a job that isn't there any more.
    All(JobId),
    /// A folder of a job that has ended.
    Folder(JobId, String),
}

/// The files of sites that are past what is kept.
pub(crate) async fn versions(
    store: &dyn DriverStore,
    sites: &deploy::Sites,
    retention: &Retention,
) -> Result<Vec<OldVersion>, StoreError> {
    let listed = sites.clone();
    let listed = blocking(move || {
        let jobs = listed.jobs().map_err(|error| error.to_string())?;
        let folders = jobs
            .into_iter()
            .map(|job| listed.folders(job).map(|folders| (job, folders)));
        let folders: Result<BTreeMap<_, _>, deploy::DeployError> = folders.collect();
        folders.map_err(|error| error.to_string())
    });
    let folders = listed.await.unwrap_or_default();
    let jobs: Vec<JobId> = folders.keys().copied().collect();
    let mut states = HashMap::new();
    for jobs in jobs.chunks(CHUNK) {
        states.extend(store.states(jobs).await?);
        tokio::time::sleep(REST).await;
    }
    let rows = store.published().await?;
    let live: Vec<String> = rows
        .into_iter()
        .map(|site| site.publication.folder)
        .collect();
    let mut old = Vec::new();
    for (job, folders) in folders {
        match states.get(&job).map(|state| state.status.is_final()) {
            // Its workspace, by which the reaper goes, was removed before it.
            None => old.push(OldVersion::All(job)),
            // One of them may be about to be published.
            Some(false) => {}
            Some(true) => {
                let gone = retention.versions(&folders, &live).into_iter();
                old.extend(gone.map(|folder| OldVersion::Folder(job, folder)));
            }
        }
    }
    Ok(old)
}

/// Work on files, off the threads that answer events; none where it failed, which is told.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Some(done),
        Ok(Err(error)) => {
            tracing::warn!(error, "something couldn't be cleared up");
            None
        }
        Err(error) => {
            tracing::error!(%error, "clearing up stopped in the middle");
            None
        }
    }
}
