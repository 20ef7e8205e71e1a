//! The pipelines of this host: the built-in one, and the files of a watched folder. They go into
//! the store, where submits find them; a job keeps the one that it was submitted with.

use pipeline::{NetworkCap, PipelineSpec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::{DriverStore, PipelineEntry};
use tokio_util::sync::CancellationToken;

/// The pipeline that comes with Gantry; a file of the same name takes its place.
pub(crate) const GAME: &str = include_str!("../game.toml");

/// How often the folder is looked through.
const EVERY: Duration = Duration::from_secs(2);

/// Every pipeline that there is, by name. One that lists more names than `cap` isn't ready.
pub(crate) fn read(dir: &Path, cap: &NetworkCap) -> Vec<PipelineEntry> {
    let game = entry("game", Ok(GAME.to_owned()), cap);
    let mut all = BTreeMap::from([("game".to_owned(), game)]);
    for file in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = file.path();
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default()
            .to_owned();
        let hidden = name.starts_with('.') || name.is_empty();
        if hidden || path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        all.insert(name.clone(), entry(&name, text, cap));
    }
    all.into_values().collect()
}

fn entry(name: &str, text: Result<String, String>, cap: &NetworkCap) -> PipelineEntry {
    let spec = text.and_then(|text| PipelineSpec::parse(&text).map_err(|e| e.to_string()));
    let spec = spec.and_then(|spec| within(spec, cap));
    match spec {
        Ok(spec) if spec.name == name => PipelineEntry::Ready(spec),
        Ok(spec) => PipelineEntry::Broken {
            name: name.to_owned(),
            error: format!("its name is `{}`: name the file {0}.toml", spec.name),
        },
        Err(error) => PipelineEntry::Broken {
            name: name.to_owned(),
            error,
        },
    }
}

fn within(spec: PipelineSpec, cap: &NetworkCap) -> Result<PipelineSpec, String> {
    let beyond = |phase: &pipeline::PhaseSpec| {
        let entry = cap.beyond(&phase.network)?;
        Some(format!(
            "phase `{}`: network: `{entry}` is not among NETWORK_ALLOW of this host: take it out, \
             or allow it there",
            phase.id
        ))
    };
    match spec.phases.iter().find_map(beyond) {
        Some(why) => Err(why),
        None => Ok(spec),
    }
}

/// The store's pipelines, kept as the folder has them.
pub(crate) struct Pipelines {
    store: Arc<dyn DriverStore>,
    dir: PathBuf,
    cap: NetworkCap,
    /// What the store was last told.
    known: Vec<PipelineEntry>,
}

impl Pipelines {
    /// Tells the store what there is: before this has returned, a job could be refused for want
    /// of its pipeline.
    pub(crate) async fn open(store: Arc<dyn DriverStore>, dir: PathBuf, cap: NetworkCap) -> Self {
        let mut pipelines = Self {
            store,
            dir,
            cap,
            known: Vec::new(),
        };
        pipelines.look().await;
        pipelines
    }

    /// Looks again from time to time.
    pub(crate) async fn follow(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EVERY) => self.look().await,
            }
        }
    }

    async fn look(&mut self) {
        let (dir, cap) = (self.dir.clone(), self.cap.clone());
        let now = tokio::task::spawn_blocking(move || read(&dir, &cap))
            .await
            .unwrap_or_default();
        if now == self.known {
            return;
        }
        for entry in now.iter().filter(|entry| !self.known.contains(entry)) {
            match entry {
                PipelineEntry::Ready(spec) => {
                    tracing::info!(pipeline.name = spec.name, "pipeline ready");
                }
                PipelineEntry::Broken { name, error } => {
                    tracing::warn!(pipeline.name = name, error, "pipeline refused");
                }
            }
        }
        match self.store.put_pipelines(&now).await {
            Ok(()) => self.known = now,
            Err(error) => tracing::warn!(%error, "the pipelines didn't reach the store"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_pipeline_is_ready() {
        let nowhere = read(Path::new("/nowhere"), &NetworkCap::Any);
        assert!(matches!(&nowhere[..], [PipelineEntry::Ready(spec)] if spec.phases.len() == 4));
    }

    #[test]
    fn a_file_takes_the_place_of_the_built_in_and_a_broken_one_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "game.toml",
            "name=\"game\"\n[[phase]]\nid=\"a\"\nplugin=\"a\"",
        );
        write(
            "other.toml",
            "name=\"else\"\n[[phase]]\nid=\"a\"\nplugin=\"a\"",
        );
        write("broken.toml", "name=\"broken\"\ncolour=1");
        write(".hidden.toml", "x");
        write("notes.txt", "x");
        let all = read(dir.path(), &NetworkCap::Any);
        let said: Vec<(String, Option<String>)> = all
            .into_iter()
            .map(|entry| match entry {
                PipelineEntry::Ready(spec) => (spec.name, None),
                PipelineEntry::Broken { name, error } => (name, Some(error)),
            })
            .collect();
        assert_eq!(said[1], ("game".to_owned(), None));
        assert!(said[0].1.as_ref().unwrap().contains("colour"));
        assert!(said[2].1.as_ref().unwrap().contains("else.toml"));
        assert_eq!(said.len(), 3);
    }

    #[test]
    fn a_list_beyond_what_the_operator_allows_is_not_ready() {
        let dir = tempfile::tempdir().unwrap();
        let head = "name=\"a\"\n[[phase]]\nid=\"p\"\nplugin=\"p\"\n";
        let list = "network=[\"npm\", \"example.com\"]\n";
        std::fs::write(dir.path().join("a.toml"), format!("{head}{list}")).unwrap();
        let first = |cap: &str| read(dir.path(), &cap.parse().unwrap()).remove(0);
        assert!(matches!(first("any"), PipelineEntry::Ready(_)));
        assert!(matches!(first("npm, example.com"), PipelineEntry::Ready(_)));
        for (cap, entry) in [("npm", "example.com"), ("none", "npm")] {
            let PipelineEntry::Broken { error, .. } = first(cap) else {
                panic!("{cap}: it is ready");
            };
            let said = format!("phase `p`: network: `{entry}` is not among NETWORK_ALLOW");
            assert!(error.contains(&said), "{cap}: {error}");
        }
    }
}
