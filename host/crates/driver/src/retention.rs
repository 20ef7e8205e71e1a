//! Clearing up after jobs that have ended, by age and by room: rows, workspaces, old versions of
//! sites. In small steps, with rests in between. What is due, `pipeline::Retention` says; what no
//! job wants at all is the reaper's.

use crate::Driver;
use crate::due::{self, OldVersion, REST, blocking};
use pipeline::{Due, EndedJob, JobId, Why};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{StoreError, Trim, Trimmed};
use tokio_util::sync::CancellationToken;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(600);
/// How often it looks at jobs again whose rows were trimmed: one may have run again.
const ANEW: Duration = Duration::from_secs(86_400);
/// For so long it is kept what all jobs, and each group's, have spent in a day.
const MONEY: Duration = Duration::from_secs(90 * 86_400);
/// Before a host without leases looks whether it has them.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What one look leaves for the next.
struct Sweep {
    driver: Arc<Driver>,
    /// Jobs up to this number were trimmed, but for those that ended since.
    trimmed: i64,
    trimmed_since: Instant,
    /// Sizes of workspaces of jobs that have ended: nobody writes there.
    sizes: HashMap<JobId, u64>,
}

/// A reason to go no further in this look.
enum Stop {
    /// Another host is at it.
    Busy,
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Clears up at start and from time to time.
pub(crate) async fn run(driver: Arc<Driver>, shutdown: CancellationToken) {
    let mut sweep = Sweep {
        driver,
        trimmed: 0,
        trimmed_since: Instant::now(),
        sizes: HashMap::new(),
    };
    loop {
        let mut rest = ASK_AGAIN;
        if sweep.driver.is_ready() {
            rest = EVERY;
            // What is under way as the host ends is done by the next look, or another host's.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = sweep.look() => {}
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

impl Sweep {
    async fn look(&mut self) {
        // Each is tried, whatever became of the one before.
        let rows = self.rows().await;
        told("rows of jobs that have ended", rows);
        let workspaces = self.workspaces().await;
        told("workspaces of jobs that have ended", workspaces);
        let versions = self.versions().await;
        told("old versions of sites", versions);
        let days = self.driver.parts.money.forget_days(MONEY).await;
        told(
            "what was spent on old days",
            days.map(drop).map_err(Stop::from),
        );
    }

    /// Jobs, lines and events, from the oldest job on.
    async fn rows(&mut self) -> Result<(), Stop> {
        let driver = Arc::clone(&self.driver);
        let retention = &driver.config.retention;
        if let Some(kept) = retention.events {
            self.trim(Trim::Others, kept).await?;
        }
        let Some(youngest) = retention.youngest() else {
            return Ok(());
        };
        if self.trimmed_since.elapsed() >= ANEW {
            (self.trimmed, self.trimmed_since) = (0, Instant::now());
        }
        // Whole jobs go in order, but for those that stay: few are looked at twice.
        let deleted_before = retention.jobs.unwrap_or(Duration::MAX);
        let mut number = 0;
        loop {
            let page = driver.parts.retention.ended_after(number).await?;
            let Some(last) = page.last else {
                return Ok(());
            };
            for job in &page.items {
                for due in retention.due(job) {
                    self.clear(job, due).await?;
                }
            }
            if page.submitted < youngest {
                return Ok(());
            }
            number = last;
            if page.submitted < deleted_before {
                // From here on there is nothing but to trim.
                number = number.max(self.trimmed);
                self.trimmed = number;
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn clear(&self, ended: &EndedJob, due: Due) -> Result<(), Stop> {
        let retention = &self.driver.config.retention;
        let job = ended.job;
        match due {
            Due::Logs => {
                let kept = retention.logs.unwrap_or(Duration::MAX);
                self.trim(Trim::Logs(job), kept).await
            }
            Due::Events => {
                let kept = retention.events.unwrap_or(Duration::MAX);
                self.trim(Trim::Events(job), kept).await
            }
            Due::Job => self.forget(ended).await,
        }
    }

    /// A whole job: most of its rows first, a step at a time.
    async fn forget(&self, ended: &EndedJob) -> Result<(), Stop> {
        let job = ended.job;
        let kept = self.driver.config.retention.jobs.unwrap_or(Duration::MAX);
        if ended.has_lines {
            self.trim(Trim::Logs(job), kept).await?;
        }
        if ended.has_events {
            self.trim(Trim::Events(job), kept).await?;
        }
        match self.driver.parts.retention.forget(job, kept).await? {
            Trimmed::Busy => return Err(Stop::Busy),
            Trimmed::Rows(0) => {}
            Trimmed::Rows(_) => {
                tracing::info!(job.id = %job, "a job was deleted for its age (RETAIN_JOBS)");
                tokio::time::sleep(REST).await;
            }
        }
        Ok(())
    }

    /// Steps until nothing is left that is older.
    async fn trim(&self, trim: Trim, older: Duration) -> Result<(), Stop> {
        let mut all = 0;
        loop {
            let Trimmed::Rows(rows) = self.driver.parts.retention.trim(trim, older).await? else {
                return Err(Stop::Busy);
            };
            all += rows;
            if rows < u64::from(store::RETENTION_STEP) {
                break;
            }
            tokio::time::sleep(REST).await;
        }
        if all > 0 {
            tracing::info!(what = ?trim, rows = all, "rows were removed for their age");
        }
        Ok(())
    }

    /// Workspaces of this host's root.
    async fn workspaces(&mut self) -> Result<(), Stop> {
        self.remove_set_aside().await;
        let driver = Arc::clone(&self.driver);
        let parts = &driver.parts;
        let retention = &driver.config.retention;
        let sizes = &mut self.sizes;
        let due = due::workspaces(&*parts.retention, &parts.root, retention, sizes).await?;
        for (job, why) in due {
            self.remove_workspace(job, why).await?;
            tokio::time::sleep(REST).await;
        }
        Ok(())
    }

    async fn remove_workspace(&mut self, job: JobId, why: Why) -> Result<(), Stop> {
        let driver = Arc::clone(&self.driver);
        let (parts, host) = (&driver.parts, &driver.config.host);
        let root = parts.root.clone();
        let may = parts
            .retention
            .remove_workspace(job, root.id(), host)
            .await?;
        // It may have been set going just now. And a host that woke from a long sleep may be too
        // late: the job may have another workspace by now.
        if !may || !driver.is_ready() {
            return Ok(());
        }
        let aside = move || root.set_aside(job).map_err(|error| error.to_string());
        if blocking(aside).await.is_none() {
            return Ok(()); // Told; the next look tries again.
        }
        parts.retention.workspace_removed(job, host).await?;
        self.sizes.remove(&job);
        let setting = match why {
            Why::Age => "RETAIN_WORKSPACES",
            Why::Room => "RETAIN_WORKSPACES_BYTES",
        };
        tracing::info!(job.id = %job, setting, "a workspace was removed");
        self.remove_set_aside().await;
        Ok(())
    }

    async fn remove_set_aside(&self) {
        let root = self.driver.parts.root.clone();
        blocking(move || root.remove_set_aside().map_err(|error| error.to_string())).await;
    }

    /// Files of sites that no row refers to.
    async fn versions(&self) -> Result<(), Stop> {
        let Driver { parts, config, .. } = &*self.driver;
        for old in due::versions(&*parts.store, &parts.sites, &config.retention).await? {
            let sites = parts.sites.clone();
            let remove = move || {
                let removed = match old {
                    OldVersion::All(job) => sites.remove(job),
                    OldVersion::Folder(job, folder) => {
                        tracing::info!(job.id = %job, folder, "an old version of a site is removed");
                        sites.remove_folder(&folder)
                    }
                };
                removed.map_err(|error| error.to_string())
            };
            blocking(remove).await;
            tokio::time::sleep(REST).await;
        }
        Ok(())
    }
}

fn told(what: &str, ended: Result<(), Stop>) {
    match ended {
        Ok(()) => {}
        Err(Stop::Busy) => tracing::debug!(what, "another host clears up just now"),
        Err(Stop::Store(error)) => tracing::warn!(what, %error, "clearing up stopped"),
    }
}
