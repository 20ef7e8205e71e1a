//! From the SIGKILL of a host whose agent works to `job.resumed`, with the default settings: by
//! the host beside it, and by itself where it is started again at once. The agent goes on
//! meanwhile, and is adopted.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::pipeline::{Job, JobId, Limits, PipelineSpec};
use futures_util::future::join_all;
use serde_json::json;
use sqlx::Row as _;
use store::{ApiStore as _, NewJob};
use tempfile::TempDir;
use tests::bench::{Row, Times, place, say};
use tests::harness::DEADLINE;
use tokio::time::sleep;
use uuid::Uuid;

use crate::hosts::Host;
use crate::postgres::Bed;
use crate::scale::Scale;

/// Makes this program the agent.
pub(crate) const ARGUMENT: &str = "__agent";
const PIPELINE: &str = "name=\"held\"\n[[phase]]\nid=\"idea\"\nplugin=\"idea\"\ntimeout=\"2h\"\n";
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A job is taken over 20 times at most.
const KILLS_OF_A_JOB: usize = 15;
/// Past the end of what a host waits for.
const MOMENT: Duration = Duration::from_secs(1);

pub(crate) async fn rows(scale: &Scale) -> Vec<Row> {
    let (pairs, rounds, restarts) = (scale.of(8, 4), scale.of(4, 1), scale.of(30, 6));
    let kills = pairs * rounds;
    let other = format!("SIGKILL to job.resumed, default settings, another host, p99 of {kills}");
    let same = format!("the same host, started again at once, p99 of {restarts}");
    if Bed::new().await.is_none() {
        let row = |id, what| Row::missing(id, what, "s", "no PostgreSQL server").at_most(10.0);
        return vec![row("crash-other", &other), row("crash-same", &same)];
    }
    let taken = join_all((0..pairs).map(|number| taken_over(number, rounds))).await;
    let taken = Times::new(taken.into_iter().flatten().collect());
    let started = Times::new(started_again(restarts).await);
    say(format_args!("another host: {taken}"));
    say(format_args!("the same host: {started}"));
    let seconds = |times: &Times, percent| times.percentile(percent).as_secs_f64();
    vec![
        Row::new("crash-other", other, "s", seconds(&taken, 99)).at_most(10.0),
        Row::new("crash-other-p50", "the same, p50", "s", seconds(&taken, 50)),
        Row::new("crash-same", same, "s", seconds(&started, 99)).at_most(10.0),
        Row::new(
            "crash-same-p50",
            "the same, p50",
            "s",
            seconds(&started, 50),
        ),
    ]
}

