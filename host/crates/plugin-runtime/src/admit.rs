//! From bytes to a plugin that may serve: compiled, fitting, described and self-tested. Every
//! refusal is a sentence about the file. It changes nothing of what serves.

use crate::compile::{Form, Workshop, form};
use crate::engine::Sandboxes;
use crate::guest::component::Linked;
use crate::guest::extism::Extism;
use crate::guest::{Guest, Kind};
use crate::{answer, fit, said};
use pipeline::{Digest, Manifest, PluginPin, is_slug};
use semver::Version;

/// Bytes of a manifest's summary, and of the names of what it requests.
const SUMMARY_BYTES: usize = 500;
/// Bytes of a version: it must fit into a file's name.
const VERSION_BYTES: usize = 100;
const SCHEMA_BYTES: usize = 64 << 10;
const REQUESTS: usize = 32;

/// What a file's name promises: `NAME.wasm` or `NAME@VERSION.wasm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) name: String,
    pub(crate) version: Option<Version>,
}

impl FileName {
    pub(crate) fn parse(file: &str) -> Result<Self, String> {
        let stem = file.strip_suffix(".wasm").unwrap_or(file);
        let (name, version) = match stem.split_once('@') {
            None => (stem, None),
            Some((name, version)) => {
                let parsed = Version::parse(version).map_err(|error| {
                    format!("is named for `{version}`, which isn't a semantic version: {error}")
                })?;
                (name, Some(parsed))
            }
        };
        if !is_slug(name) {
            return Err(
                "isn't named NAME.wasm or NAME@VERSION.wasm, with NAME of lowercase letters, \
                 digits and hyphens: rename it"
                    .to_owned(),
            );
        }
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }

    /// Whether a plugin may be in a file of this name.
    pub(crate) fn check(&self, manifest: &Manifest) -> Result<(), String> {
        if manifest.name != self.name {
            return Err(format!(
                "describes itself as `{}`, but its file is named for `{}`: rename the file or the \
                 plugin",
                manifest.name, self.name
            ));
        }
        match &self.version {
            Some(version) if *version != manifest.version => Err(format!(
                "describes itself as version {}, but its file is named for {version}: rename the \
                 file or build that version",
                manifest.version
            )),
            _ => Ok(()),
        }
    }
}

/// A plugin of these bytes; the reason where they may not serve, which may hold what the file
/// says of itself, but neither at length nor as more than one line.
pub(crate) fn admit(
    sandboxes: &Sandboxes,
    workshop: &Workshop,
    wasm: &[u8],
    digest: &Digest,
    named: Option<&FileName>,
) -> Result<Guest, String> {
    let admitted = tried(sandboxes, workshop, wasm, digest, named);
    admitted.map_err(|reason| {
        let line = reason.replace(['\n', '\t'], " ");
        answer::cut(line, sandboxes.limits.answers.message_bytes)
    })
}

fn tried(
    sandboxes: &Sandboxes,
    workshop: &Workshop,
    wasm: &[u8],
    digest: &Digest,
    named: Option<&FileName>,
) -> Result<Guest, String> {
    let mut kind: Box<dyn Kind> = match form(wasm)? {
        Form::Component => {
            let component = workshop.component(wasm, digest)?;
            if let Some(misfit) = fit::misfit(&sandboxes.engine, &component) {
                return Err(misfit);
            }
            Box::new(Linked::new(sandboxes, &component)?)
        }
        Form::Extism(steps) => {
            let nursery = workshop.nursery()?;
            Box::new(Extism::new(nursery, &sandboxes.limits, wasm, steps)?)
        }
    };
    let manifest = manifest(kind.describe(sandboxes)?)?;
    if let Some(named) = named {
        named.check(&manifest)?;
    }
    kind.grant(sandboxes.grants.to(&manifest.name, &manifest.requests)?)?;
    kind.self_test(sandboxes)?;
    let pin = PluginPin {
        name: manifest.name.clone(),
        version: manifest.version.to_string(),
        digest: digest.clone(),
    };
    Ok(Guest::new(kind, manifest, pin))
}

fn manifest(said: said::Manifest) -> Result<Manifest, String> {
    let shown = |text: &str| {
        text.chars()
            .filter(|c| !c.is_control())
            .take(80)
            .collect::<String>()
    };
    if !is_slug(&said.name) {
        return Err(format!(
            "describes itself as `{}`; a plugin's name is lowercase letters, digits and hyphens",
            shown(&said.name)
        ));
    }
    let long = |what: &str, most: usize| {
        Err(format!(
            "describes itself with {what} of more than {most} bytes"
        ))
    };
    if said.version.len() > VERSION_BYTES {
        return long("a version", VERSION_BYTES);
    }
    let version = Version::parse(&said.version).map_err(|error| {
        format!(
            "describes itself as version `{}`, which isn't a semantic version: {error}",
            shown(&said.version)
        )
    })?;
    if said.summary.len() > SUMMARY_BYTES {
        return long("a summary", SUMMARY_BYTES);
    }
    if said.summary.contains(char::is_control) {
        return Err("describes itself with a summary that isn't one line of text".to_owned());
    }
    if said
        .settings_schema
        .as_ref()
        .is_some_and(|schema| schema.len() > SCHEMA_BYTES)
    {
        return long("a schema of its settings", SCHEMA_BYTES);
    }
    if said.requests.len() > REQUESTS || said.requests.iter().any(|name| name.len() > SUMMARY_BYTES)
    {
        return Err(format!(
            "requests more than {REQUESTS} capabilities, or one with a long name"
        ));
    }
    if let Some(schema) = &said.settings_schema
        && let Err(error) = serde_json::from_str::<serde_json::Value>(schema)
    {
        return Err(format!(
            "describes its settings with a schema that isn't JSON: {error}"
        ));
    }
    Ok(Manifest {
        name: said.name,
        version,
        summary: said.summary,
        settings_schema: said.settings_schema,
        requests: said.requests,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        let plain = FileName::parse("idea.wasm").unwrap();
        assert_eq!((plain.name.as_str(), plain.version), ("idea", None));
        let versioned = FileName::parse("idea@1.2.0-rc.1.wasm").unwrap();
        assert_eq!(
            versioned.version,
            Some(Version::parse("1.2.0-rc.1").unwrap())
        );
        for wrong in [
            "Idea.wasm",
            "idea@1.wasm",
            "@1.0.0.wasm",
            "a b.wasm",
            ".wasm",
        ] {
            assert!(FileName::parse(wrong).is_err(), "{wrong}");
        }
    }
}
