//! `gantry check --image`: the images that meet the worker's contract, and one that breaks it in
//! every way that can be seen from outside. That an image which meets it works on a job is seen on
//! the smallest one.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tests::harness::{Docker, Host, Part, Parts, Said, Setup, gantry};
use tests::standin::{Asked, Reply, Standin};

/// Every row, in order.
const ROWS: [&str; 13] = [
    "image",
    "variable missing",
    "variable empty",
    "run",
    "agent.jsonl",
    "status.json",
    "model",
    "large prompt",
    "RESUME=1",
    "another user",
    "PROXY_SOCKET",
    "SIGTERM",
    "rename",
];

/// What the check says of an image; no container and no folder of it is left.
async fn check(image: &str) -> Vec<(String, bool, String)> {
    let docker = Docker::find().unwrap();
    let folder = tempfile::Builder::new()
        .prefix("gc-")
        .tempdir_in("/tmp")
        .unwrap();
    let mut command = Command::new(gantry());
    command
        .args(["check", "--image", image, "--json"])
        .env_clear()
        .current_dir(folder.path())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GANTRY_DATA", folder.path().join("d"))
        .env("DOCKER_HOST", docker.host());
    let said = Said::by(command).await;
    assert!(docker.containers(folder.path()).is_empty(), "{said:?}");
    if let Ok(mut left) = fs::read_dir(folder.path().join("d/run")) {
        assert!(left.next().is_none(), "{said:?}");
    }
    let answer = said.json();
    let rows = answer["findings"].as_array().unwrap().iter();
    let rows: Vec<_> = rows
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("what"), row["ok"] == true, text("said"))
        })
        .collect();
    let all_ok = rows.iter().all(|(_, ok, _)| *ok);
    assert_eq!(answer["ok"], all_ok, "{answer:#}");
    assert_eq!(said.code, Some(i32::from(!all_ok)), "{answer:#}");
    rows
}

/// Every row is fine; what is said of each.
async fn is_fine(image: &str) -> Vec<String> {
    let rows = check(image).await;
    let wrong: Vec<_> = rows.iter().filter(|(_, ok, _)| !ok).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let names: Vec<&str> = rows.iter().map(|(what, ..)| what.as_str()).collect();
    assert_eq!(names, ROWS);
    rows.into_iter().map(|(.., said)| said).collect()
}

