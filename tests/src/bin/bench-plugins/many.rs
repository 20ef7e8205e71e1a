//! Two hundred plugins: how long a start takes that has them all compiled, and what they weigh.
//! Each start is a process of its own, so that nothing is warm but the files.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tests::bench::{Row, Times, guest, say};
use tokio::runtime::Runtime;

use crate::ours::open;

/// What makes this program the process that starts.
pub(crate) const ARGUMENT: &str = "start-many";
const PLUGINS: usize = 200;
const STARTS: usize = 10;
/// The guest's name, which is in its bytes, and as long as each new one.
const NAME: &[u8; 5] = b"probe";

/// What a start says.
#[derive(Serialize, Deserialize)]
struct Started {
    seconds: f64,
    megabytes: f64,
}

pub(crate) fn rows() -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let (plugins, cache) = (folder.path().join("plugins"), folder.path().join("cache"));
    fs::create_dir(&plugins).unwrap();
    fs::create_dir(&cache).unwrap();
    let wasm = fs::read(guest("probe")).unwrap();
    for number in 0..PLUGINS {
        let name = format!("p{number:04}");
        let renamed = replaced(&wasm, name.as_bytes());
        fs::write(plugins.join(format!("{name}.wasm")), renamed).unwrap();
    }
    let cold = start(folder.path());
    let starts: Vec<Started> = (0..STARTS).map(|_| start(folder.path())).collect();
    let seconds = |it: &Started| std::time::Duration::from_secs_f64(it.seconds);
    let times = Times::new(starts.iter().map(seconds).collect());
    let most = starts.iter().map(|it| it.megabytes).fold(0.0, f64::max);
    say(format_args!(
        "{PLUGINS} plugins: {:.1} s and {:.0} MB cold; warm {times}, {most:.0} MB",
        cold.seconds, cold.megabytes
    ));
    let what = format!(
        "{PLUGINS} different plugins of {} kB, compiled before: start until all serve, p50 of {STARTS}",
        wasm.len() / 1000
    );
    vec![
        Row::new("many", what, "ms", times.ms(50)).at_most(1_000.0),
        Row::new(
            "many-memory",
            "resident memory of the whole process then, the most",
            "MB",
            most,
        )
        .at_most(300.0),
        Row::new(
            "many-cold",
            "the first start, which compiles all",
            "s",
            cold.seconds,
        ),
    ]
}

fn replaced(wasm: &[u8], name: &[u8]) -> Vec<u8> {
    let mut wasm = wasm.to_vec();
    let places: Vec<usize> = wasm
        .windows(NAME.len())
        .enumerate()
        .filter_map(|(at, bytes)| (bytes == NAME).then_some(at))
        .collect();
    for at in places {
        wasm[at..at + name.len()].copy_from_slice(name);
    }
    wasm
}

fn start(folder: &Path) -> Started {
    let out = Command::new(std::env::current_exe().unwrap())
        .arg(ARGUMENT)
        .arg(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The process that starts: opens the folder, and says how long it took.
#[expect(clippy::print_stdout, reason = "it answers its parent")]
pub(crate) fn start_here(folder: &str) {
    let folder = Path::new(folder);
    let runtime = Runtime::new().unwrap();
    let begin = Instant::now();
    let plugins = runtime.block_on(open(&folder.join("plugins"), &folder.join("cache")));
    let seconds = begin.elapsed().as_secs_f64();
    let serving = plugins.reports().len();
    assert_eq!(serving, PLUGINS, "{:?}", plugins.refused());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.unwrap().trim().trim_end_matches(" kB");
    let started = Started {
        seconds,
        megabytes: kilobytes.trim().parse::<f64>().unwrap() / 1024.0,
    };
    println!("{}", serde_json::to_string(&started).unwrap());
}
