//! What outlives this host: accepted bytes, what each file held before, and which digests may not
//! answer. A store that is away never stops a plugin from serving.

use super::{Generation, Inner, now};
use crate::admit::FileName;
use crate::folder::Place;
use crate::guest::Guest;
use pipeline::{Digest, PluginPin};
use std::sync::Arc;
use std::time::Duration;

/// Older generations of a file that are tried before it offers nothing.
const OLDER_TRIED: usize = 3;
/// The pause before bytes that couldn't be kept are tried again.
const KEEP_AGAIN: Duration = Duration::from_secs(30);

impl Inner {
    /// A file's name in the archive: the built-ins' folder and the watched one may each have one
    /// of the same name.
    pub(super) fn label(&self, place: &Place) -> String {
        match place.0 + 1 == self.sources.len() {
            true => place.1.clone(),
            false => format!("built-in/{}", place.1),
        }
    }

    /// Which digests may not answer; whether that has changed.
    pub(super) async fn take_holds(&self) -> bool {
        match self.archive.holds().await {
            Ok(holds) => self.registry.hold(holds),
            Err(error) => {
                tracing::warn!(
                    error,
                    "the holds on plugins couldn't be read; those of before stay"
                );
                false
            }
        }
    }

    /// A file whose content is refused or held serves with what it held before: on this host
    /// that is mostly still loaded, after a restart it comes from the archive.
    pub(super) async fn fall_back(&self) {
        for place in self.registry.without_offer() {
            let file = self.label(&place);
            let older = match self.archive.history(&file).await {
                Ok(older) => older,
                Err(error) => {
                    tracing::warn!(
                        plugin.file = file,
                        error,
                        "what a file held before couldn't be read"
                    );
                    continue;
                }
            };
            let snapshot = self.registry.snapshot();
            let may = older
                .iter()
                .filter(|pin| snapshot.held(&pin.digest).is_none());
            for pin in may.take(OLDER_TRIED) {
                match self.fetch(pin).await {
                    Ok(guest) => {
                        tracing::info!(
                            plugin.name = pin.name,
                            plugin.version = pin.version,
                            plugin.file = file,
                            "an older generation of this file serves"
                        );
                        self.registry.fall_back(&place, guest, now());
                        break;
                    }
                    Err(reason) => tracing::warn!(
                        plugin.name = pin.name,
                        plugin.digest = %pin.digest,
                        reason,
                        "an older generation can't serve either"
                    ),
                }
            }
        }
    }

    /// Accepted bytes go where every host finds them; until they do, they are tried again.
    pub(super) fn keep_bytes(self: &Arc<Self>, file: String, pin: PluginPin, wasm: Arc<[u8]>) {
        let (archive, host) = (Arc::clone(&self.archive), Arc::downgrade(self));
        tokio::spawn(async move {
            while let Err(error) = archive.put(&file, &pin, &wasm).await {
                tracing::warn!(
                    plugin.digest = %pin.digest,
                    error,
                    "a plugin's bytes couldn't be kept for other hosts; it is tried again"
                );
                tokio::time::sleep(KEEP_AGAIN).await;
                if host.strong_count() == 0 {
                    return;
                }
            }
        });
    }

    /// Who takes a file away doesn't want back what it held.
    pub(super) fn forget_file(&self, place: &Place) {
        let (archive, file) = (Arc::clone(&self.archive), self.label(place));
        tokio::spawn(async move {
            if let Err(error) = archive.forget(&file).await {
                tracing::warn!(
                    plugin.file = file,
                    error,
                    "a removed file's past couldn't be forgotten"
                );
            }
        });
    }

    /// The generation of a digest, fetched where it isn't loaded.
    pub(super) async fn pinned(&self, pin: &PluginPin) -> Option<Arc<Generation>> {
        if let Some(hold) = self.registry.snapshot().held(&pin.digest) {
            tracing::info!(
                plugin.name = pin.name,
                plugin.version = pin.version,
                hold = hold.kind.word(),
                "the plugin that a phase began with may not answer any more"
            );
            return None;
        }
        let loaded = || self.registry.snapshot().loaded(&pin.digest).map(Arc::clone);
        if let Some(generation) = loaded() {
            return Some(generation);
        }
        let _one = self.fetching.lock().await;
        if let Some(generation) = loaded() {
            return Some(generation);
        }
        match self.fetch(pin).await {
            Ok(guest) => Some(self.registry.keep(guest, now())),
            Err(reason) => {
                tracing::warn!(
                    plugin.name = pin.name,
                    plugin.version = pin.version,
                    plugin.digest = %pin.digest,
                    reason,
                    "the plugin that a phase began with can't be had; the one that serves answers"
                );
                None
            }
        }
    }

    pub(super) async fn fetch(&self, pin: &PluginPin) -> Result<Arc<Guest>, String> {
        let bytes = self.archive.get(&pin.digest).await?;
        let wasm: Arc<[u8]> = bytes.ok_or("its bytes aren't kept anywhere")?.into();
        let found = Digest::of(&wasm);
        if found != pin.digest {
            return Err(format!("its bytes have the digest {found}"));
        }
        let named = FileName {
            name: pin.name.clone(),
            version: None,
        };
        self.admitted(&wasm, &pin.digest, Some(named)).await
    }
}
