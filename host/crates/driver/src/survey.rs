//! What a host would clear away now, and why: for a person who wants to know before it does. It
//! removes nothing, needs no lease, and can be asked beside a host that runs.

use crate::due::{self, OldVersion};
use pipeline::{Due, Retention, Why};
use runner::Runner;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::{DriverStore, RetentionStore, StoreError};

/// Where it looks, and by which rules.
pub struct Survey {
    /// Whose jobs.
    pub store: Arc<dyn DriverStore>,
    /// The same, for what has ended.
    pub ended: Arc<dyn RetentionStore>,
    /// Where agents run.
    pub runner: Arc<dyn Runner>,
    /// Where workspaces are.
    pub root: workspace::Root,
    /// Where sites are.
    pub sites: deploy::Sites,
    /// Where folders of runs are.
    pub run_dir: PathBuf,
    /// A run younger than this is never taken for an orphan.
    pub orphan_age: Duration,
    /// What is kept, and for how long.
    pub retention: Retention,
}

/// One thing that would go.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Doomed {
    /// What it is: `run`, `run folder`, `workspace`, `job`, `lines`, `events` or `site version`.
    pub what: &'static str,
    /// Its name; a job's id for what is a job's.
    pub id: String,
    /// Why it would go.
    pub why: String,
}

impl Survey {
    /// Everything that would go, in the order in which it would.
    ///
    /// # Errors
    /// Why it can't be known, for people.
    pub async fn doomed(&self) -> Result<Vec<Doomed>, String> {
        let mut doomed = self.orphans().await?;
        let away = |error: StoreError| error.to_string();
        doomed.extend(self.rows().await.map_err(away)?);
        doomed.extend(self.workspaces().await.map_err(away)?);
        doomed.extend(self.versions().await.map_err(away)?);
        Ok(doomed)
    }

    async fn orphans(&self) -> Result<Vec<Doomed>, String> {
        let aged = (self.run_dir.as_path(), self.orphan_age);
        let found = due::orphans(&*self.store, &*self.runner, &self.root, aged).await?;
        let of = |what, id: String, why: &str| Doomed {
            what,
            id,
            why: why.to_owned(),
        };
        let unwanted = "no job wants it";
        let runs = found
            .runs
            .into_iter()
            .map(|run| of("run", run.name, unwanted));
        let folders = found.folders.into_iter();
        let folders = folders.map(|it| {
            let key = it.key.map(|key| key.name(""));
            of(
                "run folder",
                key.unwrap_or_else(|| it.folder.name()),
                unwanted,
            )
        });
        let workspaces = found.workspaces.into_iter();
        let deleted = "its job was deleted";
        let workspaces = workspaces.map(|job| of("workspace", job.to_string(), deleted));
        Ok(runs.chain(folders).chain(workspaces).collect())
    }

    async fn rows(&self) -> Result<Vec<Doomed>, StoreError> {
        let mut doomed = Vec::new();
        let Some(youngest) = self.retention.youngest() else {
            return Ok(doomed);
        };
        let mut number = 0;
        loop {
            let page = self.ended.ended_after(number).await?;
            for job in &page.items {
                for due in self.retention.due(job) {
                    let (what, setting) = match due {
                        Due::Job => ("job", "RETAIN_JOBS"),
                        Due::Logs => ("lines", "RETAIN_LOGS"),
                        Due::Events => ("events", "RETAIN_EVENTS"),
                    };
                    doomed.push(Doomed {
                        what,
                        id: job.job.to_string(),
                        why: format!("ended {} ago ({setting})", in_words(job.age)),
                    });
                }
            }
            match page.last {
                Some(last) if page.submitted >= youngest => number = last,
                _ => return Ok(doomed),
            }
            tokio::time::sleep(due::REST).await;
        }
    }

    async fn workspaces(&self) -> Result<Vec<Doomed>, StoreError> {
        let mut sizes = HashMap::new();
        let gone = due::workspaces(&*self.ended, &self.root, &self.retention, &mut sizes).await?;
        let doomed = gone.into_iter().map(|(job, why)| Doomed {
            what: "workspace",
            id: job.to_string(),
            why: match why {
                Why::Age => "its job ended long ago (RETAIN_WORKSPACES)".to_owned(),
                Why::Room => {
                    let bytes = sizes.get(&job).copied().unwrap_or(0);
                    format!("for room: it takes {bytes} bytes (RETAIN_WORKSPACES_BYTES)")
                }
            },
        });
        Ok(doomed.collect())
    }

    async fn versions(&self) -> Result<Vec<Doomed>, StoreError> {
        let old = due::versions(&*self.store, &self.sites, &self.retention).await?;
        let doomed = old.into_iter().map(|old| {
            let (id, why) = match old {
                OldVersion::All(job) => (job.to_string(), "its job was deleted"),
                OldVersion::Folder(_, folder) => (folder, "no longer published (RETAIN_VERSIONS)"),
            };
            Doomed {
                what: "site version",
                id,
                why: why.to_owned(),
            }
        });
        Ok(doomed.collect())
    }
}

/// The largest unit that says something.
fn in_words(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
