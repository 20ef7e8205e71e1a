//! What the hosts say, as the API gives it: plugins, pipelines, stats, health, numbers.

use crate::setup::{Host, now};
use pipeline::{Digest, HostId, PluginReport, PluginState, RefusedFile};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{DriverStore as _, HostReport};

fn plugin(calls: u64, state: PluginState) -> PluginReport {
    PluginReport {
        name: "idea".into(),
        version: "1.0.0".into(),
        digest: Digest::of(b"idea"),
        summary: "Ideas".into(),
        kind: "component".into(),
        interface: "0.9.0".into(),
        steps: vec!["prompt".into()],
        state,
        generation: 1,
        calls,
        faults: 1,
        p50_us: Some(calls),
        p99_us: None,
        last_error: None,
        loaded_at: now(),
        held: None,
    }
}

async fn report(host: &Host, id: &str, calls: u64, state: PluginState, isolates: bool) {
    let runner = json!({ "name": "process", "isolates": isolates, "note": "n" });
    report_of(host, id, plugin(calls, state), runner).await;
}

async fn report_of(host: &Host, id: &str, plugin: PluginReport, runner: Value) {
    let report = HostReport {
        host: HostId(id.into()),
        role: "all".into(),
        version: "1.2.3".into(),
        started_at: now(),
        runner,
        agent: json!({ "name": "demo agent", "demo": false, "hint": "h" }),
        plugins: vec![plugin],
        refused: vec![RefusedFile {
            file: "bad.wasm".into(),
            reason: "truncated".into(),
            at: now(),
        }],
        roots: Vec::new(),
    };
    host.store.report_host(&report).await.unwrap();
}

/// A plugin that has faulted, and is held for it.
pub(crate) async fn report_fault(host: &Host, said: &str) {
    let faulted = PluginReport {
        last_error: Some(said.to_owned()),
        held: Some(said.to_owned()),
        ..plugin(1, PluginState::Quarantined)
    };
    report_of(host, "h1", faulted, json!({ "isolates": true })).await;
}

#[tokio::test]
async fn a_host_whose_engine_enforces_less_is_the_one_that_is_shown() {
    let host = Host::start().await;
    let lacks = json!(["an agent's memory isn't limited. Do something"]);
    for (id, unenforced) in [("h1", json!([])), ("h2", lacks.clone()), ("h3", json!([]))] {
        let runner = json!({ "name": "docker", "isolates": true, "unenforced": unenforced });
        report_of(&host, id, plugin(1, PluginState::Serving), runner).await;
    }
    let stats = host.get("/api/stats").await.json();
    assert_eq!(stats["runner"]["unenforced"], lacks, "{stats:#}");
}

#[tokio::test]
async fn reports_of_hosts_are_put_together() {
    let host = Host::start().await;
    assert_eq!(
        host.get("/api/plugins").await.json(),
        json!({ "items": [], "refused": [] })
    );
    let nobody = host.get("/api/stats").await.json();
    assert_eq!(
        (&nobody["agent"], &nobody["runner"]),
        (&Value::Null, &Value::Null)
    );
    report(&host, "h1", 3, PluginState::Kept, true).await;
    report(&host, "h2", 4, PluginState::Serving, false).await;
    let plugins = host.get("/api/plugins").await.json();
    let items = plugins["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    for (key, value) in [
        ("name", json!("idea")),
        ("calls", json!(7)),
        ("faults", json!(2)),
        ("p50_us", json!(4)),
        ("state", json!("serving")),
        ("hosts", json!(["h1", "h2"])),
    ] {
        assert_eq!(items[0][key], value, "{key}");
    }
    assert_eq!(plugins["refused"].as_array().unwrap().len(), 2);
    assert_eq!(plugins["refused"][0]["reason"], "truncated");

    host.submit("a").await;
    let stats = host.get("/api/stats").await.json();
    assert_eq!(stats["counts"]["queued"], 1);
    assert_eq!(stats["counts"]["failed"], 0);
    assert_eq!(stats["runner"]["isolates"], false);
    assert_eq!(stats["agent"]["name"], "demo agent");
    assert_eq!(stats["version"], "1.2.3");
    assert_eq!(stats["hosts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn pipelines_are_listed_with_what_is_wrong() {
    let host = Host::start().await;
    let list = host.get("/api/pipelines").await.json();
    let game = json!({ "name": "game", "summary": "A small browser game", "phases": ["idea"] });
    let odd = json!({ "name": "odd", "summary": "", "phases": [], "error": "phase: is missing" });
    assert_eq!(list["items"], json!([game, odd]));
}

#[tokio::test]
async fn ready_is_what_the_host_says() {
    let host =
        Host::start_with(|config| config.ready = Arc::new(|| Err("/secret/path is gone".into())))
            .await;
    assert_eq!(host.get("/livez").await.json(), json!({ "status": "ok" }));
    let answer = host.get("/readyz").await;
    assert_eq!(answer.problem(), (503, "unavailable".to_owned()));
    assert!(!answer.detail().contains("secret"), "{}", answer.detail());
}

#[tokio::test]
async fn numbers_for_prometheus() {
    let host = Host::start().await;
    report(&host, "h\"1", 3, PluginState::Serving, true).await;
    let id = host.submit("a").await;
    host.get(&format!("/api/jobs/{id}")).await;
    host.get("/wp-admin.php").await;
    let text = String::from_utf8(host.get("/metrics").await.body.to_vec()).unwrap();
    for line in [
        "gantry_jobs{status=\"queued\"} 1",
        "gantry_host_alive{host=\"h\\\"1\",role=\"all\"} 1",
        "gantry_http_requests_total{method=\"POST\",route=\"/api/jobs\",status=\"201\"} 1",
        "gantry_http_requests_total{method=\"GET\",route=\"/api/jobs/{id}\",status=\"200\"} 1",
        "gantry_http_requests_total{method=\"GET\",route=\"-\",status=\"404\"} 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    assert!(
        text.contains(
            "gantry_plugin_calls_total{host=\"h\\\"1\",plugin=\"idea\",version=\"1.0.0\""
        )
    );
    assert!(!text.contains("wp-admin"));
}
