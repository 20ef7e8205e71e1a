//! Guests that mean harm: what comes of each, and that the next call is none the worse for it.
//! The guests themselves are in `tests/guests`.

use crate::guests::{core_module, guest, named};
use crate::host::{Host, job, job_with};
use pipeline::{FileEntry, Level, StepError};
use plugin_runtime::{Files, ReadError};
use std::fs::File;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

type Threads = tokio::runtime::Runtime;

/// Guests that are loaded, and the end of their `prompt`: all of these words must be in it.
const CALLED: &[(&str, &[&str])] = &[
    (
        "traps",
        &[
            "plugin `traps` 1.0.0 trapped in prompt",
            "unreachable",
            "in deep (0x",
        ],
    ),
    ("loops", &["took longer than 300ms"]),
    ("sleeps", &["took longer than 300ms"]),
    ("eats-memory", &["used more than 64 MiB of memory"]),
    ("eats-memories", &["used more than 64 MiB of memory"]),
    ("eats-tables", &["used more than 20000 table elements"]),
    ("recurses", &["used more than 512 KiB of stack"]),
    (
        "answers-too-much",
        &["broken answer in prompt: tasks: 10000 are more than the limit of 32"],
    ),
    (
        "amplifies",
        &["handed more than 64 MiB to the host in one call"],
    ),
    ("escapes", &["tasks[0].stage[0].path: `../key.md`"]),
    ("points-outside", &["trapped in prompt"]),
    (
        "says-internal",
        &["plugin `says-internal` 1.0.0 failed in prompt: oops"],
    ),
];

/// Guests that may not serve, and why.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "loops-in-start",
        &["`describe` failed: took longer than 300ms"],
    ),
    (
        "job-in-describe",
        &["`job.id` was called from `describe`, where there is no job"],
    ),
    (
        "job-in-self-test",
        &["its self-test failed: `job.id` was called from `self-test`"],
    ),
    ("fails-self-test", &["its self-test says: a game ended"]),
    (
        "unknown-function",
        &[
            "function `shout` of gantry:phase/job@0.9.2, which isn't in gantry:phase/job@0.9.1",
            "serves gantry:phase 0.9 up to 0.9.1, and 0.10 up to 0.10.0",
            "update the host, or build the plugin without it",
        ],
    ),
    (
        "unknown-step",
        &[
            "exports gantry:phase/review@0.9.2, which isn't in gantry:phase@0.9.1",
            "serves gantry:phase 0.9 up to 0.9.1, and 0.10 up to 0.10.0",
            "update the host, or build the plugin without it",
        ],
    ),
    (
        "mixes-lines",
        &[
            "mixes lines of the interface (gantry:phase/describe@0.9.0 with gantry:phase/job@0.10.0)",
            "build all of it for one of them",
        ],
    ),
    (
        "newer-interface",
        &[
            "imports gantry:phase/job@0.11.0",
            "serves gantry:phase 0.9 up to 0.9.1, and 0.10 up to 0.10.0",
            "update the host, or build it for 0.9 or 0.10",
        ],
    ),
    ("wants-http", &["imports wasi:http/outgoing@0.2.0"]),
];

