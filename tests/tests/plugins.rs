//! Plugins that are swapped, bad or hostile, on a running host. What a plugin may do at all is
//! tested in its runtime.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::harness::{Agents, DEADLINE, Host, Part, Parts, Setup, Timeline};

fn guest(parts: Parts, name: &str) -> PathBuf {
    Path::new(&parts.place(Part::Guests)).join(format!("{name}.wasm"))
}

fn pipeline(name: &str, phases: &[(&str, &str)]) -> String {
    let phases = phases
        .iter()
        .map(|(id, plugin)| format!("[[phase]]\nid=\"{id}\"\nplugin=\"{plugin}\"\n"));
    format!("name=\"{name}\"\n{}", phases.collect::<String>())
}

/// By rename, as whoever drops a plugin should.
fn drop_plugin(host: &Host, file: &str, bytes: &[u8]) {
    let folder = host.data().join("plugins");
    let half = folder.join(".half");
    fs::write(&half, bytes).unwrap();
    fs::rename(half, folder.join(file)).unwrap();
}

fn attempts<'a>(job: &'a Value, phase: &str) -> &'a Vec<Value> {
    let phases = job["phases"].as_array().unwrap();
    let phase = phases.iter().find(|it| it["id"] == phase).unwrap();
    phase["attempts"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_never_accepted_fails_the_job_and_publishes_nothing() {
    let test = "a_build_that_is_never_accepted_fails_the_job_and_publishes_nothing";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    let setup = Setup::demo().plugin("build.wasm", guest(parts, "always-revise"));
    let host = Host::start(setup).await;
    let client = host.client();
    let id = client.submit("a game about bees").await;
    let job = client.ended(&id).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    assert_eq!(job["error"]["kind"], "not-accepted");
    assert_eq!(job["error"]["message"], "try 3 isn't good enough");
    let said: Vec<&str> = attempts(&job, "build")
        .iter()
        .map(|it| it["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        said,
        [1, 2, 3].map(|n| format!("try {n} isn't good enough"))
    );
    assert!(
        attempts(&job, "build")
            .iter()
            .all(|it| it["plugin"]["version"] == "9.0.0")
    );
    assert_eq!(job["site"], Value::Null);
    assert!(client.sites().await.is_empty());
    let timeline = Timeline::of(&client.events(&id).await);
    assert_eq!(timeline.of_type("phase.revised").len(), 3);
    assert_eq!(timeline.of_type("phase.accepted").len(), 3);
    assert_eq!(timeline.of_type("job.deployed").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_dropped_answers_the_next_phase_and_not_the_one_under_way() {
    let test = "a_plugin_that_is_dropped_answers_the_next_phase_and_not_the_one_under_way";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    let agents = Agents::new();
    let mut held = agents.hold("first", "probe");
    let setup = Setup::agents(&agents)
        .pipeline(
            "probes",
            &pipeline("probes", &[("first", "probe"), ("second", "probe")]),
        )
        .plugin("probe.wasm", guest(parts, "probe"));
    let host = Host::start(setup).await;
    let client = host.client();
    let id = client
        .submit_with(&json!({"name": "probe", "pipeline": "probes"}))
        .await;
    held.arrived().await;

    let mut news = client.stream("/api/events", "").await;
    drop_plugin(
        &host,
        "probe.wasm",
        &fs::read(guest(parts, "probe-next")).unwrap(),
    );
    let newer = json!(["probe", "2.0.0"]);
    news.find(DEADLINE, |event| {
        let data = &event.data["data"];
        event.name == "plugin.loaded" && json!([data["name"], data["version"]]) == newer
    })
    .await;
    held.let_on().await;

    let job = client.succeeded(&id).await;
    let (first, second) = (&attempts(&job, "first")[0], &attempts(&job, "second")[0]);
    assert_eq!(first["plugin"]["version"], "1.0.0");
    assert_eq!(first["message"], "accepted by 1.0.0");
    assert_eq!(second["plugin"]["version"], "2.0.0");
    assert_eq!(second["message"], "accepted by 2.0.0");
    assert_ne!(first["plugin"]["digest"], second["plugin"]["digest"]);
    assert_eq!(
        first["plugins"].as_array().unwrap().len(),
        1,
        "one plugin for the whole phase"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_from_other_languages_replace_a_built_in_one_on_a_running_host() {
    let test = "plugins_from_other_languages_replace_a_built_in_one_on_a_running_host";
    let Some(parts) = Parts::of(test, &[Part::Foreign]) else {
        return;
    };
    // What compiles comes last on a machine that is busy with other tests, and Python's is large.
    let compiled = DEADLINE * 3;
    let host = Host::start(Setup::demo()).await;
    let client = host.client();
    let said_by = |job: &Value| {
        let idea = &attempts(job, "idea")[0];
        [&idea["plugin"]["version"], &idea["message"]].map(|it| it.as_str().unwrap().to_owned())
    };
    let job = client.succeeded(&client.submit("bees").await).await;
    let [built_in, _] = said_by(&job);
    for language in ["javascript", "extism", "python"] {
        let version = format!("1.0.0+{language}");
        assert_ne!(version, built_in);
        let from = Path::new(&parts.place(Part::Foreign)).join(format!("idea-{language}.wasm"));
        let mut news = client.stream("/api/events", "").await;
        drop_plugin(&host, "idea.wasm", &fs::read(from).unwrap());
        let answer = news
            .find(compiled, |event| {
                matches!(event.name.as_str(), "plugin.loaded" | "plugin.refused")
            })
            .await;
        assert_eq!(answer.name, "plugin.loaded", "{answer:?}");
        assert_eq!(answer.data["data"]["version"], version.as_str());

        let job = client.succeeded(&client.submit("bees").await).await;
        let [by, message] = said_by(&job);
        assert_eq!(by, version, "{job:#}");
        let who = message.strip_prefix("idea.json is complete, says ");
        assert_eq!(who.map(str::to_lowercase).as_deref(), Some(language));
        assert_ne!(job["site"], Value::Null, "the other phases went on from it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_refused_with_a_reason_and_the_old_plugin_serves() {
    let host = Host::start(Setup::demo()).await;
    let client = host.client();
    let serving = |plugins: &Value| {
        let items = plugins["items"].as_array().unwrap();
        let idea = items
            .iter()
            .filter(|it| it["name"] == "idea" && it["state"] == "serving");
        idea.map(|it| it["digest"].clone()).collect::<Vec<_>>()
    };
    let before = client
        .until("/api/plugins", |plugins| !serving(plugins).is_empty())
        .await;
    let mut news = client.stream("/api/events", "").await;
    drop_plugin(&host, "idea.wasm", b"this is no wasm");
    let refused = news
        .find(DEADLINE, |event| event.name == "plugin.refused")
        .await;
    assert_eq!(refused.data["data"]["file"], "idea.wasm", "{refused:?}");

    let is_known = |plugins: &Value| {
        plugins["refused"]
            .as_array()
            .is_some_and(|it| !it.is_empty())
    };
    let plugins = client.until("/api/plugins", is_known).await;
    assert_eq!(plugins["refused"][0]["file"], "idea.wasm");
    let reason = plugins["refused"][0]["reason"].as_str().unwrap();
    assert!(reason.len() > 20 && reason.contains("wasm"), "{reason}");
    assert_eq!(serving(&plugins), serving(&before));

    let said = host.run(&["plugin", "list"]).await;
    said.expect(0, "refused: idea.wasm");
    let job = client
        .succeeded(&client.submit("a game about bees").await)
        .await;
    assert_eq!(
        json!(serving(&before)[0]),
        attempts(&job, "idea")[0]["plugin"]["digest"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_plugin_fails_its_own_job_and_no_other() {
    let test = "a_hostile_plugin_fails_its_own_job_and_no_other";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    let hostile = [
        ("traps", "unreachable"),
        ("loops", "took longer than 2s"),
        ("eats-memory", "used more than 64 MiB of memory"),
    ];
    let mut setup = Setup::demo();
    for (name, _) in hostile {
        setup = setup
            .plugin(&format!("{name}.wasm"), guest(parts, name))
            .pipeline(name, &pipeline(name, &[("only", name)]));
    }
    let host = Host::start(setup).await;
    let client = host.client();
    for (name, limit) in hostile {
        let id = client
            .submit_with(&json!({"name": name, "pipeline": name}))
            .await;
        let innocent = client.submit(&format!("a game about what {name}")).await;
        let job = client.ended(&id).await;
        assert_eq!(job["status"], "failed", "{name}: {job:#}");
        assert_eq!(job["error"]["kind"], "plugin", "{name}");
        let message = job["error"]["message"].as_str().unwrap();
        assert!(
            message.contains(limit) && message.contains(name),
            "{name}: {message}"
        );
        assert_eq!(attempts(&job, "only")[0]["plugin"]["name"], name);
        client.succeeded(&innocent).await;
    }
    let innocent = client.submit("a game about a quiet evening").await;
    client.succeeded(&innocent).await;
}
