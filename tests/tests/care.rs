//! What keeps jobs alive through outages, sets them going again and clears up after them, seen
//! from outside. The rules themselves are `pipeline`'s and the store's matter.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tests::harness::{Agents, Host, Setup, gantry};

/// An agent whose provider is away until there is a file `up`.
fn agents_of_a_provider() -> Agents {
    let work = format!(
        "if [ -f \"$(dirname \"$0\")/up\" ]; then {} __demo-agent; else\n\
         echo '{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\
         \"api_error_status\":529,\"result\":\"overloaded\"}}' >\"$OUT_DIR/agent.jsonl\"\n\
         false; fi",
        gantry().display()
    );
    Agents::running(&work)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_one_fact_and_not_a_failure_of_each_job() {
    let agents = agents_of_a_provider();
    let setup = Setup::agents(&agents)
        .set("PROVIDER_BREAKER", "2/2s")
        .set("MAX_CONCURRENT", "1");
    let host = Host::start(setup).await;
    let client = host.client();
    let mut jobs = Vec::new();
    for n in 0..6 {
        jobs.push(client.submit(&format!("a game about fog {n}")).await);
    }
    host.said("the provider is away").await;
    // The last one submitted comes last, and never gets as far as an agent.
    let last = &jobs[5];
    let waits = client
        .until(&format!("/api/jobs/{last}"), |job| {
            job["wait"]["reason"] == "provider"
        })
        .await;
    let message = waits["wait"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("127.0.0.1:9 fails every job since "),
        "{message}"
    );
    let away = client.get("/api/stats").await.json()["away"].clone();
    assert_eq!(away[0]["provider"], "127.0.0.1:9", "{away}");

    fs::write(agents.folder().join("up"), "").unwrap();
    for id in &jobs {
        client.succeeded(id).await;
    }
    host.said("the provider is back").await;
    assert_eq!(client.get("/api/stats").await.json()["away"], json!([]));
    let told = client.job(last).await;
    let task = &told["phases"][0]["attempts"][0]["tasks"][0];
    assert_eq!(task["run"], 1, "its agent was started once: {task}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_and_cancel_take_ids_or_a_filter() {
    let agents = Agents::running("[ -f \"$(dirname \"$0\")/up\" ] || exit 7");
    let host = Host::start(Setup::agents(&agents)).await;
    let mut ids = Vec::new();
    for name in ["a game about nothing", "a game about less"] {
        let job = host.client().submit(name).await;
        host.client().ended(&job).await;
        ids.push(job);
    }
    let both = host.run(&["retry", &ids[0], "--pipeline", "game"]).await;
    both.expect(1, "not by both");
    host.run(&["retry"]).await.expect(1, "every job");
    host.run(&["cancel", "--dry-run"])
        .await
        .expect(1, "every job");
    let would = ["retry", "--error-kind", "agent-failed", "--dry-run"];
    let would = host.run(&would).await;
    would.expect(0, "2 matched; nothing was done");
    would.expect(0, &ids[0]);
    let retried = host
        .run(&[
            "retry",
            "--error-kind",
            "agent-failed",
            "--q",
            "less",
            "--json",
        ])
        .await
        .json();
    assert_eq!(
        (&retried["matched"], &retried["ids"][0]),
        (&json!(1), &json!(ids[1]))
    );
    host.client().ended(&ids[1]).await;
    let said = host
        .run(&[
            "retry",
            &ids[0],
            &ids[1],
            "--feedback",
            "less",
            "--param",
            "size=1",
            "--json",
        ])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in said.out.lines() {
        let job: Value = serde_json::from_str(line).unwrap();
        assert_eq!(job["params"]["size"], 1);
    }
    for id in &ids {
        host.client().ended(id).await;
    }
    let none = host.run(&["cancel", "--pipeline", "game"]).await;
    none.expect(0, "0 matched");
}

/// An agent that fails in `design` until there is a file `up`.
fn agents_that_fail_late() -> Agents {
    let work = format!(
        "[ \"$PHASE\" != design ] || [ -f \"$(dirname \"$0\")/up\" ] || exit 7\n{} __demo-agent",
        gantry().display()
    );
    Agents::running(&work)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_was_cleared_away_is_not_taken_for_one_that_is_there() {
    let agents = agents_that_fail_late();
    let setup = Setup::agents(&agents).set("RETAIN_WORKSPACES_BYTES", "1B");
    let mut host = Host::start(setup).await;
    let id = host.client().submit("a game about fog").await;
    let failed = host.client().ended(&id).await;
    assert_eq!(failed["phase"], "design", "{failed}");
    let workspace = host.data().join("workspaces").join(&id);
    assert!(workspace.is_dir());
    let would = host.run(&["reap", "--dry-run"]).await;
    would.expect(0, "RETAIN_WORKSPACES_BYTES");
    would.expect(0, &id);
    let never = [
        "reap",
        "--dry-run",
        "--set",
        "RETAIN_WORKSPACES_BYTES=never",
    ];
    host.run(&never).await.expect(0, "nothing would be removed");
    host.run(&["reap"]).await.expect(1, "by themselves");
    assert!(workspace.is_dir());
    host.terminate().await;
    host.restart().await;
    host.said("a workspace was removed").await;
    assert!(!workspace.exists());

    host.run(&["retry", &id])
        .await
        .expect(1, "send the job back with feedback");
    let path = format!("/api/jobs/{id}/retry");
    let refused = host.client().post(&path, &json!({})).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (409, &json!("workspace-gone"))
    );
    let all = json!({ "error_kind": "agent-failed" });
    let all = host.client().post("/api/jobs/retry", &all).await.json();
    assert_eq!(all["skipped"][0]["id"], json!(id), "{all}");

    fs::write(agents.folder().join("up"), "").unwrap();
    let feedback = json!({ "text": "make it denser" });
    let path = format!("/api/jobs/{id}/feedback");
    assert_eq!(host.client().post(&path, &feedback).await.status, 202);
    host.client().succeeded(&id).await;
    let logs = host.client().logs(&id).await;
    assert!(
        logs.iter()
            .any(|line| line.contains("begins with an empty one")),
        "{logs:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_job_goes_and_one_with_a_live_site_stays() {
    let agents = agents_that_fail_late();
    let setup = Setup::agents(&agents)
        .set("RETAIN_JOBS", "1s")
        .set("RETAIN_LOGS", "1s")
        .set("RETAIN_EVENTS", "1s");
    let mut host = Host::start(setup).await;
    let failed = host.client().submit("a game about nothing").await;
    host.client().ended(&failed).await;
    fs::write(agents.folder().join("up"), "").unwrap();
    let live = host.client().submit("a game about fog").await;
    let job = host.client().succeeded(&live).await;
    let told = host.client().events(&live).await.len();
    assert!(told > 1);
    host.terminate().await;
    // It is the age itself that is waited for.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    host.restart().await;
    host.said("a job was deleted for its age").await;
    host.said("rows were removed for their age").await;
    let gone = host.client().get(&format!("/api/jobs/{failed}")).await;
    assert_eq!(gone.status, 404);
    host.client()
        .until(&format!("/api/jobs/{live}/logs"), |page| {
            page["items"] == json!([])
        })
        .await;
    let slug = job["site"]["slug"].as_str().unwrap();
    assert_eq!(host.client().site(slug, "/").await.status, 200);
    // Its stream ends all the same, with the event that says how.
    let stream = format!("/api/jobs/{live}/events?until=final");
    let left = host.client().get(&stream).await.text();
    assert!(left.contains("job.succeeded"), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_sent_back_where_a_phase_resets_its_workspace() {
    let game = include_str!("../../host/game.toml");
    let again = game
        .replace("name = \"game\"", "name = \"again\"")
        .replace("attempts = 3", "attempts = 3\nreset = true");
    let host = Host::start(Setup::demo().pipeline("again", &again)).await;
    let client = host.client();
    client
        .until("/api/pipelines", |page| {
            page.to_string().contains("\"again\"")
        })
        .await;
    let body = json!({ "name": "a game about fog", "pipeline": "again" });
    let id = client.submit_with(&body).await;
    client.succeeded(&id).await;
    let feedback = json!({ "text": "make it denser" });
    let sent = client
        .post(&format!("/api/jobs/{id}/feedback"), &feedback)
        .await;
    assert_eq!(sent.status, 202);
    // It is queued again by now, so this waits for the second end.
    let job = client.succeeded(&id).await;
    assert_eq!(job["revision"], 2);
}
