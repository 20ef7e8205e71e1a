//! Cancel wherever a job stands: in a plugin's call, with an agent that won't end, in a pause, with
//! a host that stands still. The boundaries of a cancel, where hosts die, are in `crash_points`.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::path::PathBuf;

use serde_json::{Value, json};
use tests::harness::{
    Agents, Client, DEADLINE, Database, Host, Part, Parts, Setup, Shared, Timeline, in_a_year,
};

const ENDLESS: &str = "name = \"endless\"\n[limits]\ncall_time = \"60s\"\n\
    [[phase]]\nid = \"only\"\nplugin = \"loops\"\n[deploy]\nplugin = \"loops\"\n";

async fn cancel(client: &Client, id: &str) {
    let answer = client
        .post(&format!("/api/jobs/{id}/cancel"), &json!({}))
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// Waits for the end that was asked for, which is told once.
async fn is_cancelled(client: &Client, id: &str) -> Value {
    let job = client.ended(id).await;
    assert_eq!(job["status"], "cancelled", "{job:#}");
    assert_eq!(job["error"]["kind"], "cancelled", "{job:#}");
    assert_eq!(job["site"], Value::Null, "{job:#}");
    let timeline = Timeline::of(&client.events(id).await);
    assert_eq!(timeline.of_type("job.cancelled").len(), 1);
    assert_eq!(timeline.words().last().unwrap(), "job.cancelled");
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_the_middle_of_a_plugins_call_is_cancelled() {
    let test = "a_job_in_the_middle_of_a_plugins_call_is_cancelled";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    let loops = PathBuf::from(parts.place(Part::Guests)).join("loops.wasm");
    let setup = Setup::demo()
        .plugin("loops.wasm", loops)
        .pipeline("endless", ENDLESS);
    let host = Host::start(setup).await;
    let client = host.client();
    for stage in ["prompt", "validate", "deploy"] {
        let body = json!({"name": stage, "pipeline": "endless", "params": {"in": stage}});
        let id = client.submit_with(&body).await;
        // Asked again and again: no event says that a plugin is asked.
        let path = format!("/api/jobs/{id}");
        client.until(&path, |job| job["stage"] == stage).await;
        cancel(client, &id).await;
        is_cancelled(client, &id).await;
        // The call itself hasn't ended: a fault of it would be counted.
        let plugins = client.get("/api/plugins").await.json();
        let served = plugins["items"].as_array().unwrap();
        let loops = served.iter().find(|it| it["name"] == "loops").unwrap();
        assert_eq!(loops["faults"], 0, "{loops:#}");
    }
    let innocent = client.submit("a game about patience").await;
    client.succeeded(&innocent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ignores_the_signal_is_killed() {
    let agents = Agents::running("trap '' TERM; while :; do sleep 0.1; done");
    let mut held = agents.hold("idea", "idea");
    let host = Host::start(Setup::agents(&agents)).await;
    let client = host.client();
    let id = client.submit("a game about deafness").await;
    let agent = held.arrived().await;
    held.let_on().await;
    cancel(client, &id).await;
    is_cancelled(client, &id).await;
    agent.ended(DEADLINE).await;
    assert!(host.run_folders().is_empty(), "{:?}", host.run_folders());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_is_cancelled_at_once() {
    let agents = Agents::running("exit 137");
    let host = Host::start(Setup::agents(&agents)).await;
    let client = host.client();
    let later = json!({"name": "later", "run_at": in_a_year()});
    let later = client.submit_with(&later).await;
    // Its agent is killed by somebody each time: it pauses, longer and longer.
    let pauses = client.submit("a game about patience").await;
    for id in [&later, &pauses] {
        client
            .wait_for(id, "waiting", |job| job["status"] == "waiting")
            .await;
        cancel(client, id).await;
        is_cancelled(client, id).await;
    }
}

/// A job is cancelled by the host that doesn't have it: through its holder, and, where that one
/// stands still, in its place.
#[tokio::test(flavor = "multi_thread")]
async fn another_host_cancels_and_also_for_a_holder_that_stands_still() {
    let test = "another_host_cancels_and_also_for_a_holder_that_stands_still";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let database = Database::new(parts).await;
    let (agents, shared) = (Agents::new(), Shared::new());
    let setup = shared
        .setup(Setup::agents(&agents))
        .set("DATABASE_URL", database.url())
        .set("LEASE_SECONDS", "3");
    let holder = Host::start(setup.clone()).await;
    for stands_still in [false, true] {
        let mut held = agents.hold("idea", "idea");
        let id = holder.client().submit("a game about two").await;
        let agent = held.arrived().await;
        let other = holder.beside(setup.clone()).await;
        holder.pause(stands_still);
        cancel(other.client(), &id).await;
        is_cancelled(other.client(), &id).await;
        agent.ended(DEADLINE).await;
        holder.pause(false);
        agents.free("idea", "idea");
    }
    drop(holder);
    assert!(shared.processes().is_empty(), "{:?}", shared.processes());
    let folders = shared.run_folders();
    assert!(folders.is_empty(), "{folders:?}");
}