/// The agent: it says one line and works for as long as its folder is there.
pub(crate) fn work() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("a host started it"));
    let content = json!([{ "type": "text", "text": "at work" }]);
    let line = json!({ "type": "assistant", "message": { "content": content } });
    fs::write(out.join("agent.jsonl"), format!("{line}\n")).unwrap();
    while out.is_dir() {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Hosts that share a database and a folder of workspaces, and the job that one of them holds.
struct Bench {
    bed: Bed,
    folder: TempDir,
    job: JobId,
}

/// Two hosts, of which in turns one is killed and started again after the other has its job.
async fn taken_over(number: usize, rounds: usize) -> Vec<Duration> {
    let mut bench = Bench::new().await;
    let mut hosts = vec![bench.host("a")];
    bench.submit().await;
    hosts.push(bench.host("b"));
    let mut times = Vec::new();
    for round in 0..rounds {
        let lease = bench.lease(2).await;
        // Its heartbeats got through for one whole lease time; and no two kills come at the
        // same moment between two heartbeats.
        let spread = lease / 3 * u32::try_from((number * rounds + round) * 7 % 10).unwrap() / 10;
        sleep(lease + MOMENT + spread).await;
        times.push(bench.kill(&mut hosts[round % 2], false).await);
        hosts[round % 2].go();
    }
    bench.end().await;
    times
}

async fn started_again(restarts: usize) -> Vec<Duration> {
    let mut bench = Bench::new().await;
    let mut host = bench.host("a");
    bench.submit().await;
    let lease = bench.lease(1).await;
    let mut times = Vec::new();
    for restart in 0..restarts {
        if restart > 0 && restart % KILLS_OF_A_JOB == 0 {
            bench.end().await;
            bench.submit().await;
        }
        sleep(lease / 60 * u32::try_from(restart % 10).unwrap()).await;
        times.push(bench.kill(&mut host, true).await);
    }
    bench.end().await;
    times
}

impl Bench {
    async fn new() -> Self {
        let bed = Bed::new().await.expect("it was there before");
        // Short, as the paths of the sockets in it must be.
        let folder = tempfile::Builder::new().prefix("gq-").tempdir_in("/tmp");
        Self {
            bed,
            folder: folder.unwrap(),
            job: JobId(Uuid::nil()),
        }
    }

    fn host(&self, name: &str) -> Host {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let data = self.folder.path().join(name);
        fs::create_dir_all(data.join("plugins")).unwrap();
        let plugins = place("GANTRY_TEST_PLUGINS").expect("`cargo xtask bench` names the plugins");
        let idea = format!("{plugins}/idea.wasm");
        fs::copy(idea, data.join("plugins/idea.wasm")).unwrap();
        let program = std::env::current_exe().unwrap();
        let program = program.display();
        let settings = [
            ("DATABASE_URL", self.bed.url()),
            ("WORKSPACE_PATH", path("w")),
            ("RUN_DIR", path("r")),
            ("WORKER_COMMAND", format!("{program} {ARGUMENT}")),
            // It counts as a real agent, which wants a provider; it never asks it.
            ("ANTHROPIC_API_KEY", "not-used".to_owned()),
            ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9".to_owned()),
        ];
        Host::start("driver", &data, &settings)
    }

    /// Submits the next job, and waits until its agent works.
    async fn submit(&mut self) {
        let spec = PipelineSpec::parse(PIPELINE).unwrap();
        self.job = JobId(Uuid::now_v7());
        let now = SystemTime::now().into();
        let new = NewJob::of(Job::new(
            self.job,
            "a job that is held".to_owned(),
            spec,
            now,
        ));
        self.bed.store.submit(&new).await.unwrap();
        self.until("agent.message", 1).await;
    }

    /// Ends the job, and its agent with it.
    async fn end(&self) {
        let (limits, now) = (Limits::default(), SystemTime::now().into());
        self.bed.store.cancel(self.job, &limits, now).await.unwrap();
        self.until("job.cancelled", 1).await;
        let (started, _) = self.told("agent.started").await;
        assert_eq!(started, 1, "an agent that worked was started again");
    }

    /// Waits for heartbeats of so many hosts; the lease time that they have.
    async fn lease(&self, hosts: usize) -> Duration {
        let began = Instant::now();
        loop {
            let sql = "SELECT lease_ms FROM hosts WHERE lease_ms IS NOT NULL";
            let rows = sqlx::query(sql).fetch_all(&self.bed.pool).await.unwrap();
            if rows.len() >= hosts {
                let ms: i64 = rows[0].get(0);
                return Duration::from_millis(u64::try_from(ms).unwrap());
            }
            assert!(
                began.elapsed() < DEADLINE,
                "{} hosts of {hosts}",
                rows.len()
            );
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Kills the holder; the time to `job.resumed`, by the database's clock, which is this one.
    async fn kill(&self, host: &mut Host, again: bool) -> Duration {
        let (before, _) = self.told("job.resumed").await;
        host.must_run();
        let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        host.kill();
        if again {
            host.go();
        }
        let resumed = self.until("job.resumed", before + 1).await;
        let resumed = Duration::from_millis(u64::try_from(resumed).unwrap());
        let took = resumed.saturating_sub(killed);
        say(format_args!("resumed after {:.2} s", took.as_secs_f64()));
        took
    }

    /// Waits for so many events of a kind; the time of the last, in ms.
    async fn until(&self, kind: &str, count: i64) -> i64 {
        let began = Instant::now();
        loop {
            if let (found, Some(at)) = self.told(kind).await
                && found >= count
            {
                return at;
            }
            assert!(began.elapsed() < 2 * DEADLINE, "no {kind}: {}", self.logs());
            sleep(LOOK_AGAIN).await;
        }
    }

    /// How many events of a kind the job has, and when the last was.
    async fn told(&self, kind: &str) -> (i64, Option<i64>) {
        let row = sqlx::query("SELECT count(*), max(at) FROM events WHERE job = $1 AND kind = $2")
            .bind(self.job.0)
            .bind(kind)
            .fetch_one(&self.bed.pool)
            .await
            .unwrap();
        (row.get(0), row.get(1))
    }

    fn logs(&self) -> String {
        let log = |host: &str| fs::read_to_string(self.folder.path().join(host).join("log"));
        ["a", "b"]
            .into_iter()
            .filter_map(|host| log(host).ok())
            .collect::<Vec<_>>()
            .join("\n--\n")
    }
}
