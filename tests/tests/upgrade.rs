//! Two versions side by side while one replaces the other: the next one's schema and rows are
//! written by hand, as there is no program of it yet, and hosts of this one meet them. What a
//! store makes of each is in its own suite.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use pipeline::Digest;
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use tests::harness::{Agents, Database, Held, Host, Part, Parts, Setup, Shared};

const NEXT: &str = include_str!("../next/postgres.sql");

const PIPELINE: &str = "name = \"one\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\n";

/// Two hosts of this version, and a job whose agent works.
struct Bed {
    database: Database,
    agents: Agents,
    held: Held,
    shared: Shared,
    hosts: [Host; 2],
    id: String,
}

impl Bed {
    async fn new(parts: Parts) -> Self {
        let database = Database::new(parts).await;
        let (agents, shared) = (Agents::new(), Shared::new());
        let mut held = agents.hold("idea", "idea");
        let setup = shared
            .setup(Setup::agents(&agents))
            .set("DATABASE_URL", database.url())
            .set("LEASE_SECONDS", "3")
            .set("POLL_INTERVAL", "200")
            .set("GANTRY_ORPHAN_MS", "300")
            .pipeline("one", PIPELINE);
        let host = Host::start(setup.clone()).await;
        let other = host.beside(setup).await;
        let id = submit(&host).await;
        held.arrived().await;
        Self {
            database,
            agents,
            held,
            shared,
            hosts: [host, other],
            id,
        }
    }

    /// Both hosts give back what they hold, and are gone.
    async fn rest(&mut self) {
        for host in &mut self.hosts {
            assert!(host.terminate().await.success());
        }
    }

    async fn go_on(&mut self) {
        for host in &mut self.hosts {
            host.restart().await;
        }
    }

    /// As the next version writes it.
    async fn rewrite(&self, id: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut connection = self.database.connect().await;
        let mut body = body(&mut connection, id).await;
        change(&mut body);
        let text = body.to_string();
        let written = sqlx::query("UPDATE jobs SET body = $2 WHERE id = $1")
            .bind(number(id))
            .bind(&text)
            .execute(&mut connection)
            .await;
        assert_eq!(written.unwrap().rows_affected(), 1);
        text
    }

    async fn body(&self, id: &str) -> Value {
        body(&mut self.database.connect().await, id).await
    }

    async fn run(&self, sql: &'static str) {
        let mut connection = self.database.connect().await;
        let done = sqlx::raw_sql(sql).execute(&mut connection).await;
        done.unwrap();
    }
}

async fn submit(host: &Host) -> String {
    let body = json!({ "name": "a game about a ferry", "pipeline": "one" });
    host.client().submit_with(&body).await
}

async fn body(connection: &mut PgConnection, id: &str) -> Value {
    let body = sqlx::query_scalar("SELECT body FROM jobs WHERE id = $1").bind(number(id));
    let body: String = body.fetch_one(connection).await.unwrap();
    serde_json::from_str(&body).unwrap()
}

