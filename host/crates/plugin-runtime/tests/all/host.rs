//! A plugin host in a folder of its own, and a job for its calls. It sleeps nowhere: `settled`
//! and the stream of changes say when to look.

use async_trait::async_trait;
use pipeline::{Digest, FileEntry, JobId, PluginReq};
use plugin_runtime::{
    CallContext, CallLimits, Compiler, Config, Files, PluginBytes, PluginChange, Plugins,
    ReadError, Served,
};
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::broadcast;

/// How long anything may take before a test gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Host {
    pub(crate) plugins: Plugins,
    pub(crate) bytes: Arc<Memory>,
    pub(crate) config: Config,
    pub(crate) folder: TempDir,
}

impl Host {
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    /// A host whose settings `change` has seen; nothing is watched by the timer.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            sources: vec![
                folder.path().join("built-in"),
                folder.path().join("plugins"),
            ],
            cache_dir: folder.path().join("cache"),
            limits: CallLimits {
                concurrent_calls: 8,
                ..CallLimits::default()
            },
            compiler: Compiler::InProcess,
            rescan: Duration::from_secs(3600),
        };
        change(&mut config);
        let bytes = Arc::new(Memory::default());
        let plugins = Plugins::open(config.clone(), bytes.clone()).await.unwrap();
        Self {
            plugins,
            bytes,
            config,
            folder,
        }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("plugins").join(file)
    }

    /// Puts a file into the folder and waits until it was looked at.
    pub(crate) async fn drop_in(&self, file: &str, bytes: &[u8]) {
        fs::write(self.path(file), bytes).unwrap();
        self.plugins.settled().await;
    }

    pub(crate) async fn served(&self, name: &str) -> Served {
        self.plugins.resolve(&wanted(name), None).await.unwrap()
    }

    pub(crate) async fn version(&self, name: &str) -> String {
        self.served(name).await.pin().version
    }

    /// Why a file was refused; empty where it wasn't.
    pub(crate) fn reason(&self, file: &str) -> String {
        let refused = self.plugins.refused().into_iter();
        refused
            .filter(|it| it.file == file)
            .map(|it| it.reason)
            .collect()
    }

    /// A call of the innocent guest, beside or after whatever else happened.
    pub(crate) async fn innocent_call(&self) {
        let called = self.served("innocent").await.prompt(job()).await;
        let tasks = called.result.unwrap().unwrap();
        assert_eq!((tasks.len(), tasks[0].name.as_str()), (1, "make"));
        assert_eq!(tasks[0].prompt, "Make it.");
    }
}

pub(crate) fn wanted(text: &str) -> PluginReq {
    text.parse().unwrap()
}

pub(crate) async fn next(changes: &mut broadcast::Receiver<PluginChange>) -> PluginChange {
    let next = tokio::time::timeout(DEADLINE, changes.recv());
    next.await.expect("a change within the deadline").unwrap()
}

pub(crate) fn job() -> CallContext {
    job_with(Arc::new(OneFile))
}

pub(crate) fn job_with(files: Arc<dyn Files>) -> CallContext {
    CallContext {
        job: JobId(uuid::Uuid::nil()),
        name: "Lighthouse".to_owned(),
        pipeline: "game".to_owned(),
        phase: "idea".to_owned(),
        attempt: 1,
        revision: 1,
        params: "{}".to_owned(),
        settings: "{}".to_owned(),
        feedback: None,
        now_ms: 1_700_000_000_000,
        seed: 7,
        outcomes: Vec::new(),
        files,
    }
}

/// A workspace of one file.
pub(crate) struct OneFile;

impl Files for OneFile {
    fn list(&self, _: &str, after: Option<&str>, _: u32) -> Result<Vec<FileEntry>, ReadError> {
        match after {
            None => Ok(vec![self.stat("a.txt")?]),
            Some(_) => Ok(Vec::new()),
        }
    }

    fn stat(&self, path: &str) -> Result<FileEntry, ReadError> {
        match path {
            "a.txt" => Ok(FileEntry {
                path: path.to_owned(),
                size: 5,
            }),
            _ => Err(ReadError::NotFound),
        }
    }

    fn read(&self, path: &str, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
        self.stat(path)?;
        Ok(b"hello".to_vec())
    }
}

/// Bytes by digest, in memory.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) Mutex<HashMap<Digest, Vec<u8>>>);

#[async_trait]
impl PluginBytes for Memory {
    async fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), String> {
        self.0
            .lock()
            .unwrap()
            .insert(digest.clone(), bytes.to_vec());
        Ok(())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.lock().unwrap().get(digest).cloned())
    }
}
