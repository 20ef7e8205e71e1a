//! The plugins of a host: a handle that others hold. Files land by `folder` and `admit`, what
//! serves is in `registry`; this file joins them, and runs nothing of a plugin itself.

mod gate;
mod look;
mod missing;
mod past;
mod registry;
mod watch;

use crate::admit::FileName;
use crate::compile::Workshop;
use crate::engine::Sandboxes;
use crate::folder::Folders;
use crate::{Archive, CallLimits, Grants, PluginError, Served};
use pipeline::{Digest, PluginPin, PluginReport, PluginReq, RefusedFile, StepError, Timestamp};
use registry::Registry;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fmt, fs};
use tokio::sync::{Mutex, broadcast};
use watch::{Noticed, Watch};

pub(crate) use registry::Generation;

/// Changes that a slow receiver may fall behind before it misses some.
const CHANGES: usize = 256;

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
    /// Whether a file that does worse on recorded calls than the one that serves is refused.
    pub replay_gate: bool,
    /// Capabilities that an operator grants.
    pub grants: Grants,
    /// Where compiling happens.
    pub compiler: Compiler,
    /// Where Extism plug-ins run; without it they are refused.
    pub extism: Option<ExtismChild>,
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

/// The program that Extism plug-ins run in, one process for each call at a time: its `main`
/// returns `extism_child::run()`.
#[derive(Clone, Debug)]
pub struct ExtismChild {
    /// The program.
    pub exe: PathBuf,
    /// What makes it call `extism_child::run`.
    pub args: Vec<OsString>,
}

/// What happened to the plugins of this host.
#[derive(Clone, Debug, PartialEq)]
pub enum PluginChange {
    /// A generation was accepted.
    Loaded(Box<PluginReport>),
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
    replay_gate: bool,
    registry: Registry,
    archive: Arc<dyn Archive>,
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
    pub async fn open(config: Config, archive: Arc<dyn Archive>) -> Result<Self, PluginError> {
        let Config {
            sources,
            cache_dir,
            limits,
            replay_gate,
            grants,
            compiler,
            extism,
            rescan,
        } = config;
        for path in &sources {
            let made = fs::create_dir_all(path).and_then(|()| fs::read_dir(path));
            made.map_err(|source| PluginError::Folder {
                path: path.clone(),
                source,
            })?;
        }
        let sandboxes = Sandboxes::new(limits, grants)?;
        let workshop = Workshop::open(Arc::clone(&sandboxes), compiler, extism, cache_dir)?;
        let noticed = Arc::new(Noticed::default());
        let folders = Folders::new(sources.clone(), sandboxes.limits.file_bytes);
        let watch = Watch::new(Arc::clone(&noticed));
        let inner = Arc::new(Inner {
            sandboxes,
            workshop: Arc::new(workshop),
            sources,
            replay_gate,
            registry: Registry::default(),
            archive,
            noticed: Arc::clone(&noticed),
            changes: broadcast::Sender::new(CHANGES),
            looking: Arc::new(Mutex::new(Looking { folders, watch })),
            fetching: Mutex::new(()),
        });
        inner.take_holds().await;
        let pending = inner.first_looks().await;
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
            None => Err(self.inner.missing(&snapshot, wanted)),
        }
    }

    /// The same where nothing has to be fetched for it; none where something would be, or where
    /// nothing serves.
    pub fn at_hand(&self, wanted: &PluginReq, pin: Option<&PluginPin>) -> Option<Served> {
        let snapshot = self.inner.registry.snapshot();
        let pin = pin
            .filter(|pin| pin.name == wanted.name)
            .filter(|pin| snapshot.held(&pin.digest).is_none());
        let generation = match pin {
            Some(pin) => snapshot.loaded(&pin.digest),
            None => snapshot.serving(wanted),
        };
        Some(self.inner.served(generation?))
    }

    /// Asks the archive which digests may not answer, and keeps to it: what is held serves no
    /// more, not even phases that began with it.
    pub async fn take_holds(&self) {
        if self.inner.take_holds().await {
            self.inner.fall_back().await;
        }
    }

    /// Looks at bytes as if they had landed under this file name, without letting them serve:
    /// what they are, and a handle for trials. The reason where they would be refused.
    pub async fn examine(&self, file: &str, wasm: Vec<u8>) -> Result<Served, String> {
        let named = FileName::parse(file)?;
        let wasm: Arc<[u8]> = wasm.into();
        let digest = Digest::of(&wasm);
        let guest = self.inner.admitted(&wasm, &digest, Some(named)).await?;
        let sandboxes = Arc::clone(&self.inner.sandboxes);
        Ok(Served::on_trial(guest, sandboxes))
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
        Served::new(Arc::clone(&generation.guest), Arc::clone(&self.sandboxes))
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
