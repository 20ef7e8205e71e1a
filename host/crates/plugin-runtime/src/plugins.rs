//! The plugins of a host: a handle that others hold. Files land by `folder` and `admit`, what
//! serves is in `registry`; this file joins them, and runs nothing of a plugin itself.

mod registry;
mod watch;

use crate::admit::{FileName, admit};
use crate::compile::Workshop;
use crate::engine::Sandboxes;
use crate::folder::{Folders, Look, Place};
use crate::guest::Guest;
use crate::{CallLimits, PluginError, Served};
use async_trait::async_trait;
use pipeline::{Digest, PluginPin, PluginReport, PluginReq, RefusedFile, StepError, Timestamp};
use registry::Registry;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fmt, fs};
use tokio::sync::{Mutex, broadcast};
use tokio::task::spawn_blocking;
use watch::{Noticed, Watch};

pub(crate) use registry::Generation;

/// Changes that a slow receiver may fall behind before it misses some.
const CHANGES: usize = 256;
/// The pause before bytes that couldn't be kept are tried again.
const KEEP_AGAIN: Duration = Duration::from_secs(30);

/// How to open the plugins.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folders of `NAME.wasm` and `NAME@VERSION.wasm`: the built-ins' first, the watched
    /// `PLUGIN_DIR` last; later ones win on equal name and version. Made where they are missing.
    pub sources: Vec<PathBuf>,
    /// Where compiled plugins are kept; this user's alone.
    pub cache_dir: PathBuf,
    /// On each call and each file.
    pub limits: CallLimits,
    /// Where compiling happens.
    pub compiler: Compiler,
    /// The pause between two looks through the folders where nothing was noticed.
    pub rescan: Duration,
}

/// Where compiling happens.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In this process: a hostile file can use up its memory and time. For tests and tools.
    InProcess,
    /// In a child process with limits, whose `main` returns [`crate::compile_child`].
    Child {
        /// The program.
        exe: PathBuf,
        /// What makes it call [`crate::compile_child`].
        args: Vec<OsString>,
    },
}

/// Where accepted bytes are kept for all hosts. An error is logged here, and never stops a plugin
/// from serving.
#[async_trait]
pub trait PluginBytes: Send + Sync {
    /// Keeps bytes under their digest; again with the same bytes is nothing.
    async fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), String>;
    /// The bytes of a digest, where they are known.
    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String>;
}

/// What happened to the plugins of this host.
#[derive(Clone, Debug, PartialEq)]
pub enum PluginChange {
    /// A generation was accepted.
    Loaded(PluginReport),
    /// A file may not serve.
    Refused(RefusedFile),
    /// The file of an accepted generation is gone.
    Removed(PluginPin),
}

/// The plugins of this host: a cheap handle. Watching ends with the last clone.
#[derive(Clone)]
pub struct Plugins {
    inner: Arc<Inner>,
}

struct Inner {
    sandboxes: Arc<Sandboxes>,
    workshop: Arc<Workshop>,
    sources: Vec<PathBuf>,
    registry: Registry,
    bytes: Arc<dyn PluginBytes>,
    noticed: Arc<Noticed>,
    changes: broadcast::Sender<PluginChange>,
    /// One look at a time.
    looking: Arc<Mutex<Looking>>,
    /// One fetch of pinned bytes at a time.
    fetching: Mutex<()>,
}

struct Looking {
    folders: Folders,
    watch: Watch,
}

impl Plugins {
    /// Starts the engine, looks through the folders once, and watches them from then on.
    pub async fn open(config: Config, bytes: Arc<dyn PluginBytes>) -> Result<Self, PluginError> {
        let Config {
            sources,
            cache_dir,
            limits,
            compiler,
            rescan,
        } = config;
        for path in &sources {
            let made = fs::create_dir_all(path).and_then(|()| fs::read_dir(path));
            made.map_err(|source| PluginError::Folder {
                path: path.clone(),
                source,
            })?;
        }
        let sandboxes = Sandboxes::new(limits)?;
        let workshop = Workshop::open(Arc::clone(&sandboxes), compiler, cache_dir)?;
        let noticed = Arc::new(Noticed::default());
        let folders = Folders::new(sources.clone(), sandboxes.limits.file_bytes);
        let watch = Watch::new(Arc::clone(&noticed));
        let inner = Arc::new(Inner {
            sandboxes,
            workshop: Arc::new(workshop),
            sources,
            registry: Registry::default(),
            bytes,
            noticed: Arc::clone(&noticed),
            changes: broadcast::Sender::new(CHANGES),
            looking: Arc::new(Mutex::new(Looking { folders, watch })),
            fetching: Mutex::new(()),
        });
        let pending = inner.look().await;
        tokio::spawn(watch::run(Arc::downgrade(&inner), noticed, rescan, pending));
        Ok(Self { inner })
    }

