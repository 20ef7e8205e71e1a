//! What builds plugins: a `wasm32-unknown-unknown` that the toolchain has, that rustup
//! brings, or that Debian's compiler makes from its library's sources. It doesn't know
//! which plugins there are.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Missing, Part, USUAL_WAY_LIMIT, VERSION_LIMIT, apt};
use crate::clone;
use crate::process::{capture, check, on_path, quiet};

const NAME: &str = "WebAssembly target";
const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std";
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// A way to build for `wasm32-unknown-unknown`.
pub(crate) enum Wasm {
    /// The toolchain in use has the target.
    Toolchain(Part),
    /// Debian's compiler builds the target's library as well, in a target folder of its own.
    Debian {
        /// Its line in the table.
        part: Part,
        /// PATH with the toolchain's `rust-lld` on it.
        path: OsString,
    },
}

impl Wasm {
    /// Finds a way. `GANTRY_WASM_VIA=rustup` or `debian` allows that one only.
    pub(crate) fn find() -> Result<Self, Missing> {
        let via = env::var("GANTRY_WASM_VIA").unwrap_or_default();
        let found = match via.as_str() {
            "rustup" => toolchain(),
            "debian" => debian(),
            _ => toolchain().or_else(|first| {
                check()?;
                debian().map_err(|second| first.context(format!("{second:#}")))
            }),
        };
        found.map_err(|why| {
            Missing::new(
                NAME,
                format!("{why:#}"),
                format!("rustup target add {TARGET}"),
            )
        })
    }

    /// Its line in the table.
    pub(crate) fn part(&self) -> &Part {
        match self {
            Self::Toolchain(part) | Self::Debian { part, .. } => part,
        }
    }

    /// `cargo rustc` for a plugin, to which the caller adds the package.
    pub(crate) fn cargo_rustc(&self) -> Result<Command> {
        let mut cargo = clone::cargo();
        cargo.args([
            "rustc",
            "--lib",
            "--crate-type",
            "cdylib",
            "--profile",
            "plugin",
        ]);
        cargo
            .args(["--target", TARGET, "--target-dir"])
            .arg(self.target_dir()?);
        if let Self::Debian { path, .. } = self {
            cargo.arg("-Zbuild-std=std,panic_abort");
            cargo
                .env("PATH", path)
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
        }
        Ok(cargo)
    }

    /// Where [`Self::cargo_rustc`] leaves the module of the package `name`.
    pub(crate) fn module(&self, name: &str) -> Result<PathBuf> {
        let file = format!("{}.wasm", name.replace('-', "_"));
        Ok(self.target_dir()?.join(TARGET).join("plugin").join(file))
    }

    /// Two compilers in one target folder would undo each other's work in turns.
    fn target_dir(&self) -> Result<PathBuf> {
        let target = clone::target()?;
        Ok(match self {
            Self::Toolchain(_) => target,
            Self::Debian { .. } => target.join("wasm"),
        })
    }
}

fn toolchain() -> Result<Wasm> {
    let library = sysroot()?.join("lib/rustlib").join(TARGET).join("lib");
    let mut origin = "installed";
    if !library.is_dir() {
        let rustup =
            on_path(&["rustup"]).context("the toolchain hasn't got it, and there is no rustup")?;
        quiet(
            Command::new(rustup).args(["target", "add", TARGET]),
            USUAL_WAY_LIMIT,
        )?;
        // It may have brought it for another toolchain than the one in use.
        if !library.is_dir() {
            bail!(
                "rustup added {TARGET} and there is no {}",
                library.display()
            );
        }
        origin = "rustup target add";
    }
    let version = capture(rustc().arg("--version"), VERSION_LIMIT)?;
    Ok(Wasm::Toolchain(Part {
        name: NAME,
        version: version.trim().to_owned(),
        origin: origin.to_owned(),
    }))
}

fn debian() -> Result<Wasm> {
    let mut origin = "installed, Debian's";
    if !Path::new(DEBIAN_RUSTC).is_file() || !Path::new(DEBIAN_STD).is_dir() {
        apt::install(&DEBIAN_PACKAGES).with_context(|| apt::by_hand(&DEBIAN_PACKAGES))?;
        origin = "apt-get install rustc-web";
    }
    let linker = sysroot()?.join("lib/rustlib").join(host()?).join("bin");
    if !linker.join("rust-lld").is_file() {
        bail!("the toolchain has no rust-lld in {}", linker.display());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(linker).chain(env::split_paths(&path)))?;
    let version = capture(Command::new(DEBIAN_RUSTC).arg("--version"), VERSION_LIMIT)?;
    let part = Part {
        name: NAME,
        version: version.trim().to_owned(),
        origin: origin.to_owned(),
    };
    Ok(Wasm::Debian { part, path })
}

fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

fn sysroot() -> Result<PathBuf> {
    let said = capture(rustc().args(["--print", "sysroot"]), VERSION_LIMIT)?;
    Ok(PathBuf::from(said.trim()))
}

fn host() -> Result<String> {
    let said = capture(rustc().arg("-vV"), VERSION_LIMIT)?;
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc doesn't say its host")?.to_owned())
}
