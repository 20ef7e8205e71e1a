//! Acts on jobs that a filter chooses, and a retry that says what to change.

use crate::setup::Host;
use pipeline::{Failure, FailureKind, JobId};
use serde_json::{Value, json};

/// A job that failed for this reason.
async fn failed(host: &Host, name: &str, kind: FailureKind) -> JobId {
    let id = host.submit(name).await;
    host.claim().await.fail(Failure::new(kind, "why")).await;
    id
}

fn ids(answer: &Value) -> Vec<JobId> {
    let ids = answer["ids"].as_array().unwrap();
    ids.iter()
        .map(|id| id.as_str().unwrap().parse().unwrap())
        .collect()
}

async fn status(host: &Host, id: JobId) -> String {
    let job = host.get(&format!("/api/jobs/{id}")).await.json();
    job["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_retry_says_what_to_change_and_is_checked_as_at_submit() {
    let host = Host::start().await;
    let id = failed(&host, "a", FailureKind::Rejected).await;
    let path = format!("/api/jobs/{id}/retry");
    for (body, code, said) in [
        (
            json!({ "feedback": " " }),
            "invalid-body",
            "feedback is empty",
        ),
        (
            json!({ "feedback": "x".repeat(16_385) }),
            "invalid-body",
            "16385",
        ),
        (json!({ "text": "a" }), "invalid-body", "text"),
        (
            json!({ "params": { "x": "y".repeat(70_000) } }),
            "invalid-job",
            "params",
        ),
    ] {
        let answer = host.post(&path, &body).await;
        assert_eq!(answer.problem(), (422, code.to_owned()), "{said}");
        assert!(answer.detail().contains(said), "{}", answer.detail());
    }
    assert_eq!(status(&host, id).await, "failed");
    let body = json!({ "feedback": "smaller", "params": { "size": 1 } });
    let job = host.post(&path, &body).await;
    assert_eq!(job.status, 202);
    assert_eq!(job.json()["params"], json!({ "size": 1 }));
    let held = host.claim().await;
    let told = &held.job.attempt().unwrap().feedback;
    assert_eq!(told.as_deref(), Some("smaller"));
}

#[tokio::test]
async fn a_filter_retries_what_it_chooses_and_nothing_else() {
    let host = Host::start().await;
    let mut provider = Vec::new();
    for n in 0..5 {
        provider.push(failed(&host, &format!("fog {n}"), FailureKind::Provider).await);
    }
    let rejected = failed(&host, "fog 9", FailureKind::Rejected).await;
    let filter = json!({ "error_kind": "provider", "q": "FOG", "dry_run": true });
    let would = host.post("/api/jobs/retry", &filter).await.json();
    assert_eq!(
        (&would["matched"], &would["done"], &would["dry_run"]),
        (&json!(5), &json!(0), &json!(true))
    );
    provider.reverse();
    assert_eq!(ids(&would), provider, "newest first");
    assert_eq!(status(&host, provider[0]).await, "failed");

    // In pieces of two, each going on where the last one stopped.
    let mut filter = json!({
        "error_kind": "provider", "limit": 2, "feedback": "again", "params": { "n": 1 },
    });
    let mut done = Vec::new();
    loop {
        let answer = host.post("/api/jobs/retry", &filter).await.json();
        assert_eq!(answer["skipped"], json!([]));
        assert_eq!(answer["done"], answer["matched"]);
        done.extend(ids(&answer));
        match &answer["next_cursor"] {
            Value::Null => break,
            cursor => filter["cursor"] = cursor.clone(),
        }
    }
    assert_eq!(done, provider);
    for id in provider {
        let job = host.get(&format!("/api/jobs/{id}")).await.json();
        assert_eq!(
            (&job["status"], &job["params"]["n"]),
            (&json!("queued"), &json!(1))
        );
    }
    assert_eq!(status(&host, rejected).await, "failed");
}

#[tokio::test]
async fn a_filter_cancels_what_rests_and_what_runs() {
    let host = Host::start().await;
    let running = host.submit("one").await;
    let _held = host.claim().await;
    let queued = host.submit("two").await;
    let later = json!({ "name": "three", "run_at": "2030-01-31T08:00:00Z", "group": "team" });
    let waiting = host.post("/api/jobs", &later).await.json();
    let waiting: JobId = waiting["id"].as_str().unwrap().parse().unwrap();
    let none = json!({ "before": "2020-01-01T00:00:00Z" });
    let none = host.post("/api/jobs/cancel", &none).await.json();
    assert_eq!(none["matched"], 0);
    let team = host
        .post("/api/jobs/cancel", json!({ "group": "team" }))
        .await;
    assert_eq!(ids(&team.json()), [waiting]);
    assert_eq!(status(&host, waiting).await, "cancelled");
    let mut all = json!({ "after": "2020-01-01T00:00:00Z", "limit": 1 });
    let first = host.post("/api/jobs/cancel", &all).await.json();
    assert_eq!(ids(&first), [queued]);
    all["cursor"] = first["next_cursor"].clone();
    let second = host.post("/api/jobs/cancel", &all).await.json();
    assert_eq!(ids(&second), [running]);
    let job = host.get(&format!("/api/jobs/{running}")).await.json();
    assert_eq!(
        (&job["status"], &job["cancel_requested"]),
        (&json!("running"), &json!(true))
    );
}

#[tokio::test]
async fn a_filter_that_says_nothing_or_nonsense_is_refused() {
    let host = Host::start().await;
    for (verb, body, said) in [
        ("retry", json!({}), "the filter is empty"),
        (
            "retry",
            json!({ "limit": 5, "q": "" }),
            "the filter is empty",
        ),
        ("retry", json!({ "status": "queued" }), "failed, cancelled"),
        (
            "cancel",
            json!({ "status": "failed" }),
            "queued, waiting, running",
        ),
        ("retry", json!({ "error_kind": "odd" }), "not-accepted"),
        ("cancel", json!({ "error_kind": "provider" }), "for retry"),
        (
            "cancel",
            json!({ "group": "a", "feedback": "x" }),
            "takes no",
        ),
        (
            "retry",
            json!({ "group": "a", "limit": 1_001 }),
            "1 to 1000",
        ),
        ("retry", json!({ "before": "noon" }), "RFC 3339"),
        (
            "retry",
            json!({ "group": "a", "cursor": "x" }),
            "last answer",
        ),
        ("retry", json!({ "gruop": "a" }), "gruop"),
        ("retry", json!({ "q": "a\u{0}" }), "NUL"),
    ] {
        let answer = host.post(&format!("/api/jobs/{verb}"), &body).await;
        assert_eq!(answer.problem(), (422, "invalid-body".to_owned()), "{body}");
        assert!(
            answer.detail().contains(said),
            "{body}: {}",
            answer.detail()
        );
    }
}

#[tokio::test]
async fn a_job_that_cant_take_it_is_skipped_with_the_reason() {
    let host = Host::start().await;
    let big = failed(&host, "big", FailureKind::Rejected).await;
    let params = json!({ "params": { "x": "y".repeat(40_000) } });
    assert_eq!(
        host.post(&format!("/api/jobs/{big}/retry"), &params)
            .await
            .status,
        202
    );
    host.claim()
        .await
        .fail(Failure::new(FailureKind::Rejected, "no"))
        .await;
    let small = failed(&host, "small", FailureKind::Rejected).await;
    let filter = json!({
        "error_kind": "rejected", "params": { "z": "y".repeat(30_000) },
    });
    let answer = host.post("/api/jobs/retry", &filter).await.json();
    assert_eq!(
        (&answer["matched"], &answer["done"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(ids(&answer), [small]);
    assert_eq!(answer["skipped"][0]["id"], json!(big));
    let why = answer["skipped"][0]["why"].as_str().unwrap();
    assert!(why.contains("params"), "{why}");
    assert_eq!(status(&host, big).await, "failed");
}
