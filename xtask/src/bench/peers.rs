//! What benchmarks are measured beside: Extism, built, and the job queues that npm brings. It
//! measures nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clone;
use crate::plugins::build_with;
use crate::process::{on_path, quiet};

const INSTALL_LIMIT: Duration = Duration::from_secs(900);
/// What npm reads; the second names every version.
const MANIFESTS: [&str; 2] = ["package.json", "package-lock.json"];
/// What npm writes last.
const DONE: &str = "node_modules/.package-lock.json";

/// The folder with the peers of a benchmark; none where it has none.
pub(super) fn of(bench: &str) -> Option<Result<PathBuf>> {
    match bench {
        "plugins" => Some(extism()),
        "queue" => Some(queues()),
        _ => None,
    }
}

/// Builds `tests/peers/extism`, a workspace of its own, and gives the folder with its
/// program.
fn extism() -> Result<PathBuf> {
    let folder = clone::root().join("tests/peers/extism");
    let target = clone::target()?.join("peers");
    build_with(
        "Extism, which takes some minutes the first time",
        clone::cargo()
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target),
    )?;
    Ok(target.join("release"))
}

/// Copies `tests/peers/queue` to the target folder, where npm puts what its lock file names
/// beside it.
fn queues() -> Result<PathBuf> {
    let from = clone::root().join("tests/peers/queue");
    let folder = clone::target()?.join("peers/queue");
    let installed = folder.join(DONE).is_file() && same(&from, &folder);
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    for entry in fs::read_dir(&from).with_context(|| format!("{}", from.display()))? {
        let name = entry?.file_name();
        let copied = fs::copy(from.join(&name), folder.join(&name));
        copied.with_context(|| format!("{}", folder.join(&name).display()))?;
    }
    if installed {
        return Ok(folder);
    }
    let npm = on_path(&["npm"]).context("there is no npm on PATH")?;
    let mut install = Command::new(npm);
    install
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(&folder);
    quiet(&mut install, INSTALL_LIMIT)?;
    Ok(folder)
}

/// Whether both folders name the same packages.
fn same(one: &Path, other: &Path) -> bool {
    MANIFESTS.iter().all(|name| {
        let read = |folder: &Path| fs::read(folder.join(name)).ok();
        read(one).is_some_and(|text| read(other) == Some(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_the_same_where_every_manifest_is() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let is_same = || same(one.path(), other.path());
        assert!(!is_same(), "nothing is no manifest");
        for name in MANIFESTS {
            fs::write(one.path().join(name), "1").unwrap();
            assert!(!is_same());
            fs::write(other.path().join(name), "1").unwrap();
        }
        assert!(is_same());
        fs::write(other.path().join(MANIFESTS[1]), "2").unwrap();
        assert!(!is_same());
    }
}
