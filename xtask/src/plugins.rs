//! Builds the built-in plugins, and the tests' guests, into components. It doesn't load
//! one: what a component must be, the host checks.

pub(crate) mod foreign;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use wit_component::ComponentEncoder;

use crate::clone;
use crate::parts::wasm::Wasm;
use crate::process::{quiet, shown};
use crate::term::{is_terminal, say};

/// The built-in plugins: the packages in `plugins/`, but for the SDK.
const BUILT_IN: [&str; 5] = ["idea", "design", "plan", "build", "static-site"];
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

/// `cargo xtask plugins`.
pub(crate) fn run() -> Result<ExitCode> {
    let wasm = Wasm::find()?;
    let built_in = build_built_in(&wasm)?;
    let guests = build_guests(&wasm)?;
    say(format_args!("{}\n{}", built_in.display(), guests.display()));
    Ok(ExitCode::SUCCESS)
}

/// The components of the built-in plugins, in `target/plugins`, where a host that was built
/// in this clone looks for them.
pub(crate) fn build_built_in(wasm: &Wasm) -> Result<PathBuf> {
    let folder = clone::target()?.join("plugins");
    for name in BUILT_IN {
        let mut cargo = wasm.cargo_rustc()?;
        cargo.args(["-p", name]);
        build(wasm, cargo, name, &folder)?;
    }
    Ok(folder)
}

/// The components of the crates in `tests/guests`, in `target/guests`.
pub(crate) fn build_guests(wasm: &Wasm) -> Result<PathBuf> {
    let folder = clone::target()?.join("guests");
    fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    for manifest in guests(&clone::root().join("tests/guests"))? {
        let text = fs::read_to_string(&manifest)?;
        let parsed: Manifest =
            toml::from_str(&text).with_context(|| format!("{}", manifest.display()))?;
        let mut cargo = wasm.cargo_rustc()?;
        cargo.arg("--manifest-path").arg(&manifest);
        build(wasm, cargo, &parsed.package.name, &folder)?;
    }
    Ok(folder)
}

/// Runs a cargo that builds: people see its progress on a terminal, its output when it fails.
pub(crate) fn build_with(what: &str, cargo: &mut Command) -> Result<()> {
    say(format_args!("building {what}"));
    let built = if is_terminal() {
        shown(cargo, BUILD_LIMIT)
    } else {
        quiet(cargo, BUILD_LIMIT)
    };
    built.with_context(|| format!("building {what}"))
}

/// The program `gantry` of this clone, as the workspace's tests have it: picking one package
/// would choose other features of what both need, and build that twice.
pub(crate) fn build_host() -> Result<PathBuf> {
    build_with(
        "gantry, which takes some minutes the first time",
        clone::cargo().args(["build", "--workspace", "--bin", "gantry"]),
    )?;
    Ok(clone::build_dir()?.join("gantry"))
}

fn guests(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut manifests: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path().join("Cargo.toml"))
        .filter(|manifest| manifest.is_file())
        .collect();
    manifests.sort();
    Ok(manifests)
}

fn build(wasm: &Wasm, mut cargo: Command, name: &str, folder: &Path) -> Result<()> {
    build_with(&format!("the plugin {name}"), &mut cargo)?;
    let module = wasm.module(name)?;
    let bytes = fs::read(&module).with_context(|| format!("{}", module.display()))?;
    let component = encode(&bytes).with_context(|| format!("the plugin {name} as a component"))?;
    write_changed(folder, &format!("{name}.wasm"), &component)
}

fn encode(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)?
        .encode()
}

/// Writes by rename, and only what is new: a running host watches this folder.
fn write_changed(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let file = folder.join(name);
    if fs::read(&file).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    let mut half = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut half, bytes)?;
    half.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))?;
    half.persist(&file)
        .with_context(|| format!("{}", file.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_change_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/a.wasm");
        let write = |bytes| write_changed(&folder.path().join("new"), "a.wasm", bytes).unwrap();
        let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&file).unwrap());
        write(b"1");
        let first = inode();
        write(b"1");
        assert_eq!(inode(), first);
        write(b"2");
        assert_ne!(inode(), first);
        assert_eq!(fs::read(&file).unwrap(), b"2");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn guests_are_the_folders_with_a_manifest() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a", "not-a-crate"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in ["a", "b"] {
            fs::write(folder.path().join(name).join("Cargo.toml"), "").unwrap();
        }
        let found = guests(folder.path()).unwrap();
        assert_eq!(
            found,
            [
                folder.path().join("a/Cargo.toml"),
                folder.path().join("b/Cargo.toml")
            ]
        );
        assert!(guests(&folder.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_module_is_an_error() {
        assert!(encode(b"no module").is_err());
    }
}
