//! Builds the plugins in `tests/foreign`, which the SDK has no part in: one from Python, one
//! from JavaScript, and one for Extism.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{build_with, write_changed};
use crate::clone;
use crate::parts::languages::{JavaScript, Python};
use crate::parts::wasm::Wasm;
use crate::process::check;
use crate::term::say;

/// All three, in `target/foreign`.
pub(crate) fn build(python: &Python, javascript: &JavaScript, wasm: &Wasm) -> Result<PathBuf> {
    let from = clone::root().join("tests/foreign");
    let folder = clone::target()?.join("foreign");
    say("building the plugins in Python, in JavaScript and for Extism");
    let component = python.component(&from.join("python"), "idea")?;
    write_changed(&folder, "idea-python.wasm", &component)?;
    check()?;
    let component = javascript.component(&from.join("javascript/idea.js"))?;
    write_changed(&folder, "idea-javascript.wasm", &component)?;
    check()?;
    let mut cargo = wasm.cargo_rustc()?;
    cargo
        .arg("--locked")
        .arg("--manifest-path")
        .arg(from.join("extism/Cargo.toml"));
    build_with("the plugin for Extism", &mut cargo)?;
    let module = wasm.module("idea-extism")?;
    let module = fs::read(&module).with_context(|| format!("{}", module.display()))?;
    write_changed(&folder, "idea-extism.wasm", &module)?;
    Ok(folder)
}
