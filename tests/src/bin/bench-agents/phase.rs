//! A phase whose agent works for five seconds in a container, beside a bare `docker run` of the
//! same image under the same limits, in turns.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::bench::container::Image;
use tests::bench::{Row, Times, guest, place, say};
use tests::harness::{Client, DEADLINE, Host, Setup};
use tokio::time::timeout;

const RUNS: usize = 12;
const WARM_UP: usize = 1;
const ID: &str = "phase";
const WHAT: &str = "a phase whose agent works for 5 s, over a bare docker run, p50";
const AIM: f64 = 1.05;

/// The guest `probe` accepts whatever an agent leaves.
const PIPELINE: &str = "name=\"work\"\n[[phase]]\nid=\"probe\"\nplugin=\"probe\"\n";

/// Without a host it has no `OUT_DIR`.
const WORK: &str = r#"#!/bin/bash
sleep 5
end='{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":1,"total_cost_usd":0}'
printf '%s\n' "$end"
[ -z "${OUT_DIR:-}" ] || printf '%s\n' "$end" >"$OUT_DIR/agent.jsonl"
"#;

pub(crate) async fn rows() -> Vec<Row> {
    let (Some(_), Some(worker)) = (place("DOCKER_HOST"), place("GANTRY_TEST_WORKER_IMAGE")) else {
        let why = "no engine, or no image of the agent";
        return vec![Row::missing(ID, WHAT, "×", why).at_most(AIM)];
    };
    let image = Image::build(&worker, WORK);
    let setup = Setup::docker("http://127.0.0.1:9", "not-used")
        .plugin("probe.wasm", guest("probe"))
        .pipeline("work", PIPELINE)
        .set("WORKER_IMAGE", image.name());
    let host = Host::start(setup).await;
    let (mut phases, mut jobs, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..WARM_UP + RUNS {
        let (phase, job) = one_job(host.client()).await;
        let begin = Instant::now();
        let _ = image.bare_run();
        let peer = begin.elapsed();
        if run >= WARM_UP {
            phases.push(phase);
            jobs.push(job);
            bare.push(peer);
        }
    }
    let [phases, jobs, bare] = [phases, jobs, bare].map(Times::new);
    say(format_args!("the phase: {phases}"));
    say(format_args!("bare docker run: {bare}"));
    let ms = |times: &Times| times.ms(50);
    let whole = format!("phase.started to phase.accepted, agent of 5 s, p50 of {RUNS}");
    let job = "the same, from submit to job.succeeded";
    let peer = "bare docker run, same limits";
    vec![
        Row::new(ID, WHAT, "×", ms(&phases) / ms(&bare)).at_most(AIM),
        Row::new("phase-whole", whole, "ms", ms(&phases)).against(peer, ms(&bare)),
        Row::new("phase-job", job, "ms", ms(&jobs)).against(peer, ms(&bare)),
    ]
}

/// How long the phase took, and the job, as a client sees it.
async fn one_job(client: &Client) -> (Duration, Duration) {
    let begin = Instant::now();
    let body = json!({ "name": "five seconds of work", "pipeline": "work" });
    let id = client.submit_with(&body).await;
    let mut events = client.stream(&format!("/api/jobs/{id}/events"), "").await;
    let (mut started, mut accepted) = (None, None);
    let follow = async {
        while let Some(event) = events.next().await {
            match event.name.as_str() {
                "phase.started" => started = Some(Instant::now()),
                "phase.accepted" => accepted = Some(Instant::now()),
                "job.succeeded" => return,
                "job.failed" => panic!("the job failed: {:#}", event.data),
                _ => {}
            }
        }
        panic!("the stream ended before the job");
    };
    timeout(DEADLINE, follow).await.unwrap();
    let job = begin.elapsed();
    (accepted.unwrap() - started.unwrap(), job)
}
