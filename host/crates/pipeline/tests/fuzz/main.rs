//! Fuzzes pipeline files: mutated ones are read and checked; nothing may panic or hang, a refusal
//! has words, and what is accepted is the same after it was kept. It asks no plugin.
//!
//! The variables are those of the fuzz target over the way in, in `plugin-runtime`.
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod mutate;
#[path = "../../../../../tests/fuzz/runs.rs"]
mod runs;

use mutate::Mutator;
use pipeline::PipelineSpec;
use runs::{Run, Runs};
use std::fs;
use std::path::Path;

/// Of a refusal; a line of the file is quoted in it.
const REFUSAL_BYTES: usize = 64 << 10;

#[test]
fn no_pipeline_file_panics_or_hangs_the_host() {
    let corpus = corpus();
    // From a broken one nothing good would come.
    let good = |file: &&Vec<u8>| PipelineSpec::parse(&String::from_utf8_lossy(file)).is_ok();
    let mut seeds: Vec<_> = corpus.iter().filter(good).cloned().collect();
    seeds.push(include_bytes!("../../../../game.toml").to_vec());
    assert!(seeds.len() > 2, "no file of the corpus is accepted");
    let mutator = Mutator::new(&seeds);
    let runs = Runs::of("pipeline", "toml");
    runs.corpus(&corpus, &take);
    let seen = runs.generated(&|seed| mutator.mutant(seed), &take);
    println!(
        "pipeline: {} corpus files and {} mutants; {} of these were accepted ({:.1} %)",
        corpus.len(),
        seen.runs,
        seen.deep,
        100.0 * seen.share()
    );
    assert!(
        seen.is_deep_enough(),
        "too few mutants are accepted: {seen:?}"
    );
}

#[test]
fn an_input_that_panics_is_told_and_left_behind() {
    let inputs = [b"a".to_vec(), b"b".to_vec(), b"c".to_vec()];
    let take = |_: u64, bytes: &[u8]| {
        assert_ne!(bytes, b"b", "as it should");
        Run {
            deep: true,
            kind: "kept".to_owned(),
        }
    };
    let runs = Runs::of("panics", "txt");
    let ended = std::panic::catch_unwind(|| runs.corpus(&inputs, &take));
    let told = *ended.unwrap_err().downcast::<String>().unwrap();
    let (what, file) = told.split_once(": ").unwrap();
    assert_eq!(what, "corpus 1 panicked");
    assert_eq!(fs::read(file).unwrap(), b"b");
    fs::remove_file(file).unwrap();
}

fn take(_: u64, bytes: &[u8]) -> Run {
    let text = String::from_utf8_lossy(bytes);
    match PipelineSpec::parse(&text) {
        Ok(spec) => {
            // The store keeps it with the job as JSON.
            let kept = serde_json::to_string(&spec).unwrap();
            let read: PipelineSpec = serde_json::from_str(&kept).unwrap();
            assert_eq!(read, spec, "another one after it was kept");
            Run {
                deep: true,
                kind: "accepted".to_owned(),
            }
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.trim().is_empty(), "a refusal without words");
            assert!(told.len() <= REFUSAL_BYTES + bytes.len(), "a long refusal");
            // What the parser says about a line comes below a picture of it.
            let last = told.trim_end().lines().last().unwrap_or_default();
            Run {
                deep: false,
                kind: last.to_owned(),
            }
        }
    }
}

/// Sorted, so that a seed means the same everywhere.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/corpus/pipeline");
    let entries = fs::read_dir(&folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}
