//! The agent of these benchmarks: its first line is the time at which it wrote it, and that is
//! all its work. There are two of it, this program and a script for containers.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::harness::{Client, DEADLINE};
use tokio::time::timeout;

/// Makes this program the agent.
pub(crate) const ARGUMENT: &str = "__agent";

/// Its only phase is the guest `probe`, which accepts whatever an agent leaves.
pub(crate) const PIPELINE: (&str, &str) = (
    "line",
    "name=\"line\"\n[[phase]]\nid=\"probe\"\nplugin=\"probe\"\n",
);

/// In a container: µs are what bash knows. Without a host it has no `OUT_DIR`.
pub(crate) const SCRIPT: &str = r#"#!/bin/bash
line="{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"${EPOCHREALTIME/[.,]/}000\"}]}}"
end='{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":1,"total_cost_usd":0}'
printf '%s\n' "$line"
[ -z "${OUT_DIR:-}" ] || printf '%s\n%s\n' "$line" "$end" >"$OUT_DIR/agent.jsonl"
"#;

/// As a process.
pub(crate) fn work() {
    let path = std::env::var("OUT_DIR").expect("a host started it");
    let path = Path::new(&path).join("agent.jsonl");
    let mut out = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    let text = since_1970(SystemTime::now()).as_nanos().to_string();
    let content = json!([{ "type": "text", "text": text }]);
    writeln!(
        out,
        "{}",
        json!({ "type": "assistant", "message": { "content": content } })
    )
    .unwrap();
    let end = json!({
        "type": "result", "subtype": "success", "is_error": false, "result": "done",
        "num_turns": 1, "total_cost_usd": 0,
    });
    writeln!(out, "{end}").unwrap();
}

pub(crate) fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap()
}

/// The time that a line of the agent says.
pub(crate) fn time_in(text: &str) -> Duration {
    let ns = text.trim().parse();
    Duration::from_nanos(ns.unwrap_or_else(|_| panic!("`{text}` isn't the agent's first line")))
}

/// From the moment before a job is submitted.
pub(crate) struct FirstLine {
    /// To the moment at which the agent wrote its first line.
    pub(crate) written: Duration,
    /// To the moment at which a client of the job's events had it.
    pub(crate) seen: Duration,
}

/// Runs one job to its end.
pub(crate) async fn first_line(client: &Client) -> FirstLine {
    let body = json!({ "name": "a first line", "pipeline": PIPELINE.0 });
    let begin = since_1970(SystemTime::now());
    let id = client.submit_with(&body).await;
    let mut events = client.stream(&format!("/api/jobs/{id}/events"), "").await;
    let mut line = None;
    let follow = async {
        while let Some(event) = events.next().await {
            match event.name.as_str() {
                "agent.message" if line.is_none() => {
                    line = Some((text(&event.data), since_1970(SystemTime::now())));
                }
                "job.succeeded" => return,
                "job.failed" => panic!("the job failed: {:#}", event.data),
                _ => {}
            }
        }
        panic!("the stream ended before the job");
    };
    timeout(DEADLINE, follow).await.expect("the job ends");
    let (text, seen) = line.expect("an agent.message before the job's end");
    FirstLine {
        written: time_in(&text).saturating_sub(begin),
        seen: seen.saturating_sub(begin),
    }
}

fn text(event: &Value) -> String {
    let text = event["data"]["text"].as_str();
    text.unwrap_or_else(|| panic!("no text in {event:#}"))
        .to_owned()
}
