//! Guests that mean harm: what comes of each, and that the next call is none the worse for it.
//! The guests themselves are in `tests/guests`, and what is expected of each in `table`.

mod made;
mod table;

use crate::guests::{guest, named};
use crate::host::{Host, job, job_with};
use pipeline::{FileEntry, Level, StepError};
use plugin_runtime::{Called, Files, ReadError, Step};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use table::{HOSTILE, INNOCENT, Met, Row, Source};

type Threads = tokio::runtime::Runtime;

async fn host() -> Host {
    let host = Host::with(|config| {
        config.limits.call_time = Duration::from_millis(500);
        // An unoptimised host takes in bytes so slowly that the time would be over first.
        config.limits.handed_bytes = 4 << 20;
    })
    .await;
    host.drop_in("innocent.wasm", &guest("innocent")).await;
    host
}

/// The end of a guest's harm, in words.
async fn met(host: &Host, row: &Row) -> String {
    let file = format!("{}.wasm", row.guest);
    match row.source {
        Source::Wat => fs::write(host.path(&file), guest(row.guest)).unwrap(),
        Source::Made(make) => make(&host.path(&file)),
    }
    host.plugins.settled().await;
    let refused = host.reason(&file);
    let step = match row.met {
        Met::Lands => return refused,
        Met::Faults(step) => step,
        Met::Logs => Step::Prompt,
    };
    if !refused.is_empty() {
        return format!("it may not serve: {refused}");
    }
    let served = host.served(row.guest).await;
    let (result, logs, took) = match step {
        Step::Prompt => parts(served.prompt(job()).await),
        Step::Validate => parts(served.validate(job()).await),
        Step::Deploy => parts(served.deploy(job()).await),
    };
    assert!(took < Duration::from_secs(3), "{}: {took:?}", row.guest);
    match (&row.met, result) {
        (Met::Logs, Ok(())) => logs.last().unwrap().1.clone(),
        (Met::Faults(_), Err(StepError::Fault(message))) => {
            let named = format!("plugin `{}` 1.0.0 ", row.guest);
            assert!(message.starts_with(&named), "{}: {message}", row.guest);
            message
        }
        (_, other) => format!("it was let through: {other:?}"),
    }
}

type Parts = (Result<(), StepError>, Vec<(Level, String)>, Duration);

fn parts<T>(called: Called<Option<T>>) -> Parts {
    let result = called.result.map(|answer| assert!(answer.is_some()));
    (result, called.logs, called.took)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_harms_its_own_call_only() {
    let host = host().await;
    let mut wrong = String::new();
    for row in HOSTILE {
        let message = met(&host, row).await;
        let missing = row.says.iter().find(|words| !message.contains(**words));
        if missing.is_some() || message.is_empty() {
            writeln!(wrong, "{} ({}): {message:.600}", row.guest, row.does).unwrap();
        }
        // A page and a log show it: short, and one line.
        if message.len() > 17 << 10 || message.contains(char::is_control) {
            let (length, guest) = (message.len(), row.guest);
            writeln!(wrong, "{guest}: {length} bytes, or control characters").unwrap();
        }
        host.innocent_call().await;
    }
    assert!(wrong.is_empty(), "{wrong}");
    let reports = host.plugins.reports();
    let calls = |name: &str| {
        let report = reports.iter().find(|it| it.name == name).unwrap();
        (report.calls, report.faults)
    };
    assert_eq!(calls("traps"), (1, 1));
    assert_eq!(calls("innocent"), (HOSTILE.len() as u64, 0));
}

#[test]
fn every_guest_has_its_row_and_every_row_its_guest() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/guests");
    let files: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix(".wat")?.to_owned())
        })
        // Those have a table of their own, in `extism-child`.
        .filter(|name| !name.starts_with("extism-"))
        .collect();
    let of_files = HOSTILE
        .iter()
        .filter(|row| matches!(row.source, Source::Wat));
    let mut rows = BTreeSet::new();
    for row in of_files {
        assert!(rows.insert(row.guest.to_owned()), "{} twice", row.guest);
        let text = fs::read_to_string(folder.join(format!("{}.wat", row.guest))).unwrap();
        let first = format!(";; {}\n", row.does);
        assert!(
            text.starts_with(&first),
            "{} does something else",
            row.guest
        );
    }
    assert!(rows.len() >= 30, "{} hostile guests", rows.len());
    rows.extend(INNOCENT.iter().map(|&name| name.to_owned()));
    assert_eq!(rows, files);
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
        message.contains("was given up in prompt: took longer than 500ms"),
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
