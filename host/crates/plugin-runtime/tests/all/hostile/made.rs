//! Files that no text of wasm can be: damaged ones, ones of another form, and ones that aren't
//! files. What must be said about each is in the table.

use crate::guests::{core_module, guest, named};
use rustix::fs::{CWD, FileType, Mode};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

pub(super) fn empty(path: &Path) {
    fs::write(path, b"").unwrap();
}

pub(super) fn header(path: &Path) {
    fs::write(path, &guest("innocent")[..6]).unwrap();
}

pub(super) fn truncated(path: &Path) {
    let whole = guest("innocent");
    fs::write(path, &whole[..whole.len() / 2]).unwrap();
}

pub(super) fn corrupted(path: &Path) {
    let mut whole = guest("innocent");
    let middle = whole.len() / 2;
    whole[middle..middle + 64].fill(0);
    fs::write(path, whole).unwrap();
}

pub(super) fn bit_flipped(path: &Path) {
    let mut whole = guest("innocent");
    whole[10] ^= 1 << 4;
    fs::write(path, whole).unwrap();
}

pub(super) fn text(path: &Path) {
    fs::write(path, "#!/bin/sh\nrm -rf /\n").unwrap();
}

pub(super) fn core(path: &Path) {
    fs::write(path, core_module("innocent")).unwrap();
}

pub(super) fn sparse(path: &Path) {
    File::create(path).unwrap().set_len(2 << 30).unwrap();
}

pub(super) fn compiled(path: &Path) {
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_component(&guest("innocent")).unwrap();
    fs::write(path, code).unwrap();
}

pub(super) fn nothing(path: &Path) {
    fs::write(path, wat::parse_str("(component)").unwrap()).unwrap();
}

pub(super) fn innocent(path: &Path) {
    fs::write(path, guest("innocent")).unwrap();
}

pub(super) fn odd_version(path: &Path) {
    fs::write(path, named("innocent", "odd", "one")).unwrap();
}

pub(super) fn linked(path: &Path) {
    let outside = path.parent().unwrap().parent().unwrap().join("outside");
    fs::write(&outside, guest("innocent")).unwrap();
    symlink(outside, path).unwrap();
}

pub(super) fn piped(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from(0o600), 0).unwrap();
}
