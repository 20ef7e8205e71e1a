//! Where things are in this clone, and a cargo that is free of what `cargo run` left
//! in the environment. It doesn't decide what is built.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use anyhow::{Context, Result};

use crate::process;
use crate::term::say;

/// The clone's first folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The folder that this program was built in (`target/debug`), where `gantry` stands as well.
pub(crate) fn build_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("this program's own path")?;
    let folder = program.parent().context("this program's folder")?;
    Ok(folder.to_owned())
}

/// The target folder of this clone, wherever cargo's settings put it.
pub(crate) fn target() -> Result<PathBuf> {
    let build = build_dir()?;
    Ok(build.parent().context("the target folder")?.to_owned())
}

/// What the set-up keeps for later runs; made if it isn't there.
pub(crate) fn kept() -> Result<PathBuf> {
    let folder = target()?.join("parts");
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    Ok(folder)
}

/// Cargo, in this clone. What `cargo run` sets for the program that it runs would make
/// build scripts that watch those names run again, so it is taken out.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(left_by_cargo_run) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn left_by_cargo_run(name: &str) -> bool {
    const PREFIXES: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];
    const NAMES: [&str; 4] = [
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "LD_LIBRARY_PATH",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

/// Waits for the lock at `path`, and says so when another run has it. Closing the file
/// gives it back, so a run that was killed keeps nothing.
pub(crate) fn lock(path: &Path, what: &str) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("the lock {}", path.display()))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if !told => {
                say(format_args!("another xtask run has {what}: waiting for it"));
                told = true;
            }
            Err(TryLockError::WouldBlock) => process::pause()?,
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("the lock {}", path.display()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cargo_run_left_is_taken_out() {
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "LD_LIBRARY_PATH"] {
            assert!(left_by_cargo_run(name), "{name}");
        }
        for name in ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "PATH"] {
            assert!(!left_by_cargo_run(name), "{name}");
        }
    }

    #[test]
    fn a_lock_is_free_again_once_its_holder_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock(&path, "it").unwrap();
        let other = File::options().write(true).open(&path).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        drop(lock(&path, "it").unwrap());
    }
}
