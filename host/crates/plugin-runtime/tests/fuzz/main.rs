//! Fuzzes the way in: mutated components are admitted and called; nothing may panic, abort or
//! hang. What a well-formed guest may do is `tests/all`'s matter.
//!
//! `GANTRY_FUZZ_RUNS` (20,000) and `GANTRY_FUZZ_SEED` say how many inputs and from which seed on;
//! an input follows from its seed alone. `GANTRY_FUZZ_SECONDS` ends it earlier, and
//! `GANTRY_FUZZ_KEEP` names a folder for the smallest input of each kind of refusal.
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

#[path = "../all/guests.rs"]
mod guests;
mod mutate;
#[path = "../../../../../tests/fuzz/runs.rs"]
mod runs;

use mutate::Mutator;
use pipeline::{FileEntry, JobId};
use plugin_runtime::{CallContext, CallLimits, Files, ReadError, WayIn};
use runs::{Run, Runs};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Refusals before anything is compiled begin with one of these.
const BEFORE_COMPILING: [&str; 5] = [
    "is empty",
    "is a core module",
    "is cut off",
    "isn't wasm",
    "isn't a valid component",
];

/// Inputs between two sweeps of the cache of compiled code.
const SWEEP: u64 = 500;

#[test]
fn no_bytes_in_the_plugin_folder_panic_or_hang_the_host() {
    let cache = tempfile::tempdir().unwrap();
    let limits = CallLimits {
        // As short as lets an innocent guest through on a busy machine.
        call_time: Duration::from_millis(20),
        memory_bytes: 4 << 20,
        handed_bytes: 4 << 20,
        concurrent_calls: 16,
        ..CallLimits::default()
    };
    let way_in = WayIn::open(limits, cache.path().join("code")).unwrap();
    let job = job();
    let take = |seed: u64, wasm: &[u8]| {
        if seed.is_multiple_of(SWEEP) {
            sweep(&cache.path().join("code"));
        }
        match way_in.take(wasm, &job) {
            Ok(said) => Run {
                deep: true,
                kind: format!("served: {}", said.join(" / ")),
            },
            Err(reason) => {
                assert!(!reason.is_empty(), "a refusal without a reason");
                Run {
                    deep: !BEFORE_COMPILING.iter().any(|word| reason.starts_with(word)),
                    kind: reason,
                }
            }
        }
    };

    let corpus = corpus();
    let mut seeds = whole_guests();
    seeds.extend(corpus.iter().cloned());
    let mutator = Mutator::new(seeds);
    let runs = Runs::of("way-in", "wasm");
    runs.corpus(&corpus, &take);
    let seen = runs.generated(&|seed| mutator.mutant(seed), &take);
    println!(
        "way-in: {} corpus files and {} mutants; {} of these reached compilation ({:.1} %)",
        corpus.len(),
        seen.runs,
        seen.deep,
        100.0 * seen.share()
    );
    assert!(
        seen.is_deep_enough(),
        "too few mutants reach compilation: {seen:?}"
    );
}

/// Every guest of `tests/guests`.
fn whole_guests() -> Vec<Vec<u8>> {
    let mut names: Vec<String> = files("../../../tests/guests")
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "wat"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    // Every mutant of these takes a call's whole time.
    names.retain(|name| !name.starts_with("loops") && !name.starts_with("sleeps"));
    // Extism's parts are no components; a mutant of a core module stands for them.
    names.retain(|name| !name.starts_with("extism-"));
    let mut seeds: Vec<_> = names.iter().map(|name| guests::guest(name)).collect();
    seeds.push(guests::core_module("innocent"));
    seeds
}

/// What was made by hand, and what earlier runs have found.
fn corpus() -> Vec<Vec<u8>> {
    let read = |path: &PathBuf| match path.extension().is_some_and(|end| end == "wat") {
        true => wat::parse_file(path).unwrap(),
        false => fs::read(path).unwrap(),
    };
    files("../../../tests/corpus/way-in")
        .iter()
        .map(read)
        .collect()
}

/// Sorted, so that a seed means the same everywhere.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        // Another thread may be ahead.
        let _ = fs::remove_file(entry.path());
    }
}

fn job() -> CallContext {
    CallContext {
        job: JobId(uuid::Uuid::nil()),
        name: "Lighthouse".to_owned(),
        pipeline: "game".to_owned(),
        phase: "idea".to_owned(),
        attempt: 1,
        revision: 1,
        params: "{}".to_owned(),
        settings: "{}".to_owned(),
        feedback: None,
        now_ms: 1_700_000_000_000,
        seed: 7,
        outcomes: Vec::new(),
        files: Arc::new(NoFile),
        record: false,
        group: None,
        limits: pipeline::PluginLimits::default(),
    }
}

struct NoFile;

impl Files for NoFile {
    fn list(&self, _: &str, _: Option<&str>, _: u32) -> Result<Vec<FileEntry>, ReadError> {
        Ok(Vec::new())
    }

    fn stat(&self, _: &str) -> Result<FileEntry, ReadError> {
        Err(ReadError::NotFound)
    }

    fn read(&self, _: &str, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
        Err(ReadError::NotFound)
    }
}
