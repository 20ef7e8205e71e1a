//! Each limit of a call twice, with the same guest: kept, and broken by the least that counts. What a
//! host has for all is set when it opens; what a pipeline may say comes with the call.

use crate::guests::guest;
use crate::host::{Host, OneFile, job, job_with};
use pipeline::{FileEntry, PluginLimits, StepError};
use plugin_runtime::{CallContext, CallLimits, Files, ReadError};
use std::fmt::Write as _;
use std::sync::{Arc, mpsc};
use std::time::Duration;

const MIB: u64 = 1 << 20;

async fn host(name: &str, change: impl FnOnce(&mut CallLimits)) -> Host {
    let host = Host::with(|config| change(&mut config.limits)).await;
    host.drop_in(&format!("{name}.wasm"), &guest(name)).await;
    assert_eq!(host.reason(&format!("{name}.wasm")), "", "{name}");
    host
}

async fn call(host: &Host, name: &str, job: CallContext) -> Result<(), String> {
    match host.served(name).await.prompt(job).await.result {
        Ok(_) => Ok(()),
        Err(StepError::Fault(message)) => Err(message),
        Err(other) => panic!("{name}: {other:?}"),
    }
}

type Say = fn(&mut PluginLimits);

/// A guest, what its pipeline says that it keeps to, what it breaks, and the words for that.
const PIPELINE: &[(&str, Say, Say, &str)] = &[
    (
        "grows",
        |it| it.memory = Some(4 * MIB),
        |it| it.memory = Some(4 * MIB - 1),
        "used more than 4194303 bytes of memory",
    ),
    (
        "grows",
        |it| it.table_elements = Some(100),
        |it| it.table_elements = Some(99),
        "used more than 99 table elements",
    ),
    (
        "naps",
        |it| it.call_time = Some(Duration::from_secs(60)),
        |it| it.call_time = Some(Duration::from_millis(20)),
        "took longer than 20ms",
    ),
    (
        "naps",
        |it| it.host_time = Some(Duration::from_secs(60)),
        |it| it.host_time = Some(Duration::from_millis(20)),
        "spent more than 20ms in functions of the host",
    ),
    (
        "stats-a-file",
        |it| it.read = Some(5),
        |it| it.read = Some(4),
        // It takes what isn't bytes for a reason to end.
        "unreachable",
    ),
    (
        "stages",
        |it| it.prompt = Some(8),
        |it| it.prompt = Some(7),
        "tasks[0].prompt: 8 bytes are more than the limit of 7 bytes",
    ),
    (
        "stages",
        |it| it.staged = Some(MIB),
        |it| it.staged = Some(MIB - 1),
        "files of all tasks: 1048576 bytes are more than the limit of 1048575 bytes",
    ),
    (
        "stages",
        |it| it.tasks = Some(2),
        |it| it.tasks = Some(1),
        "tasks: 2 are more than the limit of 1",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelines_limit_is_kept_and_broken() {
    for (name, keeps, breaks, told) in PIPELINE {
        let host = host(name, |_| {}).await;
        let with = |say: &Say| {
            let mut job = job();
            say(&mut job.limits);
            job
        };
        call(&host, name, with(keeps)).await.unwrap();
        let fault = call(&host, name, with(breaks)).await.unwrap_err();
        assert!(fault.contains(told), "{name}: {fault}");
        // The next call has the host's own again.
        call(&host, name, job()).await.unwrap();
    }
}

/// A pipeline may ask for more than the host gives to all, and gets it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_may_ask_for_more_than_the_host_has() {
    let host = host("grows", |limits| {
        limits.memory_bytes = 1 << 20;
        limits.table_elements = 10;
    })
    .await;
    let fault = call(&host, "grows", job()).await.unwrap_err();
    assert!(fault.contains("used more than 1 MiB of memory"), "{fault}");
    let mut more = job();
    more.limits.memory = Some(PluginLimits::MEMORY_MOST);
    more.limits.table_elements = Some(PluginLimits::TABLE_ELEMENTS_MOST);
    call(&host, "grows", more).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_pipeline_may_ask_for_can_be_used() {
    let host = host("eats-memory", |_| {}).await;
    let mut most = job();
    most.limits.memory = Some(PluginLimits::MEMORY_MOST);
    let fault = call(&host, "eats-memory", most).await.unwrap_err();
    assert!(
        fault.contains("used more than 256 MiB of memory"),
        "{fault}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelines_lines_of_the_log_are_cut() {
    let host = host("floods-log", |_| {}).await;
    for most in [0, 5] {
        let mut few = job();
        few.limits.log_lines = Some(most);
        let called = host.served("floods-log").await.prompt(few).await;
        assert_eq!(called.logs.len(), most as usize + 1);
        let last = format!(
            "{} more lines were dropped: one call may log {most}",
            10_000 - most
        );
        assert_eq!(called.logs.last().unwrap().1, last);
    }
}

/// A workspace whose disk takes its time.
struct Slow;

impl Files for Slow {
    fn list(&self, _: &str, _: Option<&str>, _: u32) -> Result<Vec<FileEntry>, ReadError> {
        Err(ReadError::NotFound)
    }

    fn stat(&self, path: &str) -> Result<FileEntry, ReadError> {
        let (_held, nothing) = mpsc::channel::<()>();
        let _ = nothing.recv_timeout(Duration::from_millis(50));
        OneFile.stat(path)
    }

    fn read(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, ReadError> {
        OneFile.read(path, offset, length)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_is_time_in_the_host() {
    let host = host("stats-a-file", |_| {}).await;
    let with = |host_time| {
        let mut job = job_with(Arc::new(Slow));
        job.limits.host_time = Some(host_time);
        job
    };
    let kept = with(Duration::from_secs(60));
    call(&host, "stats-a-file", kept).await.unwrap();
    let broken = with(Duration::from_millis(10));
    let fault = call(&host, "stats-a-file", broken).await.unwrap_err();
    let told = "spent more than 10ms in functions of the host";
    assert!(fault.contains(told), "{fault}");
}

/// Guest code that never calls the host ends by the whole, however little time the host has.
#[tokio::test(flavor = "multi_thread")]
async fn time_in_a_guest_is_no_time_in_the_host() {
    let host = host("loops", |_| {}).await;
    let mut short = job();
    short.limits.call_time = Some(Duration::from_millis(100));
    short.limits.host_time = Some(Duration::from_millis(10));
    let fault = call(&host, "loops", short).await.unwrap_err();
    assert!(fault.contains("took longer than 100ms"), "{fault}");
    assert!(!fault.contains("functions of the host"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_at_and_past_its_size() {
    let kept = host("recurses-some", |_| {}).await;
    call(&kept, "recurses-some", job()).await.unwrap();
    let broken = host("recurses-some", |limits| limits.stack_bytes = 16 << 10).await;
    let fault = call(&broken, "recurses-some", job()).await.unwrap_err();
    assert!(fault.contains("used more than 16 KiB of stack"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_handed_to_the_host_at_and_past_their_limit() {
    let kept = host("stages", |limits| limits.handed_bytes = 2 << 20).await;
    call(&kept, "stages", job()).await.unwrap();
    let broken = host("stages", |limits| limits.handed_bytes = 1 << 20).await;
    let fault = call(&broken, "stages", job()).await.unwrap_err();
    assert!(
        fault.contains("handed more than 1 MiB to the host"),
        "{fault}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_handed_by_the_host_at_and_past_their_limit() {
    // A hundred times these params.
    let mut asked = job();
    asked.params = format!("{{\"x\":\"{}\"}}", "y".repeat(1016));
    assert_eq!(asked.params.len(), 1024);
    let kept = host("asks-again", |limits| limits.given_bytes = 100 << 10).await;
    call(&kept, "asks-again", asked.clone()).await.unwrap();
    let broken = host("asks-again", |limits| limits.given_bytes = (100 << 10) - 1).await;
    let fault = call(&broken, "asks-again", asked).await.unwrap_err();
    assert!(
        fault.contains("took more than 102399 bytes from the host"),
        "{fault}"
    );
}

/// A component of so many core instances; it is no plugin.
fn instances(count: usize) -> Vec<u8> {
    let mut text = "(component (core module $m)".to_owned();
    for _ in 0..count {
        let _ = write!(text, "(core instance (instantiate $m))");
    }
    wat::parse_str(text + ")").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn core_instances_at_and_past_their_number() {
    let host = Host::open().await;
    host.drop_in("kept.wasm", &instances(32)).await;
    let reason = host.reason("kept.wasm");
    assert!(
        reason.contains("doesn't export gantry:phase/describe"),
        "{reason}"
    );
    host.drop_in("broken.wasm", &instances(33)).await;
    let reason = host.reason("broken.wasm");
    let told = "33 core module instances, which exceeds the configured maximum of 32";
    assert!(reason.contains(told), "{reason}");
}
