//! One look through the folders: what landed is compiled and tried, and what passes is swapped in
//! by one pointer store. It never unloads what serves for something that doesn't pass.

use super::watch::SETTLING;
use super::{Inner, Looking, PluginChange, now};
use crate::admit::{FileName, admit};
use crate::folder::{Look, Place};
use crate::guest::Guest;
use futures_util::StreamExt as _;
use pipeline::{Digest, RefusedFile};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;

/// For how long a start waits for files to settle: a quiet one does from one look to the next.
const FIRST_LOOKS: Duration = Duration::from_secs(1);
/// Files that are compiled and tried at once.
const AT_ONCE: usize = 2;

/// A file that was looked at, and what came of it.
struct Landed {
    place: Place,
    what: Judged,
}

enum Judged {
    /// It holds what it did.
    Same,
    Accepted {
        guest: Arc<Guest>,
        wasm: Arc<[u8]>,
    },
    Refused(String),
}

impl Inner {
    /// What lies in the folders serves from the first job on, also where it has just been put
    /// there; a file that is still being written isn't waited for. Whether there is one.
    pub(super) async fn first_looks(self: &Arc<Self>) -> bool {
        let mut pending = self.look().await;
        // Compiling what is there may have taken longer than any wait.
        let begin = Instant::now();
        while pending && begin.elapsed() < FIRST_LOOKS {
            tokio::time::sleep(SETTLING).await;
            pending = self.look().await;
        }
        pending
    }

    /// One look through all folders; whether some file hasn't settled.
    pub(super) async fn look(self: &Arc<Self>) -> bool {
        let mut looking = Arc::clone(&self.looking).lock_owned().await;
        let closed = self.noticed.take();
        let sources = self.sources.clone();
        let looked = spawn_blocking(move || {
            let Looking { folders, watch } = &mut *looking;
            // Before the look, or what lands in between would wait for the timer.
            watch.follow(&sources);
            (folders.look(&closed), looking)
        });
        let (look, _looking) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                tracing::error!(%error, "looking through the plugin folders panicked");
                return false;
            }
        };
        let Look {
            landed,
            gone,
            pending,
        } = look;
        let changed = !landed.is_empty();
        // Two at once: a compiler beside one that waits. They are swapped in in the order of
        // their names, so that every host agrees.
        let mut admitted = futures_util::stream::iter(landed)
            .map(|(place, content)| self.looked_at(place, content))
            .buffered(AT_ONCE);
        while let Some(landed) = admitted.next().await {
            self.settle(landed);
        }
        drop(admitted);
        if changed {
            self.fall_back().await;
        }
        for place in gone {
            self.forget_file(&place);
            if let Some(pin) = self.registry.remove(&place) {
                tracing::info!(
                    plugin.name = pin.name,
                    plugin.version = pin.version,
                    "the plugin's file is gone; phases that began with it go on"
                );
                self.tell(PluginChange::Removed(pin));
            }
        }
        pending
    }

    /// Whether what a file holds may serve.
    async fn looked_at(&self, place: Place, content: Result<Vec<u8>, String>) -> Landed {
        let what = self.judged(&place, content).await;
        Landed { place, what }
    }

    async fn judged(&self, place: &Place, content: Result<Vec<u8>, String>) -> Judged {
        let wasm: Arc<[u8]> = match content {
            Ok(wasm) => wasm.into(),
            Err(reason) => return Judged::Refused(reason),
        };
        let digest = Digest::of(&wasm);
        if self.registry.digest_of(place).as_ref() == Some(&digest) {
            return Judged::Same;
        }
        let named = match FileName::parse(&place.1) {
            Ok(named) => named,
            Err(reason) => return Judged::Refused(reason),
        };
        match self.admitted(&wasm, &digest, Some(named)).await {
            Ok(guest) => match self.does_worse(&self.label(place), &guest).await {
                Some(reason) => Judged::Refused(reason),
                None => Judged::Accepted { guest, wasm },
            },
            Err(reason) => Judged::Refused(reason),
        }
    }

    /// One pointer store for each file that may serve.
    fn settle(self: &Arc<Self>, landed: Landed) {
        let Landed { place, what } = landed;
        let (guest, wasm) = match what {
            Judged::Same => return self.registry.same(&place),
            Judged::Refused(reason) => return self.refuse(place, reason),
            Judged::Accepted { guest, wasm } => (guest, wasm),
        };
        let file = self.label(&place);
        let report = self.registry.accept(place, Arc::clone(&guest), now());
        tracing::info!(
            plugin.name = report.name,
            plugin.version = report.version,
            plugin.digest = report.digest.short(),
            plugin.generation = report.generation,
            "plugin loaded"
        );
        self.tell(PluginChange::Loaded(Box::new(report)));
        self.keep_bytes(file, guest.pin.clone(), wasm);
    }

    /// What is loaded already, or a new plugin of these bytes.
    pub(super) async fn admitted(
        &self,
        wasm: &Arc<[u8]>,
        digest: &Digest,
        named: Option<FileName>,
    ) -> Result<Arc<Guest>, String> {
        if let Some(generation) = self.registry.snapshot().loaded(digest) {
            let guest = Arc::clone(&generation.guest);
            return match named.map(|named| named.check(&guest.manifest)) {
                Some(Err(reason)) => Err(reason),
                _ => Ok(guest),
            };
        }
        let (sandboxes, workshop) = (Arc::clone(&self.sandboxes), Arc::clone(&self.workshop));
        let (wasm, digest) = (Arc::clone(wasm), digest.clone());
        let admitted = spawn_blocking(move || {
            admit(&sandboxes, &workshop, &wasm, &digest, named.as_ref()).map(Arc::new)
        });
        match admitted.await {
            Ok(admitted) => admitted,
            Err(error) => {
                tracing::error!(%error, "admitting a plugin panicked");
                Err("couldn't be looked at: a fault of Gantry itself; its log says more".to_owned())
            }
        }
    }

    fn refuse(&self, place: Place, reason: String) {
        let refused = RefusedFile {
            file: place.1.clone(),
            reason,
            at: now(),
        };
        tracing::warn!(
            plugin.file = refused.file,
            reason = refused.reason,
            "plugin refused"
        );
        self.registry.refuse(place, refused.clone());
        self.tell(PluginChange::Refused(refused));
    }

    fn tell(&self, change: PluginChange) {
        // Nobody may be listening.
        let _ = self.changes.send(change);
    }
}
