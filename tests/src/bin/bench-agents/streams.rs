//! A hundred agents on one host, each of which hears an answer of fifty events a second: what that
//! takes of the host. The agents are this program, and aren't counted.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::json;
use tests::bank::MODEL;
use tests::bench::{Row, say};
use tests::harness::{Host, Process, Setup};
use tokio::time::sleep;

use crate::client::Client;
use crate::provider::{Plan, start_counted};

/// Makes this program the agent.
pub(crate) const ARGUMENT: &str = "__streams";
const AGENTS: usize = 100;
const GAP: Duration = Duration::from_millis(20);
const WINDOW: Duration = Duration::from_secs(20);
/// Longer than all that is measured.
const EVENTS: usize = 20_000;
const PIPELINE: &str =
    "name=\"streams\"\nbudget_usd=\"1000\"\n[[phase]]\nid=\"idea\"\nplugin=\"idea\"\n";

pub(crate) async fn rows() -> Vec<Row> {
    let plan = Plan::Stream {
        events: EVENTS,
        gap: GAP,
    };
    let (provider, mut begun) = start_counted(plan).await;
    let program = std::env::current_exe().unwrap();
    let command = format!("{} {ARGUMENT}", program.display());
    let setup = Setup::demo()
        .set("WORKER_COMMAND", command)
        .set("ANTHROPIC_API_KEY", "not-used")
        .set("ANTHROPIC_BASE_URL", format!("http://{provider}"))
        .set("MAX_CONCURRENT", AGENTS.to_string())
        .pipeline("streams", PIPELINE);
    let host = Host::start(setup).await;
    for number in 0..AGENTS {
        let body = json!({ "name": format!("job {number}"), "pipeline": "streams" });
        host.client().submit_with(&body).await;
    }
    begun.wait_for(|begun| *begun >= AGENTS).await.unwrap();
    let process = Process::of(host.pid().unwrap()).unwrap();
    let before = process.busy();
    // The span is what is measured over: nothing is waited for.
    sleep(WINDOW).await;
    let hundredths = process.busy() - before;
    let cores = hundredths as f64 / 100.0 / WINDOW.as_secs_f64();
    let memory = resident(process.pid());
    say(format_args!(
        "{AGENTS} streams: {cores:.3} cores, {memory:.1} MB"
    ));
    vec![
        Row::new(
            "streams-cpu",
            format!("{AGENTS} clients streaming 50 events a second each: CPU of the host"),
            "cores",
            cores,
        )
        .at_most(0.5),
        Row::new("streams-memory", "the same: resident memory", "MB", memory).at_most(150.0),
    ]
}

/// MB, from /proc.
fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes.unwrap().parse::<f64>().unwrap() / 1e3
}

/// The agent: it asks once, and listens to the end.
pub(crate) async fn work() {
    let [socket, token] = ["MODEL_SOCKET", "MODEL_TOKEN"].map(|name| std::env::var(name).unwrap());
    let body = json!({ "model": MODEL, "max_tokens": 32_000, "stream": true,
        "messages": [{ "role": "user", "content": "go on" }] });
    let mut client = Client::unix(socket.as_ref(), &token).await;
    let body = Bytes::from(body.to_string());
    let response = client.send(&body).await;
    let mut body = response.into_body();
    while body.frame().await.is_some() {}
}
