//! A host that is asked to end, whatever it is doing: it takes no more, gives back what it holds,
//! and is gone within the grace period. That agents go on meanwhile, `crash` says.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that fails here has failed"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};
use tests::harness::{
    Agents, DEADLINE, Database, Host, Part, Parts, Setup, Shared, Timeline, gantry,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const NAME: &str = "a game about a ferry";
const SHUTS_DOWN: &str = "shutting down";
const CUT_OFF: &str = "cut off at shutdown";

fn one_phase(plugin: &str) -> String {
    format!("name = \"one\"\n[[phase]]\nid = \"idea\"\nplugin = \"{plugin}\"\n")
}

fn guest(parts: Parts, name: &str) -> PathBuf {
    Path::new(&parts.place(Part::Guests)).join(format!("{name}.wasm"))
}

async fn submit(host: &Host, pipeline: &str) -> String {
    let body = json!({ "name": NAME, "pipeline": pipeline });
    host.client().submit_with(&body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_while_a_plugin_is_asked() {
    let test = "asked_to_end_while_a_plugin_is_asked";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    for (plugin, stage) in [("loops", "prompt"), ("empty", "deploy")] {
        // It would go on for longer than this test waits for a host's end.
        let pipeline =
            one_phase(plugin) + "[deploy]\nplugin = \"loops\"\n[limits]\ncall_time = \"60s\"\n";
        let setup = Setup::demo()
            .pipeline("one", &pipeline)
            .plugin("loops.wasm", guest(parts, "loops"))
            .plugin("empty.wasm", guest(parts, "empty"));
        let mut host = Host::start(setup).await;
        let id = submit(&host, "one").await;
        let at_work = |job: &Value| job["status"] == "running" && job["stage"] == stage;
        host.client().wait_for(&id, stage, at_work).await;
        works_hard(&host).await;
        let status = host.terminate().await;
        assert!(status.success(), "{stage}: {status}\n{}", host.log());
        // No attempt was used up, and nobody holds it.
        host.restart().await;
        let job = host.client().wait_for(&id, "at it again", at_work).await;
        let attempts = job["phases"][0]["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1, "{stage}: {job:#}");
        let cancel = format!("/api/jobs/{id}/cancel");
        assert_eq!(host.client().post(&cancel, &json!({})).await.status, 202);
        assert_eq!(host.client().ended(&id).await["status"], "cancelled");
    }
}

/// Waits until processors have worked for it for a while: a call is under way.
async fn works_hard(host: &Host) {
    let enough = host.busy() + 30;
    let works = async {
        while host.busy() < enough {
            sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, works).await.expect("the call is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_while_a_site_is_laid_out() {
    let page = "mkdir -p \"$WORKSPACE_DIR/site\"; echo here >\"$WORKSPACE_DIR/site/index.html\"";
    let agents = Agents::running(&format!("{page}; {} __demo-agent", gantry().display()));
    let pipeline = one_phase("idea") + "[deploy]\nplugin = \"static-site\"\n";
    let setup = Setup::agents(&agents).pipeline("one", &pipeline);
    for point in ["files-laid-out", "address-reserved"] {
        let mut host = Host::start(setup.clone().set("GANTRY_STOP_AT", point)).await;
        let id = submit(&host, "one").await;
        host.stands_still().await;
        host.ask_to_end(false);
        host.pause(false);
        let status = host.ends().await;
        assert!(status.success(), "{point}: {status}\n{}", host.log());
        host.set("GANTRY_STOP_AT", None);
        host.restart().await;
        host.client().succeeded(&id).await;
        let timeline = Timeline::of(&host.client().events(&id).await);
        assert_eq!(timeline.of_type("job.deployed").len(), 1, "{point}");
        assert_eq!(host.client().sites().await.len(), 1, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_while_a_job_rests() {
    let setup = Setup::demo().pipeline("one", &one_phase("nobody"));
    let mut host = Host::start(setup).await;
    let id = submit(&host, "one").await;
    // Longer and longer: the third pause is some seconds.
    let mut pauses = BTreeSet::new();
    let rests = |job: &Value| {
        let waits = job["status"] == "waiting";
        if waits {
            pauses.insert(job["wait"]["until"].to_string());
        }
        waits && pauses.len() > 2
    };
    let before = host.client().wait_for(&id, "resting", rests).await;
    let status = host.terminate().await;
    assert!(status.success(), "{status}\n{}", host.log());
    host.restart().await;
    let after = host.client().job(&id).await;
    assert_eq!(after["wait"], before["wait"], "{after:#}");
    let goes_on = |job: &Value| job["status"] == "waiting" && job["wait"] != before["wait"];
    host.client().wait_for(&id, "tried again", goes_on).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_with_nothing_to_do_and_streams_open() {
    for by_hand in [false, true] {
        let mut host = Host::start(Setup::demo()).await;
        let id = host.client().submit(NAME).await;
        host.client().succeeded(&id).await;
        let mut streams = Vec::new();
        for path in ["/api/events".to_owned(), format!("/api/jobs/{id}/events")] {
            streams.push(host.client().stream(&path, "").await);
        }
        host.ask_to_end(by_hand);
        let status = host.ends().await;
        assert!(status.success(), "{status}\n{}", host.log());
        for mut stream in streams {
            let end = async { while stream.next().await.is_some() {} };
            timeout(DEADLINE, end).await.expect("the stream ends");
        }
    }
}

/// A request of which the rest never comes.
async fn stuck(host: &Host, request: &str) -> TcpStream {
    let address = host.client().url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = request.replace("HOST", &address);
    stream.write_all(request.as_bytes()).await.unwrap();
    // Connections are taken in their order: this host has it once the next one is answered.
    assert_eq!(host.client().get("/livez").await.status, 200);
    stream
}

/// Waits until it says so. It closes the connections that are idle, and may do so under a request.
async fn isnt_ready(host: &Host) {
    let asked = async {
        loop {
            let request = host.client().request(Method::GET, "/readyz");
            if let Ok(answer) = request.send().await
                && answer.status() == 503
            {
                return;
            }
        }
    };
    timeout(DEADLINE, asked).await.unwrap();
}

const HALF_A_BODY: &str = "POST /api/jobs HTTP/1.1\r\nhost: HOST\r\n\
    content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"name\": ";
const HALF_A_HEAD: &str = "GET /api/jobs HTTP/1.1\r\nhost: HO";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_stuck_is_cut_off_when_the_grace_period_is_over() {
    for request in [HALF_A_BODY, HALF_A_HEAD] {
        let mut host = Host::start(Setup::demo().set("SHUTDOWN_SECONDS", "1")).await;
        let _stream = stuck(&host, request).await;
        host.ask_to_end(false);
        let status = host.ends().await;
        assert_eq!(status.code(), Some(1), "{}", host.log());
        let said = host.said(CUT_OFF).await;
        assert!(said.contains("the grace period is over"), "{said}");
        assert!(said.contains("connections"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_told_twice_waits_for_nobody() {
    for by_hand in [false, true] {
        let mut host = Host::start(Setup::demo().set("SHUTDOWN_SECONDS", "3600")).await;
        let _stream = stuck(&host, HALF_A_BODY).await;
        host.ask_to_end(by_hand);
        host.said(SHUTS_DOWN).await;
        // It waits, answers, and isn't ready.
        isnt_ready(&host).await;
        host.ask_to_end(by_hand);
        let status = host.ends().await;
        assert_eq!(status.code(), Some(1), "{}", host.log());
        assert!(host.said(CUT_OFF).await.contains("told to end again"));
    }
}

/// A job whose agent works, and a transaction that keeps its row: nothing can be given back.
struct Kept {
    database: Database,
    id: String,
    host: Host,
    shared: Shared,
    setup: Setup,
    held: tests::harness::Held,
    _agents: Agents,
}

impl Kept {
    async fn new(parts: Parts, settings: &[(&str, &str)]) -> Self {
        let database = Database::new(parts).await;
        let (agents, shared) = (Agents::new(), Shared::new());
        let held = agents.hold("idea", "idea");
        let setup = shared
            .setup(Setup::agents(&agents))
            .set("DATABASE_URL", database.url())
            .pipeline("one", &one_phase("idea"));
        let with = |setup: Setup, (name, value): &(&str, &str)| setup.set(name, *value);
        let host = Host::start(settings.iter().fold(setup.clone(), with)).await;
        let id = submit(&host, "one").await;
        let mut kept = Self {
            database,
            id,
            host,
            shared,
            setup,
            held,
            _agents: agents,
        };
        kept.held.arrived().await;
        kept
    }

    async fn row(&self, id: &str) -> (String, i64) {
        let mut connection = self.database.connect().await;
        let row = sqlx::query("SELECT status, lease FROM jobs WHERE id = CAST($1 AS uuid)")
            .bind(id)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        (row.get(0), row.get(1))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_asked_to_end_takes_no_more_and_is_not_ready() {
    let test = "a_host_that_is_asked_to_end_takes_no_more_and_is_not_ready";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let mut kept = Kept::new(parts, &[("LEASE_SECONDS", "60")]).await;
    let mut connection = kept.database.connect().await;
    let mut lock = connection.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM jobs FOR UPDATE")
        .fetch_all(&mut *lock)
        .await
        .unwrap();
    assert_eq!(kept.host.client().get("/readyz").await.status, 200);
    kept.host.ask_to_end(false);
    kept.host.said(SHUTS_DOWN).await;
    isnt_ready(&kept.host).await;
    assert_eq!(kept.host.client().get("/livez").await.status, 200);
    // It still takes in what people send, and leaves it to others.
    let next = submit(&kept.host, "one").await;
    lock.rollback().await.unwrap();
    let status = kept.host.ends().await;
    assert!(status.success(), "{status}\n{}", kept.host.log());
    assert_eq!(kept.row(&kept.id).await.0, "queued");
    assert_eq!(kept.row(&next).await, ("queued".to_owned(), 0));
    kept.host.restart().await;
    kept.held.let_on().await;
    kept.host.client().succeeded(&kept.id).await;
    kept.held.arrived().await;
    kept.held.let_on().await;
    kept.host.client().succeeded(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cant_be_given_back_in_time_is_taken_over() {
    let test = "what_cant_be_given_back_in_time_is_taken_over";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let settings = [("LEASE_SECONDS", "4"), ("SHUTDOWN_SECONDS", "1")];
    let mut kept = Kept::new(parts, &settings).await;
    let mut connection = kept.database.connect().await;
    let mut lock = connection.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM jobs FOR UPDATE")
        .fetch_all(&mut *lock)
        .await
        .unwrap();
    kept.host.ask_to_end(false);
    let status = kept.host.ends().await;
    assert_eq!(status.code(), Some(1), "{}", kept.host.log());
    let said = kept.host.said(CUT_OFF).await;
    assert!(said.contains("1 jobs"), "{said}");
    // The server would do what the host has asked for, though nobody hears the answer any more.
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(cut).fetch_all(&mut *lock).await.unwrap();
    let gone = "SELECT count(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let ended = async {
        while sqlx::query_scalar::<_, i64>(gone)
            .fetch_one(&mut *lock)
            .await
            .unwrap()
            > 0
        {
            sqlx::query("SELECT pg_stat_clear_snapshot()")
                .execute(&mut *lock)
                .await
                .unwrap();
        }
    };
    timeout(DEADLINE, ended).await.unwrap();
    lock.rollback().await.unwrap();
    assert_eq!(kept.row(&kept.id).await, ("running".to_owned(), 1));
    let setup = kept.setup.clone().set("LEASE_SECONDS", "4");
    let heir = kept.host.beside(setup).await;
    let resumed = |event: &Value| event["type"] == "job.resumed";
    let resumed = heir.client().event(&kept.id, "resumed", resumed).await;
    assert_eq!(resumed["data"]["rescued"], true);
    kept.held.let_on().await;
    let job = heir.client().succeeded(&kept.id).await;
    let task = &job["phases"][0]["attempts"][0]["tasks"][0];
    assert_eq!(task["run"], 1, "its agent was adopted: {job:#}");
    drop(heir);
    assert!(kept.shared.run_folders().is_empty());
}
