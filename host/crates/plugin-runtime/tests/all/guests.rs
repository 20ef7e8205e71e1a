//! Makes components of the parts in `tests/guests`. It holds no guest itself.

use semver::Version;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

const PHASE: &str = include_str!("../../../../../wit/phase.wit");
const PREVIEW: &str = include_str!("../../../../../wit/0.10/phase.wit");
/// As much of other interfaces as guests import.
const OTHERS: [(&str, &str); 5] = [
    (
        "wasi-io.wit",
        "package wasi:io@0.2.0; interface poll { resource pollable { block: func(); } }",
    ),
    (
        "wasi-clocks.wit",
        "package wasi:clocks@0.2.0; interface monotonic-clock {
            use wasi:io/poll@0.2.0.{pollable};
            subscribe-duration: func(when: u64) -> pollable;
        }
        interface wall-clock {
            record datetime { seconds: u64, nanoseconds: u32 }
            now: func() -> datetime;
        }",
    ),
    (
        "wasi-http.wit",
        "package wasi:http@0.2.0; interface outgoing { send: func(); }",
    ),
    (
        "wasi-random.wit",
        "package wasi:random@0.2.0; interface random {
            get-random-bytes: func(len: u64) -> list<u8>;
            get-random-u64: func() -> u64;
        }",
    ),
    (
        "wasi-cli.wit",
        "package wasi:cli@0.2.0; interface exit { exit: func(status: result); }",
    ),
];

/// Gives out memory and takes none back.
const REALLOC: &str = r#"
(global $next (mut i32) (i32.const 8192))
(func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32) (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
  (global.set $next (i32.add (local.get $at) (local.get $size)))
  (block $fits (loop $grow
    (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size $memory) (i32.const 65536))))
    (drop (memory.grow $memory (i32.const 1)))
    (br $grow)))
  (local.get $at))"#;

/// The guest of `tests/guests/FILE.wat`, called by its file's name.
pub(crate) fn guest(file: &str) -> Vec<u8> {
    named(file, file, "1.0.0")
}

/// The guest of a file, under another name and version.
pub(crate) fn named(file: &str, name: &str, version: &str) -> Vec<u8> {
    component(&part(file), name, version)
}

/// The core module of a guest.
pub(crate) fn core_module(file: &str) -> Vec<u8> {
    let part = part(file);
    wat::parse_str(frame(&part, file, "1.0.0", &interface_version(&part))).unwrap()
}

fn part(file: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/guests");
    let path = folder.join(format!("{file}.wat"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn component(part: &str, name: &str, version: &str) -> Vec<u8> {
    if part.contains("\n(component") {
        // Whole as it is.
        return wat::parse_str(part).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let interface = interface_version(part);
    let text = frame(part, name, version, &interface);
    let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut resolve = Resolve::default();
    for version in interface_versions(&text) {
        resolve
            .push_str("phase.wit", &phase(&version, part))
            .unwrap();
    }
    for (path, wit) in OTHERS {
        resolve.push_str(path, wit).unwrap();
    }
    let package = resolve.push_str("guest.wit", &world(&text)).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .unwrap();
    let encoder = ComponentEncoder::default().validate(true);
    encoder.module(&module).unwrap().encode().unwrap()
}

/// The interfaces that a module's imports and exports name.
fn world(text: &str) -> String {
    let quoted = |before: &str| -> BTreeSet<String> {
        let after = text.split(before).skip(1);
        let names = after.filter_map(|rest| rest.split(['"', '#']).next());
        let interfaces = names
            .filter(|name| name.contains('/'))
            // The cleaning up after a step belongs to that step.
            .filter(|name| !name.starts_with("cabi_post_"));
        interfaces.map(str::to_owned).collect()
    };
    let imports = quoted("(import \"")
        .into_iter()
        .map(|name| format!("import {name};"));
    let exports = quoted("(export \"")
        .into_iter()
        .map(|name| format!("export {name};"));
    let body: String = imports.chain(exports).collect();
    format!("package test:guest; world guest {{ {body} }}")
}

/// The interface's text as of a version, with what only later ones would have.
fn phase(version: &str, part: &str) -> String {
    let (text, newest) = match version.starts_with("0.9.") {
        true => (PHASE, "@0.9.1;"),
        false => (PREVIEW, "@0.10.0;"),
    };
    assert!(text.contains(newest));
    let mut text = text.replacen(newest, &format!("@{version};"), 1);
    // What is marked as of a later version wasn't in an earlier one's text: a line each.
    while let Some((_, marked)) = text.split_once("@since(version = ") {
        let (since, rest) = marked.split_once(")\n").unwrap();
        let (function, _) = rest.split_once('\n').unwrap();
        let whole = format!("@since(version = {since})\n{function}");
        let was_there = Version::parse(since).unwrap() <= Version::parse(version).unwrap();
        let function = if was_there { function } else { "" };
        text = text.replacen(&whole, function, 1);
    }
    if part.contains("\"shout\"") {
        text = text.replace("interface job {", "interface job { shout: func();");
    }
    if part.contains("/review@") {
        text.push_str("interface review { review: func(); }");
    }
    text
}

/// The version that `describe` has, where the part doesn't bring its own.
fn interface_version(part: &str) -> String {
    let first = interface_versions(part).into_iter().next();
    first.unwrap_or_else(|| "0.9.0".to_owned())
}

fn interface_versions(text: &str) -> BTreeSet<String> {
    let after = text.split("gantry:phase/").skip(1);
    let versions = after.filter_map(|rest| rest.split_once('@')?.1.split(['"', '#']).next());
    versions.map(str::to_owned).collect()
}

/// Memory, allocation and a manifest around a part.
fn frame(part: &str, name: &str, version: &str, interface: &str) -> String {
    let (at, summary) = (256_usize, "A guest of the tests");
    let texts = format!("{name}{version}{summary}");
    let ends = [name.len(), name.len() + version.len(), texts.len()];
    let words = [
        at,
        ends[0],
        at + ends[0],
        ends[1] - ends[0],
        at + ends[1],
        ends[2] - ends[1],
    ];
    let manifest: String = words
        .iter()
        .flat_map(|word| u32::try_from(*word).unwrap().to_le_bytes())
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    let describe = match part.contains("/describe@") {
        true => String::new(),
        false => {
            format!("(export \"gantry:phase/describe@{interface}#describe\" (func $described))")
        }
    };
    // A guest may bring its own.
    let realloc = match part.contains("\"cabi_realloc\"") {
        true => "",
        false => REALLOC,
    };
    format!(
        r#"(module
{part}
(memory $memory (export "memory") 2)
{realloc}
(func $described (result i32) (i32.const 16))
{describe}
(data (memory $memory) (i32.const 16) "{manifest}")
(data (memory $memory) (i32.const {at}) "{texts}")
)"#
    )
}