fn example() -> String {
    const IMAGE: &str = "gantry-example-agent:test";
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../worker/example-agent");
    Docker::find().unwrap().build(IMAGE, Path::new(folder));
    IMAGE.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_of_claude_code_meets_the_contract() {
    let test = "the_image_of_claude_code_meets_the_contract";
    if let Some(parts) = Parts::of(test, &[Part::Docker, Part::WorkerImage]) {
        let said = is_fine(&parts.place(Part::WorkerImage)).await;
        assert!(said[6].starts_with("asked "), "{said:#?}");
        assert!(said[11].contains("143 after"), "{said:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_agent_meets_the_contract_and_works_on_a_job() {
    let test = "the_smallest_agent_meets_the_contract_and_works_on_a_job";
    let parts = [Part::Docker, Part::WorkerImage, Part::Guests];
    let Some(parts) = Parts::of(test, &parts) else {
        return;
    };
    let image = example();
    let said = is_fine(&image).await;
    assert_eq!(said[6], "asked 1 times", "{said:#?}");
    assert!(said[11].contains("143 after"), "{said:#?}");

    let api = Standin::start(|_: &Asked| Reply::text("A \"ferry\",\nand a bell: é 😀"));
    let api = api.await.unwrap();
    let guest = Path::new(&parts.place(Part::Guests)).join("thinks-again.wasm");
    let pipeline = "name = \"poem\"\n[[phase]]\nid = \"poem\"\nplugin = \"thinks-again\"\n";
    let setup = Setup::docker(api.url(), "the-real-key")
        .set("WORKER_IMAGE", image)
        .plugin("thinks-again.wasm", guest)
        .pipeline("poem", pipeline);
    let host = Host::start(setup).await;
    let job = json!({ "name": "a poem about a ferry", "pipeline": "poem" });
    let id = host.client().submit_with(&job).await;
    let job = host.client().succeeded(&id).await;
    assert_eq!(api.asked().len(), 2, "{job:#}");
    assert_eq!(api.asked()[0].header("x-api-key"), "the-real-key");
    let answer = host.data().join("workspaces").join(&id);
    let answer = fs::read_to_string(answer.join("files/answer.md")).unwrap();
    assert_eq!(answer, "A \"ferry\",\nand a bell: é 😀");
    let logs = host.client().logs(&id).await.join("\n");
    assert!(logs.contains("and a bell"), "{logs}");
}

/// An agent that does its work, and else what it mustn't.
const BROKEN: &str = r#"#!/bin/sh
[ -n "$OUT_DIR" ] && [ -n "$WORKSPACE_DIR" ] || exit 3
status() {
  printf '{"phase":"%s","task":"%s","state":"%s","reason":null,"started_at":"2026-01-31T09:00:00Z","finished_at":%s}\n' \
    "$PHASE" "$TASK" "$1" "$2" >"$OUT_DIR/status.json"
}
status running null
[ "$(id -u)" != 64322 ] || exit 4
[ "$RESUME" = 0 ] || exit 5
[ -z "$PROXY_SOCKET" ] || exit 6
/bin/true "$(cat "$PROMPT_FILE")" || exit 7
perl -MIO::Socket::UNIX -e '
  my $model = IO::Socket::UNIX->new(Peer => $ENV{MODEL_SOCKET}) or die;
  print $model "POST /v1/messages HTTP/1.0\r\nauthorization: Bearer $ENV{MODEL_TOKEN}\r\ncontent-length: 2\r\n\r\n{}";
  1 while <$model>'
echo '{"type":"result","subtype":"success","is_error":false}' >"$OUT_DIR/agent.jsonl"
status completed '"2026-01-31T09:00:00Z"'
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_fails_in_the_rows_that_it_breaks_and_in_no_other() {
    let test = "an_image_fails_in_the_rows_that_it_breaks_and_in_no_other";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_none() {
        return;
    }
    const IMAGE: &str = "gantry-broken-agent:test";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("agent"), BROKEN).unwrap();
    let file =
        "FROM debian:bookworm-slim\nCOPY agent /agent\nENTRYPOINT [\"/bin/sh\", \"/agent\"]\n";
    fs::write(folder.path().join("Dockerfile"), file).unwrap();
    Docker::find().unwrap().build(IMAGE, folder.path());
    let rows = check(IMAGE).await;
    let mut wrong = vec![
        ("variable missing", "exit status 3"),
        ("variable empty", "exit status 3"),
        ("large prompt", "exit status 7"),
        ("RESUME=1", "exit status 5"),
        ("another user", "exit status 4"),
        ("PROXY_SOCKET", "exit status 6"),
        ("SIGTERM", "killed after 10 s"),
        ("rename", "written over"),
    ];
    // Only root can try another user.
    if !rustix::process::getuid().is_root() {
        wrong.retain(|(what, _)| *what != "another user");
    }
    let found: Vec<&str> = rows
        .iter()
        .filter(|(_, ok, _)| !ok)
        .map(|(what, ..)| what.as_str())
        .collect();
    let expected: Vec<&str> = wrong.iter().map(|(what, _)| *what).collect();
    assert_eq!(found, expected, "{rows:#?}");
    for (what, words) in wrong {
        let (.., said) = rows.iter().find(|(row, ..)| row == what).unwrap();
        assert!(said.contains(words), "{what}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_said_to_be_missing() {
    let test = "an_image_that_is_not_there_is_said_to_be_missing";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_none() {
        return;
    }
    let rows = check("gantry-no-such-image").await;
    let [(what, false, said)] = &rows[..] else {
        panic!("{rows:#?}");
    };
    assert_eq!(what, "image");
    assert!(said.contains("`gantry-no-such-image`"), "{said}");
}
