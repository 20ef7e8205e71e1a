//! A job in Podman's containers, from a host that dies on the way. What each lock of a container is
//! worth there, the runner's conformance suite says.

use serde_json::{Value, json};
use tests::harness::{DEADLINE, Game, Host, Part, Parts, Setup};
use tests::standin::{Asked, Gate, Script as _, Standin};

const NAME: &str = "a game about a ferry";
const PIPELINE: &str =
    "name = \"short\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 1\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_podmans_containers_goes_on_after_its_host_died() {
    let test = "a_job_in_podmans_containers_goes_on_after_its_host_died";
    let wanted = [Part::Docker, Part::WorkerImage, Part::Podman];
    let Some(parts) = Parts::of(test, &wanted) else {
        return;
    };
    let (gate, game) = (Gate::default(), Game::of(NAME).script());
    let held = gate.clone();
    let api = Standin::start(move |asked: &Asked| game.reply(asked).behind(&held));
    let api = api.await.unwrap();
    let setup = Setup::docker(api.url(), "the-real-key")
        .set("DOCKER_HOST", parts.place(Part::Podman))
        .pipeline("short", PIPELINE);
    let mut host = Host::start(setup).await;
    let runner = |stats: &Value| stats["runner"]["engine"].is_string();
    let stats = host.client().until("/api/stats", runner).await;
    assert_eq!(stats["runner"]["unenforced"], json!([]), "{stats:#}");
    let job = json!({ "name": NAME, "pipeline": "short" });
    let id = host.client().submit_with(&job).await;
    api.asked_times(1, DEADLINE).await.unwrap();
    host.kill().await;
    host.restart().await;
    // It is the same engine to the next one, which finds the container there.
    host.said("adopted=true").await;
    gate.open();
    let job = host.client().succeeded(&id).await;
    let task = &job["phases"][0]["attempts"][0]["tasks"][0];
    assert_eq!(task["run"], 1, "{job:#}");
}