    /// The plugin that answers a phase: the pinned digest where it can be had, else the one that
    /// serves. `Unavailable` names what is missing and the mend.
    pub async fn resolve(
        &self,
        wanted: &PluginReq,
        pin: Option<&PluginPin>,
    ) -> Result<Served, StepError> {
        if let Some(pin) = pin.filter(|pin| pin.name == wanted.name)
            && let Some(generation) = self.inner.pinned(pin).await
            && generation.guest.manifest.name == wanted.name
        {
            return Ok(self.inner.served(&generation));
        }
        let snapshot = self.inner.registry.snapshot();
        match snapshot.serving(wanted) {
            Some(generation) => Ok(self.inner.served(generation)),
            None => Err(StepError::Unavailable(
                self.inner.missing(&snapshot, wanted),
            )),
        }
    }

    /// Every loaded generation, those that serve first.
    pub fn reports(&self) -> Vec<PluginReport> {
        self.inner.registry.snapshot().reports()
    }

    /// Every file that may not serve, and why.
    pub fn refused(&self) -> Vec<RefusedFile> {
        self.inner.registry.snapshot().refused()
    }

    /// What happens from now on.
    pub fn changes(&self) -> broadcast::Receiver<PluginChange> {
        self.inner.changes.subscribe()
    }

    /// Looks through the folders now; resolves when a look has ended with nothing pending.
    pub async fn settled(&self) {
        while self.inner.look().await {
            tokio::time::sleep(watch::SETTLING).await;
        }
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugins")
            .field("sources", &self.inner.sources)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.noticed.something.notify_one();
    }
}

impl Inner {
    fn served(&self, generation: &Arc<Generation>) -> Served {
        Served::new(Arc::clone(generation), Arc::clone(&self.sandboxes))
    }

    /// One look through all folders; whether some file hasn't settled.
    async fn look(self: &Arc<Self>) -> bool {
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
        for (place, content) in landed {
            match content {
                Ok(wasm) => self.landed(place, wasm).await,
                Err(reason) => self.refuse(place, reason),
            }
        }
        for place in gone {
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

    async fn landed(self: &Arc<Self>, place: Place, wasm: Vec<u8>) {
        let digest = Digest::of(&wasm);
        if self.registry.digest_of(&place).as_ref() == Some(&digest) {
            return self.registry.same(&place);
        }
        let wasm: Arc<[u8]> = wasm.into();
        let named = match FileName::parse(&place.1) {
            Ok(named) => named,
            Err(reason) => return self.refuse(place, reason),
        };
        match self.admitted(&wasm, &digest, Some(named)).await {
            Ok(guest) => {
                let report = self.registry.accept(place, guest, now());
                tracing::info!(
                    plugin.name = report.name,
                    plugin.version = report.version,
                    plugin.digest = report.digest.short(),
                    plugin.generation = report.generation,
                    "plugin loaded"
                );
                self.tell(PluginChange::Loaded(report));
                self.keep_bytes(digest, wasm);
            }
            Err(reason) => self.refuse(place, reason),
        }
    }

    /// What is loaded already, or a new plugin of these bytes.
    async fn admitted(
        &self,
        wasm: &Arc<[u8]>,
        digest: &Digest,
        named: Option<FileName>,
    ) -> Result<Arc<Guest>, String> {
        if let Some(generation) = self.registry.snapshot().pinned(digest) {
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

    /// Accepted bytes go where every host finds them; until they do, they are tried again.
    fn keep_bytes(self: &Arc<Self>, digest: Digest, wasm: Arc<[u8]>) {
        let (bytes, host) = (Arc::clone(&self.bytes), Arc::downgrade(self));
        tokio::spawn(async move {
            while let Err(error) = bytes.put(&digest, &wasm).await {
                tracing::warn!(
                    plugin.digest = %digest,
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

    /// The generation of a digest, fetched where it isn't loaded.
    async fn pinned(&self, pin: &PluginPin) -> Option<Arc<Generation>> {
        let loaded = || self.registry.snapshot().pinned(&pin.digest).map(Arc::clone);
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

    async fn fetch(&self, pin: &PluginPin) -> Result<Arc<Guest>, String> {
        let bytes = self.bytes.get(&pin.digest).await?;
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

    /// Why nothing answers, and the mend.
    fn missing(&self, snapshot: &registry::Snapshot, wanted: &PluginReq) -> String {
        let name = &wanted.name;
        let folder = self.sources.last().map(|path| path.display().to_string());
        let folder = folder.unwrap_or_default();
        let refused = snapshot
            .refused()
            .into_iter()
            .filter(|file| FileName::parse(&file.file).is_ok_and(|parsed| parsed.name == *name));
        let mut told: Vec<String> = refused
            .map(|file| format!("{} was refused: it {}", file.file, file.reason))
            .collect();
        let versions = snapshot.versions(name);
        if !versions.is_empty() {
            told.insert(0, format!("loaded is {}", versions.join(", ")));
        }
        let mend = match &wanted.version {
            Some(version) => format!("drop {name}.wasm of a version {version} into {folder}"),
            None => format!("drop {name}.wasm into {folder}"),
        };
        match told.is_empty() {
            true => format!("plugin `{wanted}` isn't loaded, and no file is named for it: {mend}"),
            false => format!(
                "plugin `{wanted}` isn't loaded; {}; {mend}",
                told.join("; ")
            ),
        }
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
