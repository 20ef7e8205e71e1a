//! The real parts that the tests run on: each is found or made, and what was started for
//! it stops with it. Installed comes first, the usual way next with a time limit, Debian's
//! packages last. Nothing here decides whether a missing part is a failure.

mod apt;
pub(crate) mod chromium;
pub(crate) mod claude;
pub(crate) mod docker;
pub(crate) mod languages;
pub(crate) mod podman;
pub(crate) mod postgres;
pub(crate) mod wasm;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{capture, on_path, quiet};

/// How long the usual way may take where it may hang instead of failing.
const USUAL_WAY_LIMIT: Duration = Duration::from_secs(60);
/// How long packages may take to come and unpack.
const INSTALL_LIMIT: Duration = Duration::from_secs(900);
/// How long a program may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(30);

/// A part in use: a line of the table at the end.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// What people call it.
    pub(crate) name: &'static str,
    /// As it says itself.
    pub(crate) version: String,
    /// Where it was found, or how it was made.
    pub(crate) origin: String,
}

/// A part that can't be had, and the command that would mend that.
#[derive(Debug)]
pub(crate) struct Missing {
    /// What people call it.
    pub(crate) part: &'static str,
    why: String,
    /// What programs said when they failed; empty where nothing was run.
    pub(crate) detail: String,
    mend: String,
}

impl Missing {
    /// The first line of `why` is the reason, what follows is the detail.
    fn new(part: &'static str, why: impl fmt::Display, mend: impl Into<String>) -> Self {
        let why = why.to_string();
        let (first, detail) = why.trim().split_once('\n').unwrap_or((why.trim(), ""));
        Self {
            part,
            why: first.to_owned(),
            detail: detail.to_owned(),
            mend: mend.into(),
        }
    }

    /// Why, and what to run, in one line.
    pub(crate) fn reason(&self) -> String {
        format!("{}; to mend it: {}", self.why, self.mend)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing: {}", self.part, self.reason())
    }
}

impl std::error::Error for Missing {}

/// The first line that `program --version` prints.
fn version_of(program: &Path) -> Result<String> {
    let said = capture(Command::new(program).arg("--version"), VERSION_LIMIT)?;
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}

/// Installs npm packages, each a name and a version, into `folder`, if they aren't there
/// already, and gives the folder `node_modules`.
fn npm_install(folder: &Path, packages: &[(&str, &str)]) -> Result<PathBuf> {
    let modules = folder.join("node_modules");
    let is_there = |(package, version): &(&str, &str)| {
        installed_version(&modules.join(package)).as_deref() == Some(*version)
    };
    if packages.iter().all(is_there) {
        return Ok(modules);
    }
    let packages = packages
        .iter()
        .map(|(name, version)| format!("{name}@{version}"));
    let npm = on_path(&["npm"]).context("there is no npm on PATH")?;
    let mut install = Command::new(npm);
    install
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
        ])
        .arg(folder)
        .args(packages);
    std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    quiet(&mut install, INSTALL_LIMIT)?;
    Ok(modules)
}

fn installed_version(package: &Path) -> Option<String> {
    let text = std::fs::read(package.join("package.json")).ok()?;
    let manifest: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(manifest.get("version")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_part_is_one_line_with_its_mend() {
        let missing = Missing::new(
            "Chromium",
            "apt-get install: exit status: 100\nE: no such package\n",
            "apt-get install chromium",
        );
        assert_eq!(
            missing.to_string(),
            "Chromium is missing: apt-get install: exit status: 100; \
             to mend it: apt-get install chromium"
        );
        assert_eq!(missing.detail, "E: no such package");
    }

    #[test]
    fn an_npm_package_has_a_version_only_when_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(installed_version(folder.path()), None);
        std::fs::write(folder.path().join("package.json"), r#"{"version":"1.2.3"}"#).unwrap();
        assert_eq!(installed_version(folder.path()).as_deref(), Some("1.2.3"));
    }
}
