//! Extism plug-ins that mean harm: what comes of each, and that the next call is none the worse.
//! The guests themselves are in `tests/guests`.

use crate::extism::{host, plugin};
use crate::guests::guest;
use crate::host::{Host, job};
use pipeline::{Level, StepError};
use std::time::Duration;

/// Guests that are loaded, and the end of their `prompt`: all of these words must be in it.
const CALLED: &[(&str, &[&str])] = &[
    (
        "traps",
        &[
            "plugin `extism-traps` 1.0.0 trapped in prompt",
            "unreachable",
            "in deep, called by",
        ],
    ),
    ("loops", &["trapped in prompt: took longer than 1s"]),
    ("eats-memory", &["used more than 64 MiB of memory"]),
    ("eats-tables", &["unreachable"]),
    ("recurses", &["call stack exhausted"]),
    (
        "junk",
        &["failed in prompt: its answer isn't the JSON that is expected"],
    ),
    ("escapes", &["tasks[0].stage[0].path: `../key.md`"]),
    (
        "amplifies",
        &["handed more than 1 MiB to the host in one call"],
    ),
    (
        "says-error",
        &["plugin `extism-says-error` 1.0.0 failed in prompt: oops"],
    ),
];

/// Guests that may not serve, and why.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "job-in-describe",
        &["`describe` failed: `job.stat` was called from `describe`, where there is no job"],
    ),
    (
        "unknown-function",
        &[
            "imports the function `job_shout`",
            "job_files, job_stat, job_read",
            "update the host",
        ],
    ),
    (
        "foreign-import",
        &["imports `open` of `env`", "extism:host/user"],
    ),
    (
        "odd-export",
        &["exports a function `prompt` that isn't Extism's"],
    ),
];

async fn innocent_calls(host: &Host) {
    host.innocent_call().await;
    let served = host.served("extism-innocent").await;
    let tasks = served.prompt(job()).await.result.unwrap().unwrap();
    assert_eq!(tasks[0].prompt, "Make it.");
}

async fn host_with_innocents() -> Host {
    let (host, _) = host(|config| {
        config.limits.call_time = Duration::from_secs(1);
        config.limits.handed_bytes = 1 << 20;
    })
    .await;
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    host.drop_in("extism-innocent.wasm", &plugin("innocent"))
        .await;
    assert_eq!(host.reason("extism-innocent.wasm"), "");
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn each_harms_its_own_call_only() {
    let host = host_with_innocents().await;
    for (name, told) in CALLED {
        let file = format!("extism-{name}.wasm");
        host.drop_in(&file, &plugin(name)).await;
        assert_eq!(host.reason(&file), "", "{name}");
        let called = host
            .served(&format!("extism-{name}"))
            .await
            .prompt(job())
            .await;
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
        innocent_calls(&host).await;
    }
    let reports = host.plugins.reports();
    let innocent = reports
        .iter()
        .find(|it| it.name == "extism-innocent")
        .unwrap();
    assert_eq!(
        (innocent.kind.as_str(), innocent.interface.as_str()),
        ("extism", "0.9.1")
    );
    assert_eq!((innocent.calls, innocent.faults), (CALLED.len() as u64, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_that_may_not_serve_is_told_why() {
    let host = host_with_innocents().await;
    for (name, told) in REFUSED {
        let file = format!("extism-{name}.wasm");
        host.drop_in(&file, &plugin(name)).await;
        let reason = host.reason(&file);
        for words in *told {
            assert!(reason.contains(words), "{name}: {reason}");
        }
        innocent_calls(&host).await;
    }
    let mut cut = plugin("traps");
    cut.truncate(cut.len() - 100);
    host.drop_in("extism-traps.wasm", &cut).await;
    let reason = host.reason("extism-traps.wasm");
    assert!(reason.contains("isn't a valid Extism plug-in"), "{reason}");
    innocent_calls(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_lines_is_cut() {
    let (host, _) = host(|_| {}).await;
    host.drop_in("extism-floods-log.wasm", &plugin("floods-log"))
        .await;
    assert_eq!(host.reason("extism-floods-log.wasm"), "");
    let called = host.served("extism-floods-log").await.prompt(job()).await;
    assert_eq!(called.result, Ok(Some(Vec::new())));
    assert_eq!(called.logs.len(), 201);
    assert_eq!(called.logs[0], (Level::Info, "x".repeat(4096)));
    let last = "800 more lines were dropped: one call may log 200";
    assert_eq!(called.logs[200], (Level::Warn, last.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn wasi_is_there_and_has_nothing() {
    let (host, _) = host(|_| {}).await;
    host.drop_in("extism-wasi.wasm", &plugin("wasi")).await;
    assert_eq!(host.reason("extism-wasi.wasm"), "");
    let called = host.served("extism-wasi").await.prompt(job()).await;
    assert_eq!(called.result, Ok(Some(Vec::new())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_without_memory_to_compile_in_is_a_refusal() {
    let (host, _) = host(|config| config.limits.compile_memory_bytes = 64 << 20).await;
    host.drop_in("extism-innocent.wasm", &plugin("innocent"))
        .await;
    let reason = host.reason("extism-innocent.wasm");
    assert!(reason.contains("within 64 MiB"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_children_refuses_them() {
    let host = Host::open().await;
    host.drop_in("extism-innocent.wasm", &plugin("innocent"))
        .await;
    let reason = host.reason("extism-innocent.wasm");
    assert!(
        reason.contains("this host serves components only"),
        "{reason}"
    );
}
