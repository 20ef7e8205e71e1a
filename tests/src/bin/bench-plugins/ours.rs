//! Plugins as the host opens them, over a folder of this benchmark's own, and a job for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipeline::{FileEntry, JobId, PlannedTask, PluginLimits, PluginReq};
use plugin_runtime::{
    CallContext, CallLimits, Called, Compiler, Config, Files, Grants, NoArchive, Plugins,
    ReadError, Served,
};
use serde_json::json;
use tempfile::TempDir;

/// A folder of plugins, served.
pub(crate) struct Ours {
    pub(crate) plugins: Plugins,
    folder: TempDir,
    _cache: TempDir,
}

impl Ours {
    /// With these files in it, each with the name it gets.
    pub(crate) async fn open(files: &[(&str, PathBuf)]) -> Self {
        let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, from) in files {
            fs::copy(from, folder.path().join(name)).unwrap();
        }
        let plugins = open(folder.path(), cache.path()).await;
        Self {
            plugins,
            folder,
            _cache: cache,
        }
    }

    /// Puts bytes in a file's place, by rename.
    pub(crate) fn rename_in(&self, name: &str, bytes: &[u8]) {
        let half = self.folder.path().join(".half");
        fs::write(&half, bytes).unwrap();
        fs::rename(half, self.folder.path().join(name)).unwrap();
    }

    /// What serves under a name.
    pub(crate) async fn served(&self, name: &str) -> Served {
        let served = self.plugins.resolve(&named(name), None).await;
        served.unwrap_or_else(|error| panic!("{error:?}: {:?}", self.plugins.refused()))
    }
}

/// As the host does, once everything was looked at. Nothing is kept in a store.
pub(crate) async fn open(folder: &Path, cache: &Path) -> Plugins {
    let config = Config {
        sources: vec![folder.to_owned()],
        cache_dir: cache.to_owned(),
        limits: CallLimits::default(),
        replay_gate: false,
        grants: Grants::default(),
        extism: None,
        compiler: Compiler::Child {
            exe: gantry(),
            args: vec!["__compile".into()],
        },
        rescan: Duration::from_secs(2),
    };
    let plugins = Plugins::open(config, Arc::new(NoArchive)).await.unwrap();
    plugins.settled().await;
    plugins
}

/// The host's program, which stands beside this one.
fn gantry() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let gantry = here.with_file_name("gantry");
    assert!(gantry.is_file(), "there is no {}", gantry.display());
    gantry
}

pub(crate) fn named(name: &str) -> PluginReq {
    PluginReq {
        name: name.to_owned(),
        version: None,
    }
}

/// The one task of a `prompt` that must have gone well.
pub(crate) fn task(called: Called<Option<Vec<PlannedTask>>>) -> PlannedTask {
    let mut tasks = called.result.unwrap().unwrap();
    assert_eq!(tasks.len(), 1);
    tasks.remove(0)
}

/// A job of about a kilobyte.
pub(crate) fn context() -> CallContext {
    let wish = "Keepers row out at dusk, and the light must not fail. ";
    let params = json!({ "genre": "incremental", "wish": wish.repeat(12).trim_end() });
    CallContext {
        job: JobId(uuid::Uuid::nil()),
        name: "a game about lighthouse keepers".to_owned(),
        pipeline: "game".to_owned(),
        phase: "idea".to_owned(),
        attempt: 1,
        revision: 1,
        params: params.to_string(),
        settings: json!({ "genre": "idle" }).to_string(),
        feedback: None,
        now_ms: 1_700_000_000_000,
        seed: 7,
        outcomes: Vec::new(),
        files: Arc::new(NoFiles),
        group: None,
        limits: PluginLimits::default(),
        record: true,
    }
}

/// The same job for a plug-in that takes it as JSON.
pub(crate) fn job_as_json() -> String {
    let context = context();
    json!({
        "id": context.job.to_string(),
        "name": context.name,
        "pipeline": context.pipeline,
        "phase": context.phase,
        "attempt": context.attempt,
        "revision": context.revision,
        "params": context.params,
        "settings": context.settings,
        "feedback": context.feedback,
        "now": context.now_ms,
        "seed": context.seed,
        "outcomes": [],
    })
    .to_string()
}

struct NoFiles;

impl Files for NoFiles {
    fn list(&self, _: &str, _: Option<&str>, _: u32) -> Result<Vec<FileEntry>, ReadError> {
        Ok(Vec::new())
    }

    fn stat(&self, _: &str) -> Result<FileEntry, ReadError> {
        Err(ReadError::NotFound)
    }

    fn read(&self, _: &str, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
        Err(ReadError::NotFound)
    }
}
