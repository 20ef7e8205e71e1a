//! The pipelines as they were read last. Each submit wants one, and they seldom change: a read for
//! each would be a way to the database, and all of them parsed.

use super::wanted;
use crate::problem::Problem;
use pipeline::PipelineSpec;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::{ApiStore, PipelineEntry, StoreError, Wake};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// They are read again after this, whatever is heard: a host of an earlier version doesn't tell.
const FRESH: Duration = Duration::from_secs(10);

/// The pipelines, for those who submit.
pub(crate) struct Pipelines {
    store: Arc<dyn ApiStore>,
    known: Mutex<Known>,
}

struct Known {
    wakes: Receiver<Wake>,
    /// One more each time that they may have changed.
    changes: u64,
    /// When they were asked for, and what came.
    read: Option<(Instant, Arc<[PipelineEntry]>)>,
}

impl Pipelines {
    pub(crate) fn new(store: Arc<dyn ApiStore>) -> Self {
        let known = Known {
            wakes: store.wakes(),
            changes: 0,
            read: None,
        };
        Self {
            store,
            known: Mutex::new(known),
        }
    }

    /// The one of this name, for a new job. Who asks for one that isn't known may know better.
    pub(crate) async fn wanted(&self, name: &str) -> Result<PipelineSpec, Problem> {
        // While other hosts aren't heard, nothing that is known holds.
        let known = self.store.hears().then(|| self.lock().fresh()).flatten();
        if let Some(entries) = known
            && let Ok(spec) = wanted(&entries, name)
        {
            return Ok(spec);
        }
        wanted(&self.read().await?, name)
    }

    async fn read(&self) -> Result<Arc<[PipelineEntry]>, StoreError> {
        let asked = Instant::now();
        let before = self.lock().changes();
        let entries: Arc<[PipelineEntry]> = self.store.pipelines().await?.into();
        let mut known = self.lock();
        // What changed meanwhile may be missing in it.
        if known.changes() == before {
            known.read = Some((asked, Arc::clone(&entries)));
        }
        Ok(entries)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// How often they have changed so far, by what is heard.
    fn changes(&mut self) -> u64 {
        loop {
            match self.wakes.try_recv() {
                Ok(Wake::Pipelines | Wake::Deaf) | Err(TryRecvError::Lagged(_)) => {
                    self.changes += 1;
                    self.read = None;
                }
                Ok(_) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return self.changes,
            }
        }
    }

    fn fresh(&mut self) -> Option<Arc<[PipelineEntry]>> {
        self.changes();
        let (asked, entries) = self.read.as_ref()?;
        (asked.elapsed() < FRESH).then(|| Arc::clone(entries))
    }
}
