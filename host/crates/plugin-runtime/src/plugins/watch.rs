//! When to look through the folders: when something was noticed, while a file settles, and on a
//! timer. What is noticed is a hint only; every look compares with the last one.

use super::Inner;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// The pause between two looks while a file settles.
pub(super) const SETTLING: Duration = Duration::from_millis(100);

/// What was noticed since the last look.
#[derive(Default)]
pub(super) struct Noticed {
    closed: Mutex<BTreeSet<PathBuf>>,
    pub(super) something: Notify,
}

impl Noticed {
    /// Files that were closed by a writer or renamed in.
    pub(super) fn take(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut *self.closed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn event(&self, event: notify::Event) {
        let settled = matches!(
            event.kind,
            EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(RenameMode::To))
        );
        if settled {
            let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            closed.extend(event.paths);
        }
        // Our own looks open files; and while one is written, its end is what matters.
        let quiet = matches!(
            event.kind,
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_))
        );
        if settled || !quiet {
            self.something.notify_one();
        }
    }
}

/// The system's watch of the folders. Where it can't be had the timer remains.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// Which folder is watched under a path: it may be replaced by another one.
    watched: BTreeMap<PathBuf, (u64, u64)>,
}

impl Watch {
    pub(super) fn new(noticed: Arc<Noticed>) -> Self {
        let handler = move |event: notify::Result<notify::Event>| match event {
            Ok(event) => noticed.event(event),
            Err(error) => {
                tracing::debug!(%error, "watching the plugin folders");
                noticed.something.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(handler);
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(%error, "the plugin folders can't be watched; they are looked through on a timer");
        });
        Self {
            watcher: watcher.ok(),
            watched: BTreeMap::new(),
        }
    }

    /// Watches each folder, again where it was replaced.
    pub(super) fn follow(&mut self, folders: &[PathBuf]) {
        for folder in folders {
            let found = fs::metadata(folder)
                .map(|found| (found.dev(), found.ino()))
                .ok();
            if found.as_ref() == self.watched.get(folder) {
                continue;
            }
            match found {
                Some(found) if self.watch(folder) => {
                    self.watched.insert(folder.clone(), found);
                }
                _ => {
                    self.watched.remove(folder);
                }
            }
        }
    }

    fn watch(&mut self, folder: &Path) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        // The old folder under this path may be gone, and its watch with it.
        let _ = watcher.unwatch(folder);
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(plugin.folder = %folder.display(), %error, "can't be watched");
                false
            }
        }
    }
}

/// Looks until the last handle is gone.
pub(super) async fn run(
    inner: Weak<Inner>,
    noticed: Arc<Noticed>,
    rescan: Duration,
    pending: bool,
) {
    let mut pending = pending;
    loop {
        let pause = if pending {
            SETTLING.min(rescan)
        } else {
            rescan
        };
        // Either way there is a reason to look.
        let _ = tokio::time::timeout(pause, noticed.something.notified()).await;
        let Some(inner) = inner.upgrade() else { return };
        pending = inner.look().await;
    }
}
