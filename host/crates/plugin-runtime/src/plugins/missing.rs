//! The sentence for a job whose plugin can't be had: what is loaded, refused or held, and the mend.

use super::Inner;
use super::registry::Snapshot;
use crate::admit::FileName;
use pipeline::{PluginReq, StepError};

impl Inner {
    /// Why nothing answers, and the mend.
    pub(super) fn missing(&self, snapshot: &Snapshot, wanted: &PluginReq) -> StepError {
        let name = &wanted.name;
        let held: Vec<String> = snapshot
            .holds_on(name)
            .map(|hold| {
                format!(
                    "{} is {}: {}",
                    hold.pin.version,
                    hold.kind.word(),
                    hold.message
                )
            })
            .collect();
        if !held.is_empty() && snapshot.versions(name).is_empty() {
            let mend = format!("drop a mended {name}.wasm, or `gantry plugin release {name}`");
            return StepError::Held(format!("plugin `{name}` {}; {mend}", held.join("; ")));
        }
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
        StepError::Unavailable(match told.is_empty() {
            true => format!("plugin `{wanted}` isn't loaded, and no file is named for it: {mend}"),
            false => format!(
                "plugin `{wanted}` isn't loaded; {}; {mend}",
                told.join("; ")
            ),
        })
    }
}
