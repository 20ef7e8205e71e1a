//! A bad release on a running host: rolled back by itself or by hand, quarantined, refused by what
//! was recorded. Whose fault a fault is, is tested as a rule in `pipeline`.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::harness::{Client, DEADLINE, Host, Part, Parts, Setup};

fn guest(parts: Parts, name: &str) -> PathBuf {
    Path::new(&parts.place(Part::Guests)).join(format!("{name}.wasm"))
}

/// By rename, as whoever drops a plugin should; returns once it has been looked at.
async fn drop_probe(host: &Host, from: &Path, version: &str) {
    let mut news = host.client().stream("/api/events", "").await;
    let folder = host.data().join("plugins");
    let half = folder.join(".half");
    fs::copy(from, &half).unwrap();
    fs::rename(half, folder.join("probe.wasm")).unwrap();
    news.find(DEADLINE, |event| match event.name.as_str() {
        "plugin.loaded" => event.data["data"]["version"] == version,
        "plugin.refused" => true,
        _ => false,
    })
    .await;
}

fn setup(parts: Parts, first: &str) -> Setup {
    let pipeline = "name=\"probes\"\n[[phase]]\nid=\"only\"\nplugin=\"probe\"\n";
    Setup::demo()
        .pipeline("probes", pipeline)
        .plugin("probe.wasm", guest(parts, first))
}

async fn submit(client: &Client) -> String {
    let job = json!({"name": "probe", "pipeline": "probes"});
    client.submit_with(&job).await
}

fn state(plugins: &Value, version: &str) -> String {
    let items = plugins["items"].as_array().unwrap();
    let probe = items
        .iter()
        .find(|it| it["name"] == "probe" && it["version"] == version);
    probe
        .map_or("none", |it| it["state"].as_str().unwrap())
        .to_owned()
}

