//! A job's way through the API: submitted, listed, sent on, deleted. How it runs is the driver's.

use crate::setup::{Host, full, now};
use axum::http::Method;
use pipeline::{Failure, FailureKind, Input, PipelineSpec};
use serde_json::{Value, json};
use std::time::Duration;
use store::{DriverStore as _, PipelineEntry};

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_submitted_job_is_there_in_the_contracts_form() {
    let host = Host::start().await;
    let at = now().after(Duration::from_secs(3_600)).to_string();
    let body = json!({
        "name": "Lighthouse", "pipeline": "game", "params": { "genre": "idle" },
        "priority": 5, "run_at": at, "group": "team",
    });
    let answer = host.post("/api/jobs", &body).await;
    assert_eq!(answer.status, 201);
    let job = answer.json();
    let id = job["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/api/jobs/{id}"));
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
    for (key, value) in [
        ("name", json!("Lighthouse")),
        ("pipeline", json!("game")),
        ("params", json!({ "genre": "idle" })),
        ("priority", json!(5)),
        ("run_at", json!(at)),
        ("group", json!("team")),
        ("revision", json!(1)),
        ("status", json!("waiting")),
        ("phase", Value::Null),
        ("stage", Value::Null),
        ("attempt", Value::Null),
        ("cancel_requested", json!(false)),
        (
            "phases",
            json!([{ "id": "idea", "status": "pending", "attempts": [] }]),
        ),
        ("site", Value::Null),
        ("error", Value::Null),
        ("cost_usd", json!("0.00")),
        ("started_at", Value::Null),
        ("finished_at", Value::Null),
    ] {
        assert_eq!(job[key], value, "{key}");
    }
    assert_eq!(job["wait"]["reason"], "run-at");
    assert_eq!(job["wait"]["until"], at);
    let mut read = host.get(&format!("/api/jobs/{id}")).await.json();
    // Who asks for one job is told of its money as well.
    assert!(read.as_object_mut().unwrap().remove("budget").is_some());
    read["phases"][0].as_object_mut().unwrap().remove("budget");
    assert_eq!(read, job);
}

#[tokio::test]
async fn a_new_job_has_its_pipeline_as_it_is_by_then() {
    let host = Host::start().await;
    let phases = async |pipeline: &str| {
        let body = json!({ "name": "fog", "pipeline": pipeline });
        let answer = host.post("/api/jobs", &body).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        answer.json()["phases"].as_array().unwrap().len()
    };
    assert_eq!((phases("game").await, phases("game").await), (1, 1));
    let phase = |id: &str| format!("[[phase]]\nid = \"{id}\"\nplugin = \"idea\"\n");
    let spec = |name: &str| {
        let text = format!("name = \"{name}\"\n{}{}", phase("idea"), phase("build"));
        PipelineEntry::Ready(PipelineSpec::parse(&text).unwrap())
    };
    host.store.put_pipelines(&[spec("game")]).await.unwrap();
    assert_eq!(phases("game").await, 2);
    host.store
        .put_pipelines(&[spec("game"), spec("new")])
        .await
        .unwrap();
    assert_eq!(phases("new").await, 2);
    host.store.put_pipelines(&[spec("new")]).await.unwrap();
    let gone = json!({ "name": "fog", "pipeline": "game" });
    let answer = host.post("/api/jobs", &gone).await;
    assert_eq!(answer.problem(), refused(422, "unknown-pipeline"));
}

