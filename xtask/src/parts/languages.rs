//! What makes components of Python and of JavaScript: componentize-py in an environment of
//! pip's, and jco. It doesn't know which plugins there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{INSTALL_LIMIT, Missing, Part, apt, npm_install};
use crate::clone;
use crate::process::{on_path, quiet};

const COMPONENTIZE_PY: &str = "componentize-py";
const COMPONENTIZE_PY_VERSION: &str = "0.25.1";
const JCO: &str = "@bytecodealliance/jco";
const JCO_VERSION: &str = "1.35.0";
/// Jco's engine, as a package of its own.
const COMPONENTIZE_JS: &str = "@bytecodealliance/componentize-js";
const COMPONENTIZE_JS_VERSION: &str = "0.23.0";
const BUILD_LIMIT: Duration = Duration::from_secs(300);
/// The world in `wit/` that a phase's plugin has.
const WORLD: &str = "phase-plugin";

/// Makes components of Python.
pub(crate) struct Python {
    /// Its line in the table.
    pub(crate) part: Part,
    program: PathBuf,
}

/// Makes components of JavaScript.
pub(crate) struct JavaScript {
    /// Its line in the table.
    pub(crate) part: Part,
    program: PathBuf,
}

impl Python {
    /// Has pip bring componentize-py, if it isn't there.
    pub(crate) fn find() -> Result<Self, Missing> {
        let mend = format!("pip install {COMPONENTIZE_PY}=={COMPONENTIZE_PY_VERSION}");
        let program =
            pip_install().map_err(|why| Missing::new(COMPONENTIZE_PY, format!("{why:#}"), mend))?;
        let part = Part {
            name: COMPONENTIZE_PY,
            version: COMPONENTIZE_PY_VERSION.to_owned(),
            origin: format!("pip install {COMPONENTIZE_PY}"),
        };
        Ok(Self { part, program })
    }

    /// A component of `FOLDER/MODULE.py`.
    pub(crate) fn component(&self, folder: &Path, module: &str) -> Result<Vec<u8>> {
        // It leaves a cache beside what it reads, which is no business of the sources' folder.
        let out = tempfile::tempdir()?;
        let name = format!("{module}.py");
        fs::copy(folder.join(&name), out.path().join(&name))
            .with_context(|| format!("{}", folder.join(&name).display()))?;
        let file = out.path().join("component.wasm");
        let mut build = Command::new(&self.program);
        build
            .arg("-d")
            .arg(clone::root().join("wit"))
            .args(["-w", WORLD, "componentize", "-p", "."])
            .arg(module)
            .arg("-o")
            .arg(&file)
            .current_dir(out.path());
        quiet(&mut build, BUILD_LIMIT)?;
        fs::read(&file).with_context(|| format!("{COMPONENTIZE_PY} made no component"))
    }
}

impl JavaScript {
    /// Has npm bring jco, if it isn't there.
    pub(crate) fn find() -> Result<Self, Missing> {
        let packages = [
            (JCO, JCO_VERSION),
            (COMPONENTIZE_JS, COMPONENTIZE_JS_VERSION),
        ];
        let modules = clone::kept()
            .and_then(|kept| npm_install(&kept.join("jco"), &packages))
            .map_err(|why| {
                Missing::new("jco", format!("{why:#}"), apt::by_hand(&["nodejs", "npm"]))
            })?;
        let part = Part {
            name: "jco",
            version: JCO_VERSION.to_owned(),
            origin: format!("npm install {JCO}"),
        };
        Ok(Self {
            part,
            program: modules.join(".bin/jco"),
        })
    }

    /// A component of one module.
    pub(crate) fn component(&self, module: &Path) -> Result<Vec<u8>> {
        // Jco takes both by names below the folder that it works in.
        let folder = tempfile::tempdir()?;
        let wit = folder.path().join("wit");
        fs::create_dir(&wit)?;
        let text = clone::root().join("wit/phase.wit");
        fs::copy(&text, wit.join("phase.wit")).with_context(|| format!("{}", text.display()))?;
        fs::copy(module, folder.path().join("plugin.js"))
            .with_context(|| format!("{}", module.display()))?;
        let mut build = Command::new(&self.program);
        build
            .args(["componentize", "plugin.js", "--wit", "wit"])
            .args(["--world-name", WORLD, "--backend", "qjs"])
            .args(["--backend-qjs-stub-wasi", "--backend-qjs-disable-async"])
            .args(["-o", "plugin.wasm"])
            .current_dir(folder.path());
        quiet(&mut build, BUILD_LIMIT)?;
        fs::read(folder.path().join("plugin.wasm")).context("jco made no component")
    }
}

/// The program, in an environment of this clone's own.
fn pip_install() -> Result<PathBuf> {
    let folder = clone::kept()?.join("python");
    let program = folder.join("bin").join(COMPONENTIZE_PY);
    let stamp = folder.join(format!("{COMPONENTIZE_PY}-{COMPONENTIZE_PY_VERSION}"));
    if program.is_file() && stamp.is_file() {
        return Ok(program);
    }
    let make = || -> Result<()> {
        let python = on_path(&["python3"]).context("there is no python3 on PATH")?;
        let mut venv = Command::new(python);
        venv.args(["-m", "venv", "--clear"]).arg(&folder);
        quiet(&mut venv, INSTALL_LIMIT)
    };
    if make().is_err() {
        // Debian's python3 has no environments by itself.
        apt::install(&["python3-venv"])?;
        make()?;
    }
    let mut install = Command::new(folder.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check"]);
    install.arg(format!("{COMPONENTIZE_PY}=={COMPONENTIZE_PY_VERSION}"));
    quiet(&mut install, INSTALL_LIMIT)?;
    fs::write(&stamp, "").with_context(|| format!("{}", stamp.display()))?;
    Ok(program)
}