fn answered_by(job: &Value) -> &str {
    let attempt = &job["phases"][0]["attempts"][0];
    attempt["plugin"]["version"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_release_is_rolled_back_by_itself_and_stays_so_after_a_restart() {
    let test = "a_bad_release_is_rolled_back_by_itself_and_stays_so_after_a_restart";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    let mut host = Host::start(setup(parts, "probe")).await;
    drop_probe(&host, &guest(parts, "probe-traps"), "3.0.0").await;
    let client = host.client();
    // The first two fail alone: it could be the jobs.
    for _ in 0..2 {
        let job = client.ended(&submit(client).await).await;
        assert_eq!(job["error"]["kind"], "plugin", "{job:#}");
    }
    // The third shows that it is the plugin, and is answered by the one before.
    let id = submit(client).await;
    let job = client.succeeded(&id).await;
    let attempt = &job["phases"][0]["attempts"][0];
    let versions: Vec<&Value> = attempt["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plugin| &plugin["version"])
        .collect();
    assert_eq!(json!(versions), json!(["3.0.0", "1.0.0"]));
    assert_eq!(attempt["message"], "accepted by 1.0.0");
    let plugins = client
        .until("/api/plugins", |it| state(it, "3.0.0") == "rolled-back")
        .await;
    assert_eq!(state(&plugins, "1.0.0"), "serving");

    // The bad file still lies in the folder.
    host.kill().await;
    host.restart().await;
    let client = host.client();
    let job = client.succeeded(&submit(client).await).await;
    assert_eq!(answered_by(&job), "1.0.0");
    drop_probe(&host, &guest(parts, "probe-next"), "2.0.0").await;
    let job = client.succeeded(&submit(client).await).await;
    assert_eq!(answered_by(&job), "2.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_keeps_faulting_is_quarantined_and_its_jobs_wait() {
    let test = "a_plugin_that_keeps_faulting_is_quarantined_and_its_jobs_wait";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    let host = Host::start(setup(parts, "probe-traps")).await;
    let client = host.client();
    for _ in 0..2 {
        client.ended(&submit(client).await).await;
    }
    let (third, fourth) = (submit(client).await, submit(client).await);
    for id in [&third, &fourth] {
        let job = client
            .wait_for(id, "it waits", |job| job["status"] == "waiting")
            .await;
        assert_eq!(job["wait"]["reason"], "plugin", "{job:#}");
        let message = job["wait"]["message"].as_str().unwrap();
        assert!(message.contains("quarantined"), "{message}");
    }
    client
        .until("/api/plugins", |it| state(it, "3.0.0") == "quarantined")
        .await;
    // A mended file, and they go on: the pause before they look again is half a minute.
    drop_probe(&host, &guest(parts, "probe-next"), "2.0.0").await;
    for id in [&third, &fourth] {
        let job = client.succeeded(id).await;
        assert_eq!(
            job["phases"][0]["attempts"][0]["message"],
            "accepted by 2.0.0"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_rolls_back_and_releases() {
    let test = "a_person_rolls_back_and_releases";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    let host = Host::start(setup(parts, "probe")).await;
    let client = host.client();
    client
        .until("/api/plugins", |it| state(it, "1.0.0") == "serving")
        .await;
    let alone = host.run(&["plugin", "rollback", "probe"]).await;
    alone.expect(1, "nothing to go back to");
    host.run(&["plugin", "rollback", "nobody"])
        .await
        .expect(1, "no plugin `nobody` serves");

    drop_probe(&host, &guest(parts, "probe-next"), "2.0.0").await;
    client
        .until("/api/plugins", |it| state(it, "2.0.0") == "serving")
        .await;
    let said = host.run(&["plugin", "rollback", "probe"]).await;
    said.expect(0, "probe 2.0.0: rolled back by hand");
    client
        .until("/api/plugins", |it| state(it, "2.0.0") == "rolled-back")
        .await;
    let job = client.succeeded(&submit(client).await).await;
    assert_eq!(answered_by(&job), "1.0.0");

    let said = host.run(&["plugin", "release", "probe"]).await;
    said.expect(0, "every version may answer again");
    client
        .until("/api/plugins", |it| state(it, "2.0.0") == "serving")
        .await;
    let job = client.succeeded(&submit(client).await).await;
    assert_eq!(answered_by(&job), "2.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_tried_on_recorded_calls_and_with_the_gate_refused_by_them() {
    let test = "a_release_is_tried_on_recorded_calls_and_with_the_gate_refused_by_them";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    let host = Host::start(setup(parts, "probe").set("PLUGIN_REPLAY", "gate")).await;
    let client = host.client();
    client.succeeded(&submit(client).await).await;
    let recorded = |calls: &Value| calls["items"].as_array().is_some_and(|it| it.len() == 2);
    let calls = client.until("/api/plugins/probe/calls", recorded).await;
    assert_eq!(calls["items"][0]["step"], "validate", "{calls:#}");
    assert_eq!(calls["items"][1]["recording"]["given"]["name"], "probe");

    // On the command line, with files that aren't in the folder.
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let file = files.path().join("probe.wasm");
        fs::copy(guest(parts, name), &file).unwrap();
        file.display().to_string()
    };
    let same = host.run(&["plugin", "test", &file("probe")]).await;
    same.expect(0, "2 recorded calls, 0 worse than they were");
    let next = host.run(&["plugin", "test", &file("probe-next")]).await;
    next.expect(0, "+    \"message\": \"accepted by 2.0.0\"");
    let traps = host.run(&["plugin", "test", &file("probe-traps")]).await;
    traps.expect(1, "trapped in prompt");

    // In the folder, before it serves.
    drop_probe(&host, &guest(parts, "probe-traps"), "3.0.0").await;
    let plugins = client
        .until("/api/plugins", |it| {
            it["refused"].as_array().is_some_and(|it| !it.is_empty())
        })
        .await;
    let reason = plugins["refused"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("recorded call"), "{reason}");
    let job = client.succeeded(&submit(client).await).await;
    assert_eq!(answered_by(&job), "1.0.0");
}