#[tokio::test]
async fn the_same_key_gives_the_same_job() {
    let host = Host::start().await;
    let send = async |key: &str, body: Value| {
        let request = host
            .request(Method::POST, "/api/jobs")
            .header("content-type", "application/json");
        let request = request
            .header("idempotency-key", key)
            .body(full(body.to_string()))
            .unwrap();
        host.send(request).await
    };
    let first = send("k1", json!({ "name": "a" })).await;
    assert_eq!(
        (first.status.as_u16(), first.header("idempotent-replayed")),
        (201, "")
    );
    let again = send("k1", json!({ "name": "a" })).await;
    assert_eq!(
        (again.status.as_u16(), again.header("idempotent-replayed")),
        (201, "true")
    );
    assert_eq!(again.json(), first.json());
    assert_eq!(again.header("location"), first.header("location"));
    let other = send("k1", json!({ "name": "b" })).await;
    assert_eq!(other.problem(), refused(422, "idempotency-key-reused"));
    let longest = "k".repeat(255);
    assert_eq!(send(&longest, json!({ "name": "c" })).await.status, 201);
    for key in ["", "a b", &"k".repeat(256)] {
        let answer = send(key, json!({ "name": "a" })).await;
        assert_eq!(
            answer.problem(),
            refused(400, "bad-idempotency-key"),
            "{key}"
        );
    }
    assert_eq!(
        host.get("/api/jobs").await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn pages_hold_every_job_once_newest_first() {
    let host = Host::start().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(host.submit(&format!("Job {n}")).await.to_string());
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut path = "/api/jobs?limit=2".to_owned();
    loop {
        let page = host.get(&path).await.json();
        let items = page["items"].as_array().unwrap();
        seen.extend(
            items
                .iter()
                .map(|job| job["id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/jobs?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ids);
    let names = async |query: &str| {
        let page = host.get(&format!("/api/jobs?{query}")).await.json();
        page["items"].as_array().unwrap().len()
    };
    assert_eq!(names("q=JOB%203").await, 1);
    assert_eq!(names("q=").await, 5);
    assert_eq!(names("status=queued&pipeline=game").await, 5);
    assert_eq!(names("status=failed").await, 0);
    assert_eq!(names("group=none").await, 0);
}

#[tokio::test]
async fn acts_answer_202_where_the_job_can_take_them() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    let act = async |what: &str| {
        let body = match what {
            "feedback" => json!({ "text": "bigger" }).to_string(),
            _ => String::new(),
        };
        host.post(&format!("/api/jobs/{id}/{what}"), body).await
    };
    assert_eq!(act("retry").await.problem(), refused(409, "wrong-state"));
    assert_eq!(act("feedback").await.problem(), refused(409, "wrong-state"));
    let mut held = host.claim().await;
    assert_eq!(
        host.delete(&format!("/api/jobs/{id}")).await.problem(),
        refused(409, "job-running")
    );
    let running = host.get(&format!("/api/jobs/{id}")).await.json();
    assert_eq!(
        (&running["phase"], &running["stage"], &running["attempt"]),
        (&json!("idea"), &json!("prompt"), &json!(1))
    );
    let asked = act("cancel").await;
    assert_eq!(asked.status, 202);
    assert_eq!(
        (&asked.json()["status"], &asked.json()["cancel_requested"]),
        (&json!("running"), &json!(true))
    );
    held.give(Input::Cancel).await;
    assert_eq!(act("cancel").await.problem(), refused(409, "wrong-state"));

    let back = act("feedback").await;
    assert_eq!(back.status, 202);
    assert_eq!(
        (&back.json()["status"], &back.json()["revision"]),
        (&json!("queued"), &json!(2))
    );
    host.claim()
        .await
        .give(Input::Broken(Failure::new(FailureKind::Internal, "x")))
        .await;
    let failed = host.get(&format!("/api/jobs/{id}")).await.json();
    assert_eq!(
        failed["error"],
        json!({ "kind": "internal", "message": "x" })
    );
    assert_eq!(act("retry").await.json()["status"], "queued");
    assert_eq!(act("cancel").await.json()["status"], "cancelled");

    let missing = "/api/jobs/0198c0de-0000-7000-8000-000000000001";
    assert_eq!(
        host.post(&format!("{missing}/cancel"), "").await.problem(),
        refused(404, "not-found")
    );
    assert_eq!(host.delete(&format!("/api/jobs/{id}")).await.status, 204);
    assert_eq!(
        host.get(&format!("/api/jobs/{id}")).await.problem(),
        refused(404, "not-found")
    );
    assert_eq!(
        host.delete(&format!("/api/jobs/{id}")).await.problem(),
        refused(404, "not-found")
    );
}

#[tokio::test]
async fn feedback_is_checked_before_the_job_is() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    let path = format!("/api/jobs/{id}/feedback");
    for body in [
        json!({}),
        json!({ "text": " " }),
        json!({ "text": "x".repeat(16_385) }),
        json!({ "text": "a", "b": 1 }),
    ] {
        assert_eq!(
            host.post(&path, &body).await.problem(),
            refused(422, "invalid-body")
        );
    }
    assert_eq!(
        host.post(&path, json!({ "text": "x".repeat(16_384) }))
            .await
            .problem(),
        refused(409, "wrong-state")
    );
}

#[tokio::test]
async fn files_are_attachments() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    assert_eq!(
        host.get(&format!("/api/jobs/{id}/files")).await.problem(),
        refused(404, "not-found")
    );
    let folder = host.folder.join(id.to_string());
    std::fs::create_dir(&folder).unwrap();
    for name in ["a b.html", "b.txt", "c.txt"] {
        std::fs::write(folder.join(name), "<script>").unwrap();
    }
    let page = host
        .get(&format!("/api/jobs/{id}/files?limit=2"))
        .await
        .json();
    assert_eq!(
        page["items"],
        json!([{ "path": "a b.html", "size": 8 }, { "path": "b.txt", "size": 8 }])
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = host
        .get(&format!("/api/jobs/{id}/files?after={cursor}"))
        .await
        .json();
    assert_eq!(
        rest,
        json!({ "items": [{ "path": "c.txt", "size": 8 }], "next_cursor": null })
    );

    let file = host.get(&format!("/api/jobs/{id}/files/a%20b.html")).await;
    assert_eq!(
        (file.status.as_u16(), &file.body[..]),
        (200, &b"<script>"[..])
    );
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        (
            "content-disposition",
            "attachment; filename=\"a_b.html\"; filename*=UTF-8''a%20b.html",
        ),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox"),
        ("content-length", "8"),
    ] {
        assert_eq!(file.header(name), value, "{name}");
    }
    for path in [
        "..%2f..%2fetc%2fpasswd",
        "../store.db",
        "%2fetc/passwd",
        "a%00b",
        "%2e%2e/store.db",
    ] {
        let answer = host.get(&format!("/api/jobs/{id}/files/{path}")).await;
        assert_eq!(answer.problem(), refused(400, "bad-path"), "{path}");
    }
}
