//! From a submit to the job's start, on an idle host, the insert included. The jobs come one
//! after the other; graphile-worker does the same within one process.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use sqlx::Row as _;
use tests::bench::{Row, Times, say};
use tests::harness::{DEADLINE, Host, Setup};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::postgres::Bed;
use crate::scale::Scale;
use crate::{peers, pipeline};

const WARM_UP: usize = 20;
/// Before the next job, for the host to be idle again.
const PAUSE: Duration = Duration::from_millis(20);
const PEER: &str = "graphile-worker, addJob to the task's first line";

/// From the moment before a job is submitted.
struct Started {
    /// To the moment at which a client of the stream of events had `job.started`.
    seen: Duration,
    /// To the time of that event in the database, ms.
    stored: f64,
}

pub(crate) async fn rows(scale: &Scale) -> Vec<Row> {
    let jobs = scale.of(500, 150);
    let what = format!("submit over HTTP until a client has job.started, host idle, p50 of {jobs}");
    let Some(bed) = Bed::new().await else {
        return vec![Row::missing("started", &what, "ms", "no PostgreSQL server")];
    };
    let ours = ours(&bed, jobs).await;
    let seen = Times::new(ours.iter().map(|it| it.seen).collect());
    let stored = ours.iter().map(|it| it.stored.max(0.0) / 1e3);
    let stored = Times::new(stored.map(Duration::from_secs_f64).collect());
    say(format_args!("seen: {seen}"));
    say(format_args!("stored: {stored}"));
    let options = json!({
        "measure": "latency", "concurrency": 16, "batches": false, "jobs": jobs,
        "warmUp": WARM_UP, "pauseMs": PAUSE.as_millis() as u64,
    });
    let peer: Option<Vec<f64>> = peers::ask("graphile-worker", &options).await;
    let peer = peer.map(|ms| {
        let times = ms.into_iter().map(|ms| Duration::from_secs_f64(ms / 1e3));
        Times::new(times.collect())
    });
    if let Some(peer) = &peer {
        say(format_args!("graphile-worker: {peer}"));
    }
    let row = |id: &str, what: &str, ours: f64, percent: usize, aim: f64| {
        let row = Row::new(id, what, "ms", ours);
        match &peer {
            Some(peer) => {
                let theirs = peer.ms(percent);
                row.against(PEER, theirs).at_most(aim.min(theirs))
            }
            None => row.at_most(aim),
        }
    };
    vec![
        row("started", &what, seen.ms(50), 50, 2.0),
        row("started-p99", "the same, p99", seen.ms(99), 99, 6.0),
        Row::new(
            "started-stored",
            "until the time of job.started in the database, which has whole ms, p50",
            "ms",
            stored.ms(50),
        ),
        Row::new("started-stored-p99", "the same, p99", "ms", stored.ms(99)),
    ]
}

async fn ours(bed: &Bed, jobs: usize) -> Vec<Started> {
    let setup = Setup::demo()
        .set("DATABASE_URL", bed.url())
        .pipeline(pipeline::NAME, pipeline::TEXT)
        .plugin("empty.wasm", pipeline::plugin());
    let host = Host::start(setup).await;
    let client = host.client();
    let mut stream = client.stream("/api/events", "").await;
    // Read by a task of its own: an event may come before the answer to its submit.
    let (told, mut events) = mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        while let Some(event) = stream.next().await {
            let at = Instant::now();
            let job = event.data["job"].as_str().unwrap_or_default().to_owned();
            if told.send((event.name, job, at)).is_err() {
                return;
            }
        }
    });
    let mut found = Vec::new();
    for run in 0..WARM_UP + jobs {
        let body = json!({ "name": format!("job {run}"), "pipeline": pipeline::NAME });
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let begin = Instant::now();
        let id = client.submit_with(&body).await;
        let mut seen = None;
        let follow = async {
            while let Some((name, job, at)) = events.recv().await {
                match (name.as_str(), job == id) {
                    ("job.started", true) => seen = Some(at.duration_since(begin)),
                    ("job.succeeded", true) => return,
                    _ => {}
                }
            }
            panic!("the stream ended");
        };
        timeout(DEADLINE, follow).await.expect("the job ends");
        if run >= WARM_UP {
            let id: Uuid = id.parse().unwrap();
            found.push((id, wall, seen.expect("a job starts before it ends")));
        }
        sleep(PAUSE).await;
    }
    reader.abort();
    let mut all = Vec::new();
    for (id, wall, seen) in found {
        let sql = "SELECT at FROM events WHERE job = $1 AND kind = 'job.started'";
        let row = sqlx::query(sql)
            .bind(id)
            .fetch_one(&bed.pool)
            .await
            .unwrap();
        let at: i64 = row.get(0);
        let stored = at as f64 - wall.as_secs_f64() * 1e3;
        all.push(Started { seen, stored });
    }
    all
}
