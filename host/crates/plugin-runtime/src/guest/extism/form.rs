//! Tells Extism plug-ins from other core modules by what they import and export. It compiles
//! nothing, and looks at no code.

use super::shapes::FUNCTIONS;
use crate::step::Steps;
use std::collections::BTreeSet;
use wasmparser::{ExternalKind, Parser, Payload};

/// What Extism itself gives.
const ENV: &str = "extism:host/env";
/// What this host gives.
const USER: &str = "extism:host/user";
/// WASI preview 1, over nothing.
const WASI: &str = "wasi_snapshot_preview1";

/// Bytes that are told of a name, which the guest chose.
const NAME_BYTES: usize = 80;

/// The steps of a core module; the reason where it isn't an Extism plug-in of this host's.
pub(crate) fn steps(wasm: &[u8]) -> Result<Steps, String> {
    let broken = |error| format!("isn't valid wasm: {error}");
    let mut exports = BTreeSet::new();
    let mut misfit = None;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(broken)? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(broken)?;
                    misfit = misfit.or_else(|| foreign(import.module, import.name));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(broken)?;
                    if export.kind == ExternalKind::Func {
                        exports.insert(export.name);
                    }
                }
            }
            // What follows is code.
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    if !exports.contains("describe") {
        return Err(
            "is a core module, not a component: build it with the SDK, or wrap it with `wasm-tools \
             component new`; an Extism plug-in is a core module too, and exports `describe`"
                .to_owned(),
        );
    }
    match misfit {
        Some(misfit) => Err(misfit),
        None => Ok(Steps {
            prompt: exports.contains("prompt"),
            validate: exports.contains("validate"),
            deploy: exports.contains("deploy"),
            self_test: exports.contains("self_test"),
        }),
    }
}

/// The functions that go with steps.
pub(super) fn functions(steps: Steps) -> Vec<String> {
    let all = [
        ("describe", true),
        ("self_test", steps.self_test),
        ("prompt", steps.prompt),
        ("validate", steps.validate),
        ("deploy", steps.deploy),
    ];
    let has = all.into_iter().filter(|(_, has)| *has);
    has.map(|(name, _)| name.to_owned()).collect()
}

/// Why a module may not import that.
fn foreign(module: &str, name: &str) -> Option<String> {
    match module {
        ENV | WASI => None,
        USER if FUNCTIONS.contains(&name) => None,
        USER => Some(format!(
            "imports the function `{}` of {USER}, which this host doesn't have; it has {}: update \
             the host, or build the plugin without it",
            printable(name),
            FUNCTIONS.join(", ")
        )),
        _ => Some(format!(
            "is an Extism plug-in that imports `{}` of `{}`; one may import {ENV}, {USER} and \
             {WASI}",
            printable(name),
            printable(module)
        )),
    }
}

fn printable(name: &str) -> String {
    let cut = &name[..name.floor_char_boundary(NAME_BYTES)];
    cut.chars().filter(|c| !c.is_control()).collect()
}
