//! What Extism plug-ins are given and answer, and the processes that their calls have. What
//! hostile ones come to is in `hostile`.

use crate::extism::{host, named, plugin};
use crate::guests;
use crate::host::{DEADLINE, OneFile, job, job_with, wanted};
use crate::processes::Processes;
use pipeline::{Decision, FileEntry, Level, StepError};
use plugin_runtime::{Files, ReadError};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_reads_its_workspace_and_logs() {
    let (host, _) = host(|_| {}).await;
    host.drop_in("extism-innocent.wasm", &plugin("innocent"))
        .await;
    let served = host.served("extism-innocent").await;
    let called = served.validate(job()).await;
    let verdict = called.result.unwrap().unwrap();
    assert_eq!(
        (verdict.decision, verdict.message.as_str()),
        (Decision::Accept, "hello")
    );
    assert_eq!(called.logs, [(Level::Info, "read a.txt".to_owned())]);
    assert!(called.memory_bytes > 0);
    assert_eq!(served.deploy(job()).await.result, Ok(None));
    let report = &host.plugins.reports()[0];
    assert_eq!(report.steps, ["prompt", "validate", "self-test"]);
    assert_eq!(report.summary, "A guest of the tests");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_remembered_between_calls() {
    let (host, processes) = host(|_| {}).await;
    host.drop_in("extism-counts.wasm", &plugin("counts")).await;
    let served = host.served("extism-counts").await;
    let before = processes.pids();
    for _ in 0..3 {
        let tasks = served.prompt(job()).await.result.unwrap().unwrap();
        assert_eq!(tasks[0].name, "n1");
    }
    // In one process, all the same.
    assert_eq!((processes.pids(), before.len()), (before, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelines_memory_is_the_limit_of_its_calls_and_of_no_others() {
    let (host, processes) = host(|_| {}).await;
    host.drop_in("extism-eats-memory.wasm", &plugin("eats-memory"))
        .await;
    host.drop_in("extism-innocent.wasm", &plugin("innocent"))
        .await;
    let small = || {
        let mut job = job();
        job.limits.memory = Some(8 << 20);
        job
    };
    let eats = host.served("extism-eats-memory").await;
    let innocent = host.served("extism-innocent").await;
    for _ in 0..2 {
        let fault = |called: Result<_, StepError>| called.err().unwrap().to_string();
        let ended = fault(eats.prompt(small()).await.result);
        assert!(ended.contains("used more than 8 MiB of memory"), "{ended}");
        let ended = fault(eats.prompt(job()).await.result);
        assert!(ended.contains("used more than 64 MiB of memory"), "{ended}");
        assert!(innocent.prompt(small()).await.result.is_ok());
        assert!(innocent.prompt(job()).await.result.is_ok());
    }
    // One for each of the innocent one's limits; the other's died with its calls.
    assert_eq!(processes.pids().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_is_no_fault() {
    let (host, _) = host(|_| {}).await;
    host.drop_in("extism-says-error.wasm", &plugin("says-error"))
        .await;
    let called = host.served("extism-says-error").await.validate(job()).await;
    assert_eq!(
        called.result,
        Err(StepError::Unavailable("later".to_owned()))
    );
    assert_eq!(host.plugins.reports()[0].faults, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extism_plugin_takes_a_components_place_live_and_gives_it_back() {
    let (host, processes) = host(|_| {}).await;
    let component = guests::named("innocent", "idea", "1.0.0");
    let extism = named("innocent", "idea", "1.1.0");
    host.drop_in("idea.wasm", &component).await;
    let first = host.served("idea").await;
    let kind = || host.plugins.reports()[0].kind.clone();
    for (bytes, is, version) in [
        (&extism, "extism", "1.1.0"),
        (&component, "component", "1.0.0"),
        (&extism, "extism", "1.1.0"),
    ] {
        host.drop_in("idea.wasm", bytes).await;
        assert_eq!(host.reason("idea.wasm"), "");
        assert_eq!(
            (kind().as_str(), host.version("idea").await.as_str()),
            (is, version)
        );
        let tasks = host.served("idea").await.prompt(job()).await.result;
        assert_eq!(tasks.unwrap().unwrap()[0].prompt, "Make it.");
        // Who began with the first goes on with it.
        assert!(first.prompt(job()).await.result.is_ok());
    }
    let pin = first.pin();
    let pinned = host
        .plugins
        .resolve(&wanted("idea"), Some(&pin))
        .await
        .unwrap();
    assert_eq!(pinned.pin(), pin);
    assert!(!processes.pids().is_empty());
}

/// A workspace that kills whoever asks.
struct Deadly(Processes);

impl Files for Deadly {
    fn list(&self, _: &str, _: Option<&str>, _: u32) -> Result<Vec<FileEntry>, ReadError> {
        Err(ReadError::NotFound)
    }

    fn stat(&self, _: &str) -> Result<FileEntry, ReadError> {
        Err(ReadError::NotFound)
    }

    fn read(&self, _: &str, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
        self.0.kill();
        Err(ReadError::NotFound)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_is_killed_in_a_call_is_a_fault_of_that_call_only() {
    let (host, processes) = host(|_| {}).await;
    host.drop_in("extism-innocent.wasm", &plugin("innocent"))
        .await;
    let served = host.served("extism-innocent").await;
    let deadly = job_with(Arc::new(Deadly(processes.clone())));
    let called = served.validate(deadly).await;
    let Err(StepError::Fault(message)) = called.result else {
        panic!("{:?}", called.result);
    };
    assert!(
        message.contains("its process ended: signal: 9 (SIGKILL)"),
        "{message}"
    );
    assert!(served.validate(job()).await.result.is_ok());
    // One that dies while it has nothing to do is nobody's fault.
    processes.kill();
    assert!(served.validate(job()).await.result.is_ok());
}

/// A workspace that answers once so many read at once, or when its patience is over.
struct Together {
    reading: Mutex<usize>,
    more: Condvar,
    wanted: usize,
}

impl Files for Together {
    fn list(
        &self,
        dir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<FileEntry>, ReadError> {
        OneFile.list(dir, after, limit)
    }

    fn stat(&self, path: &str) -> Result<FileEntry, ReadError> {
        OneFile.stat(path)
    }

    fn read(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, ReadError> {
        let mut reading = self.reading.lock().unwrap();
        *reading += 1;
        self.more.notify_all();
        let waited = self
            .more
            .wait_timeout_while(reading, DEADLINE, |reading| *reading < self.wanted);
        match waited.unwrap().1.timed_out() {
            true => Err(ReadError::NotFound),
            false => OneFile.read(path, offset, length),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_at_once_have_a_process_each_and_those_beyond_wait() {
    let (host, processes) = host(|config| config.limits.call_time = Duration::from_secs(20)).await;
    host.drop_in("extism-innocent.wasm", &plugin("innocent"))
        .await;
    let served = host.served("extism-innocent").await;
    let files = Arc::new(Together {
        reading: Mutex::new(0),
        more: Condvar::new(),
        wanted: 2,
    });
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let (served, files) = (served.clone(), files.clone());
            tokio::spawn(async move { served.validate(job_with(files)).await.result })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    let running = processes.pids().len();
    assert!((2..=4).contains(&running), "{running} processes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_goes_takes_its_processes_along() {
    let (host, processes) = host(|_| {}).await;
    host.drop_in("extism-innocent.wasm", &plugin("innocent"))
        .await;
    assert_eq!(processes.pids().len(), 1);
    drop(host);
    let until = std::time::Instant::now() + DEADLINE;
    while !processes.pids().is_empty() {
        assert!(std::time::Instant::now() < until, "its processes stayed");
        tokio::task::yield_now().await;
    }
}