fn number(id: &str) -> Uuid {
    id.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn older_hosts_work_on_in_a_newer_schema_and_keep_what_they_dont_know() {
    let test = "older_hosts_work_on_in_a_newer_schema_and_keep_what_they_dont_know";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let mut bed = Bed::new(parts).await;
    // Under them, as they are at work.
    bed.run(NEXT).await;
    assert!(bed.hosts[1].terminate().await.success());
    bed.hosts[1].restart().await;
    let meanwhile = submit(&bed.hosts[1]).await;
    bed.rest().await;
    // A newer host has held the job, and has given it back.
    bed.rewrite(&bed.id, |body| {
        body["colour"] = json!({ "hue": 3 });
        body["phases"][0]["owner"] = json!("ada");
        body["phases"][0]["attempts"][0]["tasks"][0]["mood"] = json!("calm");
    })
    .await;
    bed.run(
        "WITH told AS (UPDATE jobs SET event_seq = event_seq + 1 RETURNING id, event_seq) \
         INSERT INTO events (job, seq, kind, at, data, origin) \
         SELECT id, event_seq, 'job.coloured', 1, '{}', 'next' FROM told",
    )
    .await;
    bed.run("INSERT INTO pipelines (name, entry) VALUES ('lanes', '{\"ready\":{\"lanes\":3}}')")
        .await;
    bed.go_on().await;
    // Both jobs' agents.
    bed.held.let_on().await;
    bed.held.let_on().await;
    for id in [&bed.id, &meanwhile] {
        let job = bed.hosts[0].client().succeeded(id).await;
        let task = &job["phases"][0]["attempts"][0]["tasks"][0];
        assert_eq!(task["run"], 1, "{job:#}");
    }
    let body = bed.body(&bed.id).await;
    assert_eq!(body["status"], "succeeded");
    assert_eq!(body["colour"], json!({ "hue": 3 }));
    assert_eq!(body["phases"][0]["owner"], "ada");
    let task = &body["phases"][0]["attempts"][0]["tasks"][0];
    assert_eq!(
        (&task["mood"], &task["status"]),
        (&json!("calm"), &json!("done"))
    );
    let mut connection = bed.database.connect().await;
    let pipelines: i64 = sqlx::query_scalar("SELECT count(*) FROM pipelines WHERE name = 'lanes'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(pipelines, 1);
    assert!(bed.shared.run_folders().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_host_cant_read_it_leaves_as_it_is() {
    let test = "what_an_older_host_cant_read_it_leaves_as_it_is";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let mut bed = Bed::new(parts).await;
    bed.rest().await;
    let before = bed.body(&bed.id).await;
    let dream = bed
        .rewrite(&bed.id, |body| {
            body["at"]["stage"] = json!({ "name": "dream", "task": 0 });
        })
        .await;
    bed.go_on().await;
    let left = "a job is left to hosts that can read it";
    let [one, two] = bed.hosts.each_ref().map(|host| host.said(left));
    tokio::select! { _ = one => {} _ = two => {} }
    // Others go on.
    bed.agents.free("idea", "idea");
    let other = submit(&bed.hosts[1]).await;
    bed.hosts[1].client().succeeded(&other).await;
    assert_eq!(bed.body(&bed.id).await.to_string(), dream);
    // Its agent has ended meanwhile, and nobody has taken that for an orphan.
    bed.held.let_on().await;
    bed.rewrite(&bed.id, |body| *body = before).await;
    bed.run("UPDATE jobs SET wait_until = 0 WHERE status = 'waiting'")
        .await;
    let job = bed.hosts[0].client().succeeded(&bed.id).await;
    let task = &job["phases"][0]["attempts"][0]["tasks"][0];
    assert_eq!(task["run"], 1, "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_a_later_version_planned_wait_for_a_host_of_it() {
    let test = "tasks_that_a_later_version_planned_wait_for_a_host_of_it";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let mut bed = Bed::new(parts).await;
    bed.rest().await;
    let before = bed.body(&bed.id).await;
    let kept = before["phases"][0]["attempts"][0]["kept"].clone();
    let mut connection = bed.database.connect().await;
    let tasks: Vec<u8> = sqlx::query_scalar("SELECT bytes FROM blobs WHERE digest = $1")
        .bind(kept.as_str().unwrap())
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let mut tasks: Value = serde_json::from_slice(&tasks).unwrap();
    tasks[0]["options"]["colour"] = json!("red");
    let tasks = tasks.to_string().into_bytes();
    let digest = Digest::of(&tasks).0;
    sqlx::query("INSERT INTO blobs (digest, owner, bytes) VALUES ($1, $2, $3)")
        .bind(&digest)
        .bind(number(&bed.id))
        .bind(tasks)
        .execute(&mut connection)
        .await
        .unwrap();
    bed.rewrite(&bed.id, |body| {
        body["phases"][0]["attempts"][0]["kept"] = json!(digest);
    })
    .await;
    bed.go_on().await;
    let waits = |job: &Value| job["status"] == "waiting";
    let client = bed.hosts[0].client();
    let job = client.wait_for(&bed.id, "waiting", waits).await;
    assert_eq!(job["wait"]["reason"], "host", "{job:#}");
    bed.rewrite(&bed.id, |body| {
        body["phases"][0]["attempts"][0]["kept"] = kept;
    })
    .await;
    bed.run("UPDATE jobs SET wait_until = 0 WHERE status = 'waiting'")
        .await;
    bed.held.let_on().await;
    let job = bed.hosts[0].client().succeeded(&bed.id).await;
    let task = &job["phases"][0]["attempts"][0]["tasks"][0];
    assert_eq!(task["run"], 1, "{job:#}");
}