async fn host() -> Host {
    let host = Host::with(|config| config.limits.call_time = Duration::from_millis(300)).await;
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn each_harms_its_own_call_only() {
    let host = host().await;
    for (name, told) in CALLED {
        host.drop_in(&format!("{name}.wasm"), &guest(name)).await;
        assert_eq!(host.reason(&format!("{name}.wasm")), "", "{name}");
        let called = host.served(name).await.prompt(job()).await;
        let Err(StepError::Fault(message)) = &called.result else {
            panic!("{name}: {:?}", called.result);
        };
        for words in *told {
            assert!(message.contains(words), "{name}: {message}");
        }
        assert!(
            called.took < Duration::from_secs(3),
            "{name}: {:?}",
            called.took
        );
        host.innocent_call().await;
    }
    let report = host.plugins.reports();
    let traps = report.iter().find(|it| it.name == "traps").unwrap();
    assert_eq!((traps.calls, traps.faults), (1, 1));
    assert!(traps.last_error.as_ref().unwrap().contains("unreachable"));
    let innocent = report.iter().find(|it| it.name == "innocent").unwrap();
    assert_eq!((innocent.calls, innocent.faults), (CALLED.len() as u64, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_that_may_not_serve_is_told_why() {
    let host = host().await;
    for (name, told) in REFUSED {
        let file = format!("{name}.wasm");
        host.drop_in(&file, &guest(name)).await;
        let reason = host.reason(&file);
        for words in *told {
            assert!(reason.contains(words), "{name}: {reason}");
        }
        host.innocent_call().await;
    }
}

/// Bytes that are no plugin, and why.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_component_is_told_from_one() {
    let host = host().await;
    let whole = guest("innocent");
    let rows: [(&str, Vec<u8>, &str); 8] = [
        ("core.wasm", core_module("innocent"), "is a core module"),
        ("garbage.wasm", b"#!/bin/sh\n".to_vec(), "isn't wasm"),
        ("empty.wasm", Vec::new(), "is empty"),
        ("header.wasm", whole[..6].to_vec(), "is cut off"),
        (
            "truncated.wasm",
            whole[..whole.len() / 2].to_vec(),
            "isn't a valid component",
        ),
        ("other.wasm", whole.clone(), "rename the file or the plugin"),
        (
            "innocent@2.0.0.wasm",
            whole.clone(),
            "its file is named for 2.0.0",
        ),
        ("Bad_Name.wasm", whole.clone(), "isn't named NAME.wasm"),
    ];
    for (file, bytes, told) in &rows {
        host.drop_in(file, bytes).await;
        let reason = host.reason(file);
        assert!(reason.contains(told), "{file}: {reason}");
        host.innocent_call().await;
    }
    let nothing = wat::parse_str("(component)").unwrap();
    host.drop_in("nothing.wasm", &nothing).await;
    assert!(
        host.reason("nothing.wasm")
            .contains("doesn't export gantry:phase/describe, so it isn't a Gantry plugin")
    );
    let odd = named("innocent", "odd", "one");
    host.drop_in("odd.wasm", &odd).await;
    assert!(
        host.reason("odd.wasm")
            .contains("version `one`, which isn't a semantic version")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_at_and_past_its_size() {
    let whole = guest("innocent");
    let most = whole.len() as u64;
    let host = Host::with(|config| config.limits.file_bytes = most).await;
    host.drop_in("innocent.wasm", &whole).await;
    host.innocent_call().await;
    let mut long = named("innocent", "longer", "1.0.0");
    long.resize(whole.len() + 1, 0);
    host.drop_in("longer.wasm", &long).await;
    assert!(host.reason("longer.wasm").contains("a plugin has at most"));

    let host = self::host().await;
    let huge = File::create(host.path("huge.wasm")).unwrap();
    huge.set_len(65 << 20).unwrap();
    host.plugins.settled().await;
    let reason = host.reason("huge.wasm");
    assert_eq!(reason, "has 68157440 bytes; a plugin has at most 64 MiB");
    host.innocent_call().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_lines_is_cut() {
    let host = host().await;
    host.drop_in("floods-log.wasm", &guest("floods-log")).await;
    let called = host.served("floods-log").await.prompt(job()).await;
    assert_eq!(called.result, Ok(Some(Vec::new())));
    assert_eq!(called.logs.len(), 201);
    assert_eq!(called.logs[0], (Level::Info, "x".repeat(4096)));
    let last = "9800 more lines were dropped: one call may log 200";
    assert_eq!(called.logs[200], (Level::Warn, last.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reads_its_workspace() {
    let host = host().await;
    host.drop_in("stats-a-file.wasm", &guest("stats-a-file"))
        .await;
    let called = host.served("stats-a-file").await.prompt(job()).await;
    assert_eq!(called.result, Ok(Some(Vec::new())));
    assert_eq!(called.logs, [(Level::Warn, "hello".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_past_its_limits_is_an_answer_and_no_trap() {
    for change in [
        |limits: &mut plugin_runtime::CallLimits| limits.read_once_bytes = 999,
        |limits: &mut plugin_runtime::CallLimits| limits.read_bytes = 4,
    ] {
        let host = Host::with(|config| change(&mut config.limits)).await;
        host.drop_in("stats-a-file.wasm", &guest("stats-a-file"))
            .await;
        let called = host.served("stats-a-file").await.prompt(job()).await;
        // The guest runs into `unreachable` where `read` isn't answered with bytes.
        let Err(StepError::Fault(message)) = called.result else {
            panic!("it read: {:?}", called.logs);
        };
        assert!(message.contains("unreachable"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_is_no_fault() {
    let host = host().await;
    host.drop_in("says-unavailable.wasm", &guest("says-unavailable"))
        .await;
    let served = host.served("says-unavailable").await;
    let called = served.prompt(job()).await;
    assert_eq!(
        called.result,
        Err(StepError::Unavailable("later".to_owned()))
    );
    let report = host.plugins.reports();
    let report = report
        .iter()
        .find(|it| it.name == "says-unavailable")
        .unwrap();
    assert_eq!((report.calls, report.faults), (1, 0));
    assert_eq!(report.steps, ["prompt"]);
    assert_eq!(served.validate(job()).await.result, Ok(None));
    assert_eq!(served.deploy(job()).await.result, Ok(None));
}

/// A workspace that hangs until it is let go.
struct Hanging(Mutex<mpsc::Receiver<()>>);

impl Files for Hanging {
    fn list(&self, _: &str, _: Option<&str>, _: u32) -> Result<Vec<FileEntry>, ReadError> {
        Err(ReadError::NotFound)
    }

    fn stat(&self, _: &str) -> Result<FileEntry, ReadError> {
        // Ends when the test drops the other end.
        let _ = self.0.lock().unwrap().recv();
        Err(ReadError::NotFound)
    }

    fn read(&self, _: &str, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
        Err(ReadError::NotFound)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_never_outlives_its_wall_clock_limit() {
    let host = host().await;
    host.drop_in("stats-a-file.wasm", &guest("stats-a-file"))
        .await;
    let (hold, held) = mpsc::channel();
    let served = host.served("stats-a-file").await;
    let began = Instant::now();
    let called = served
        .prompt(job_with(Arc::new(Hanging(Mutex::new(held)))))
        .await;
    assert!(began.elapsed() < Duration::from_secs(3));
    let Err(StepError::Fault(message)) = called.result else {
        panic!("{:?}", called.result);
    };
    assert!(
        message.contains("was given up in prompt: took longer than 300ms"),
        "{message}"
    );
    host.innocent_call().await;
    drop(hold);
}

/// More calls at once than there are slots: each waits for its turn, and none is refused.
#[test]
fn calls_beyond_the_slots_wait() {
    let threads: Threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    threads.block_on(async {
        let host = Host::with(|config| config.limits.concurrent_calls = 2).await;
        host.drop_in("innocent.wasm", &guest("innocent")).await;
        let served = host.served("innocent").await;
        let calls: Vec<_> = (0..40)
            .map(|_| {
                let served = served.clone();
                tokio::spawn(async move { served.prompt(job()).await.result })
            })
            .collect();
        for call in calls {
            assert!(call.await.unwrap().is_ok());
        }
    });
}
