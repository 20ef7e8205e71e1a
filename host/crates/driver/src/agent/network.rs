//! An agent's way to the names that its phase lists: opened with its run, and each attempt
//! written into the job's log. What may be reached is said by the pipeline and judged by `egress`.

use super::start::not_opened;
use crate::hold::{Done, Holder};
use crate::output::{From, Told};
use crate::run_folder::RunFolder;
use async_trait::async_trait;
use egress::Attempt;
use pipeline::{Level, LogLine, PhaseSpec, RunKey};
use std::sync::Arc;
use store::{DriverStore, Hold};
use tokio::sync::Mutex;

/// The socket's name in the run's folder.
pub(super) const SOCKET: &str = "proxy.sock";

/// A run's open way.
pub(super) struct Way {
    run: egress::Run,
    book: Arc<JobLog>,
}

/// The job's log, for as long as this host holds the job.
#[derive(Debug)]
struct JobLog {
    store: Arc<dyn DriverStore>,
    hold: Hold,
    from: From,
    /// Lines that the store doesn't have yet, in order.
    waiting: Mutex<Vec<LogLine>>,
}

impl Holder<'_> {
    /// None where the phase lists no names.
    pub(super) async fn open_way(
        &self,
        key: &RunKey,
        folder: &RunFolder,
        spec: &PhaseSpec,
    ) -> Result<Option<Way>, Done> {
        let listed = spec.network.entries().to_vec();
        if listed.is_empty() {
            return Ok(None);
        }
        let book = Arc::new(JobLog {
            store: Arc::clone(&self.driver.parts.store),
            hold: self.hold.clone(),
            from: From::of(key, self.secrets(folder)),
            waiting: Mutex::default(),
        });
        let opened = self.driver.parts.egress.open(egress::RunSpec {
            socket_path: folder.run().join(SOCKET),
            listed,
            owner: self.socket_owner(),
            fence: self.driver.fence.watch(),
            book: Arc::clone(&book) as Arc<dyn egress::Book>,
        });
        match opened.await {
            Ok(run) => Ok(Some(Way { run, book })),
            Err(error) => Err(not_opened("network", &error)),
        }
    }

    /// Lets nothing out any more, and tells how each connection ended. What the store doesn't
    /// take while this host holds the job is lost.
    pub(super) async fn close_way(&self, way: Option<Way>) {
        let Some(Way { run, book }) = way else {
            return;
        };
        run.close().await;
        while !book.tell().await {
            if self.pause().await.is_none() {
                let lines = book.waiting.lock().await.len();
                tracing::warn!(job.id = %self.hold.job, lines, "lines about the network are lost");
                return;
            }
        }
    }
}

impl JobLog {
    /// Whether nothing waits any more.
    async fn tell(&self) -> bool {
        let mut waiting = self.waiting.lock().await;
        waiting.is_empty() || {
            self.append(&mut waiting).await;
            waiting.is_empty()
        }
    }

    /// Whether the store has the lines now.
    async fn append(&self, waiting: &mut Vec<LogLine>) -> bool {
        let appended = self.store.append(&self.hold, &[], waiting).await;
        match appended {
            Ok(kept) => {
                // Not kept: the lease is lost, and with it the right to write.
                waiting.clear();
                kept
            }
            Err(error) => {
                tracing::warn!(job.id = %self.hold.job, %error, "an attempt to reach the network isn't logged yet");
                if !error.passes() {
                    waiting.clear();
                }
                false
            }
        }
    }
}

#[async_trait]
impl egress::Book for JobLog {
    async fn note(&self, attempt: &Attempt) -> bool {
        let level = match attempt.is_fine() {
            true => Level::Info,
            false => Level::Warn,
        };
        let mut told = Told::default();
        told.log(&self.from, level, &attempt.to_string());
        let mut waiting = self.waiting.lock().await;
        waiting.extend(told.logs);
        self.append(&mut waiting).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use egress::{Book as _, What};

    fn log(store: Arc<dyn DriverStore>, hold: &Hold) -> JobLog {
        JobLog {
            store,
            hold: hold.clone(),
            from: Bed::from(),
            waiting: Mutex::default(),
        }
    }

    fn attempt(target: &str) -> Attempt {
        Attempt {
            target: target.to_owned(),
            what: What::Allowed {
                addresses: Vec::new(),
            },
        }
    }

    fn line(target: &str) -> String {
        attempt(target).to_string()
    }

    #[tokio::test]
    async fn what_is_noted_is_in_the_log_and_nothing_is_under_an_old_lease() {
        let (bed, hold) = Bed::new().await;
        let log = log(Arc::clone(&bed.store) as Arc<dyn DriverStore>, &hold);
        assert!(log.note(&attempt("a:443")).await);
        assert_eq!(bed.logged(&hold).await, [line("a:443")]);
        bed.claim().await;
        assert!(!log.note(&attempt("b:443")).await);
        assert!(log.tell().await, "there is nobody to tell it any more");
        assert_eq!(bed.logged(&hold).await, [line("a:443")]);
    }

    #[tokio::test]
    async fn what_a_store_that_was_away_missed_is_told_before_the_next_line() {
        let (bed, hold) = Bed::new().await;
        let mut log = log(bed.hasty().await, &hold);
        // So many that it takes the store too long.
        let mut told = Told::default();
        let many: Vec<String> = (0..5_000).map(|number| format!("{number}")).collect();
        told.log(&log.from, Level::Info, &many.join("\n"));
        log.waiting.lock().await.extend(told.logs);
        assert!(!log.note(&attempt("a:443")).await);
        assert!(!log.tell().await);
        assert!(bed.logged(&hold).await.is_empty());
        log.store = Arc::clone(&bed.store) as Arc<dyn DriverStore>;
        assert!(log.note(&attempt("b:443")).await);
        let last = vec![line("a:443"), line("b:443")];
        assert_eq!(bed.logged(&hold).await, [many, last].concat());
    }
}
