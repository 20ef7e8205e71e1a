//! What keeps jobs alive through outages, sets them going again and clears up after them, seen
//! from outside. The rules themselves are `pipeline`'s and the store's matter.

use std::fs;

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
