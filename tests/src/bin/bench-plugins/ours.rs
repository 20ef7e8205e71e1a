//! Plugins as the host opens them, over a folder of this benchmark's own, and a job for them.

use std::fs;
use std::path::PathBuf;
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
