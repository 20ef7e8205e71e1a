//! Makes Extism plug-ins of the parts in `tests/guests`, and a host that serves them. It holds no
//! guest itself.

use crate::host::Host;
use crate::processes::Processes;
use plugin_runtime::{Config, ExtismChild};
use std::fs;
use std::path::PathBuf;

/// The guest of `tests/guests/extism-NAME.wat`, called by that name.
pub(crate) fn plugin(name: &str) -> Vec<u8> {
    named(name, &format!("extism-{name}"), "1.0.0")
}

/// The guest of a file, under another name and version.
pub(crate) fn named(file: &str, name: &str, version: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/guests");
    let path = folder.join(format!("extism-{file}.wat"));
    let part =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = frame(&part, name, version);
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Extism's memory and a manifest around a part.
fn frame(part: &str, name: &str, version: &str) -> String {
    let manifest = format!(
        "{{\\\"name\\\":\\\"{name}\\\",\\\"version\\\":\\\"{version}\\\",\\\"summary\\\":\\\"A guest of the tests\\\"}}\\00"
    );
    let describe = match part.contains("\"describe\"") {
        true => "",
        false => {
            "(func (export \"describe\") (result i32) (call $say (i32.const 256)) (i32.const 0))"
        }
    };
    format!(
        r#"(module
(import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
(import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
(import "extism:host/env" "load_u8" (func $load_u8 (param i64) (result i32)))
(import "extism:host/env" "length" (func $length (param i64) (result i64)))
(import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
{part}
(memory (export "memory") 1)
(func $put (param $at i32) (result i64) (local $end i32) (local $block i64) (local $to i64)
  (local.set $end (local.get $at))
  (block $found (loop $look
    (br_if $found (i32.eqz (i32.load8_u (local.get $end))))
    (local.set $end (i32.add (local.get $end) (i32.const 1)))
    (br $look)))
  (local.set $block
    (call $alloc (i64.extend_i32_u (i32.sub (local.get $end) (local.get $at)))))
  (local.set $to (local.get $block))
  (block $done (loop $copy
    (br_if $done (i32.eq (local.get $at) (local.get $end)))
    (call $store_u8 (local.get $to) (i32.load8_u (local.get $at)))
    (local.set $to (i64.add (local.get $to) (i64.const 1)))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (br $copy)))
  (local.get $block))
(func $say (param $at i32) (local $block i64)
  (local.set $block (call $put (local.get $at)))
  (call $output_set (local.get $block) (call $length (local.get $block))))
{describe}
(data (i32.const 256) "{manifest}")
)"#
    )
}

/// A host that serves Extism plug-ins, and a view of its processes.
pub(crate) async fn host(change: impl FnOnce(&mut Config)) -> (Host, Processes) {
    let processes = Processes::new();
    let tag = processes.tag.clone();
    let host = Host::with(|config| {
        config.extism = Some(ExtismChild {
            exe: env!("CARGO_BIN_EXE_extism-child").into(),
            // Of no meaning to the child.
            args: vec![tag.into()],
        });
        change(config);
    })
    .await;
    (host, processes)
}
