//! `cargo xtask demo --once`, built, as a user runs it: in debug. The first run, which may build,
//! isn't measured.

use std::process::{Command, Stdio};
use std::time::Instant;

use tests::bench::{Row, Times, say};

const RUNS: usize = 5;
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const ID: &str = "demo";

pub(crate) fn once() -> Vec<Row> {
    let what = format!("cargo xtask demo --once, built, p50 of {RUNS}");
    let mut times = Vec::new();
    for run in 0..=RUNS {
        let begin = Instant::now();
        let output = command().output().unwrap();
        let took = begin.elapsed();
        if !output.status.success() {
            say(String::from_utf8_lossy(&output.stderr));
            return vec![Row::missing(ID, &what, "s", "it failed").at_most(15.0)];
        }
        if run > 0 {
            times.push(took);
        }
    }
    let times = Times::new(times);
    say(format_args!("demo: {times}"));
    vec![Row::new(ID, what, "s", times.percentile(50).as_secs_f64()).at_most(15.0)]
}

fn command() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["xtask", "demo", "--once", "--port", "0"])
        .current_dir(ROOT)
        .stdin(Stdio::null());
    // What `cargo xtask bench` left: build scripts that watch these would run again.
    let left = ["CARGO_PKG_", "CARGO_MANIFEST_", "LD_LIBRARY_PATH"];
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if left.iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    cargo
}
