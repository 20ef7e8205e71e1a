//! The attempts of `probe.pl`: how each is held, and where it is seen to get through. They are run
//! by others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::harness::Said;

/// The program that makes them.
pub(crate) const PROBE: &str = include_str!("probe.pl");

/// Where an attempt gets through, so that one which is broken isn't taken for one which is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// On the machine itself.
    Machine,
    /// In a container without the locks.
    Unlocked,
    /// Its own words say that it has looked, or a lesser one beside it gets through.
    Same,
}
use Elsewhere::{Machine, Same, Unlocked};

/// Name, a part of why it is held, and where it gets through.
pub(crate) const HELD: &[(&str, &str, Elsewhere)] = &[
    // The key, and what is other agents'.
    ("key", "not in ", Same),
    ("neighbour-token", "not in ", Same),
    ("neighbour-file", "No such file", Machine),
    ("neighbour-socket", "No such file", Machine),
    ("sockets", "only /run/gantry/model.sock", Unlocked),
    // The machine.
    ("host-file", "No such file", Machine),
    ("host-process", "not among ", Machine),
    ("engine", "No such file", Machine),
    ("devices", "null", Same),
    ("kernel-log", "not permitted", Unlocked),
    ("kernel-files", "only its own", Same),
    ("root", "Read-only", Unlocked),
    ("run-folder", "Read-only", Unlocked),
    // Ways out.
    ("interfaces", "only lo", Same),
    ("tcp4", "refused", Machine),
    ("tcp6", "", Machine),
    ("udp4", "refused", Machine),
    ("abstract", "refused", Machine),
    ("raw", "not permitted", Unlocked),
    ("packet", "not permitted", Unlocked),
    ("vsock", "not permitted", Unlocked),
    ("alg", "not permitted", Unlocked),
    // Rights.
    ("setuid", "as itself", Unlocked),
    ("unshare", "not permitted", Unlocked),
    ("mount", "not permitted", Unlocked),
    ("chroot", "not permitted", Unlocked),
    ("setns", "ermi", Unlocked),
    ("device", "not permitted", Unlocked),
    ("handle", "not permitted", Unlocked),
    ("keyctl", "not permitted", Unlocked),
    ("io_uring", "not permitted", Unlocked),
    // Limits.
    ("forks", "no more", Unlocked),
    ("memory", "signal 9", Same),
    ("tmp", "full: No space", Same),
    ("home", "full: No space", Same),
    ("file-size", "too large", Unlocked),
    // The model's socket.
    ("ask-server-tool", "400 ", Same),
    ("ask-fetch-tool", "400 ", Same),
    ("ask-code-tool", "400 ", Same),
    ("ask-mcp", "400 ", Same),
    ("ask-url", "400 ", Same),
    ("ask-file", "400 ", Same),
    ("ask-container", "400 ", Same),
    ("ask-other-model", "400 ", Same),
    ("ask-files", "404 ", Same),
    ("ask-batches", "404 ", Same),
    ("ask-models", "404 ", Same),
    ("ask-elsewhere", "404 ", Same),
    ("ask-no-token", "401 ", Same),
    ("ask-redirect", "502 ", Same),
];

/// What gets through where the others are held: what an agent may do, by the same means.
pub(crate) const THROUGH: &[&str] = &["own-token", "unix", "tmp-write", "memory-little", "ask"];

/// The attempts that are seen to get through there.
pub(crate) fn seen_through(there: Elsewhere) -> Vec<&'static str> {
    let there = HELD.iter().filter(|(_, _, elsewhere)| *elsewhere == there);
    there.map(|(name, ..)| *name).collect()
}

/// What came of each attempt, as the probe tells it.
pub(crate) fn told(rows: &str) -> BTreeMap<String, String> {
    let lines = rows.lines().filter_map(|line| line.split_once('\t'));
    let told: BTreeMap<String, String> = lines
        .map(|(name, came)| (name.to_owned(), came.to_owned()))
        .collect();
    assert!(told.contains_key("end"), "it broke off: {rows}");
    told
}

/// Each that wasn't held for its reason, in words.
pub(crate) fn not_held(told: &BTreeMap<String, String>, held: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, reason) in held {
        let came = told.get(*name).map_or("not tried", String::as_str);
        if !(came.starts_with("held ") && came.contains(reason)) {
            wrong.push(format!("{name}: {came} (expected: held, {reason:?})"));
        }
    }
    wrong
}

/// Each that didn't get through where it must.
pub(crate) fn not_through(told: &BTreeMap<String, String>, names: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in names {
        let came = told.get(*name).map_or("not tried", String::as_str);
        if !came.starts_with("through") || came.starts_with("through nothing") {
            wrong.push(format!("{name}: {came} (expected: through)"));
        }
    }
    wrong
}

/// Makes these attempts on the machine itself.
pub(crate) async fn on_the_machine(given: &[String], names: &[&str]) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let probe = put(folder.path());
    let mut perl = Command::new("perl");
    perl.arg(probe).args(given).args(names);
    perl.current_dir(folder.path());
    let said = Said::by(perl).await;
    told(&said.out)
}

/// The probe as a file of this folder.
pub(crate) fn put(folder: &Path) -> PathBuf {
    let probe = folder.join("probe.pl");
    std::fs::write(&probe, PROBE).unwrap();
    probe
}
