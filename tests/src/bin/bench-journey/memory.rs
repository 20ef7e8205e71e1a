//! What an idle host holds in memory after a hundred jobs came at once, each with its calls of a
//! plugin. No agent takes part, whose memory would be its own.

use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tests::bench::{Row, guest, say};
use tests::harness::{Host, Setup};
use tokio::time::sleep;

const JOBS: usize = 100;
/// After the last job, for what ends by itself.
const IDLE: Duration = Duration::from_secs(5);
const PIPELINE: &str = "name=\"calls\"\n[[phase]]\nid=\"call\"\nplugin=\"no-tasks\"\n";

/// MB, from /proc.
struct Memory {
    resident: f64,
    anonymous: f64,
    shared_out: f64,
}

pub(crate) async fn after_a_hundred_calls() -> Vec<Row> {
    let setup = Setup::demo()
        .set("MAX_CONCURRENT", JOBS.to_string())
        .pipeline("calls", PIPELINE)
        .plugin("no-tasks.wasm", guest("no-tasks"));
    let host = Host::start(setup).await;
    let pid = match &host.processes()[..] {
        [one] => one.pid(),
        more => panic!("one process is the host: {more:?}"),
    };
    sleep(IDLE).await;
    let before = Memory::of(pid);
    let client = host.client();
    let jobs = (0..JOBS).map(|number| async move {
        let body = json!({ "name": format!("job {number}"), "pipeline": "calls" });
        let id = client.submit_with(&body).await;
        client.succeeded(&id).await;
    });
    join_all(jobs).await;
    sleep(IDLE).await;
    let after = Memory::of(pid);
    say(format_args!(
        "memory: before {:.1} MB, after {:.1} MB",
        before.resident, after.resident
    ));
    let what = format!("resident memory of an idle host after {JOBS} jobs at once");
    vec![
        Row::new("memory", what, "MB", after.resident).at_most(80.0),
        Row::new(
            "memory-anonymous",
            "of it anonymous, so not the program's file",
            "MB",
            after.anonymous,
        ),
        Row::new(
            "memory-pss",
            "of it by proportional share",
            "MB",
            after.shared_out,
        ),
        Row::new(
            "memory-fresh",
            "resident memory before the first job",
            "MB",
            before.resident,
        ),
    ]
}

impl Memory {
    fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kb: f64 = line
                .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
                .unwrap_or_else(|| panic!("no {name} in {text}"));
            kb * 1024.0 / 1e6
        };
        Self {
            resident: field("Rss:"),
            anonymous: field("Anonymous:"),
            shared_out: field("Pss:"),
        }
    }
}
