//! A plugin host in a folder of its own, and a job for its calls. It sleeps nowhere: `settled`
//! and the stream of changes say when to look.

use async_trait::async_trait;
use pipeline::{
    Digest, FileEntry, JobId, PluginHold, PluginLimits, PluginPin, PluginReq, RecordedCall,
};
use plugin_runtime::{
    Archive, CallContext, CallLimits, Compiler, Config, Files, Grants, PluginChange, Plugins,
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
    pub(crate) memory: Arc<Memory>,
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
            replay_gate: false,
            compiler: Compiler::InProcess,
            grants: Grants::default(),
            extism: None,
            rescan: Duration::from_secs(3600),
        };
        change(&mut config);
        let memory = Arc::new(Memory::default());
        let plugins = Plugins::open(config.clone(), memory.clone()).await.unwrap();
        Self {
            plugins,
            memory,
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

    /// Waits until these bytes are in the archive.
    pub(crate) async fn kept(&self, pin: &PluginPin) {
        self.until("the archive has the bytes", || {
            let past = self.memory.past.lock().unwrap();
            past.iter().any(|(_, kept)| kept == pin)
        })
        .await;
    }

    /// Waits for what a task in the background does.
    pub(crate) async fn until(&self, what: &str, done: impl Fn() -> bool) {
        let begin = std::time::Instant::now();
        while !done() {
            assert!(begin.elapsed() < DEADLINE, "{what}");
            tokio::task::yield_now().await;
        }
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
        group: Some("jam-7".to_owned()),
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
        record: false,
        limits: PluginLimits::default(),
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

/// A store's part, in memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) bytes: Mutex<HashMap<Digest, Vec<u8>>>,
    /// File and pin, the newest last.
    pub(crate) past: Mutex<Vec<(String, PluginPin)>>,
    pub(crate) holds: Mutex<Vec<PluginHold>>,
    pub(crate) calls: Mutex<Vec<RecordedCall>>,
}

#[async_trait]
impl Archive for Memory {
    async fn put(&self, file: &str, pin: &PluginPin, bytes: &[u8]) -> Result<(), String> {
        let mut past = self.past.lock().unwrap();
        past.retain(|(of, older)| of != file || older != pin);
        past.push((file.to_owned(), pin.clone()));
        let mut kept = self.bytes.lock().unwrap();
        kept.insert(pin.digest.clone(), bytes.to_vec());
        Ok(())
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        Ok(self.bytes.lock().unwrap().get(digest).cloned())
    }

    async fn history(&self, file: &str) -> Result<Vec<PluginPin>, String> {
        let past = self.past.lock().unwrap();
        let of = past.iter().rev().filter(|(of, _)| of == file);
        Ok(of.map(|(_, pin)| pin.clone()).collect())
    }

    async fn forget(&self, file: &str) -> Result<(), String> {
        self.past.lock().unwrap().retain(|(of, _)| of != file);
        Ok(())
    }

    async fn holds(&self) -> Result<Vec<PluginHold>, String> {
        Ok(self.holds.lock().unwrap().clone())
    }

    async fn calls(&self, name: &str) -> Result<Vec<RecordedCall>, String> {
        let calls = self.calls.lock().unwrap();
        Ok(calls
            .iter()
            .filter(|call| call.pin.name == name)
            .cloned()
            .collect())
    }
}
