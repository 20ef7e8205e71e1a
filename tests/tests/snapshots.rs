//! What an attempt changed, and what is left in the end, as an outsider gets them of a real job.
//! What hostile files make of a snapshot is the workspace crate's own matter.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read as _;
use tests::harness::{Agents, Host, Setup};

/// A line more each time, and a repository that would run something for whoever runs `git` in it.
const WORK: &str = "cd \"$WORKSPACE_DIR\"; echo again >>notes.txt; ln -sf /etc/passwd link; \
    mkdir -p .git; printf '[core]\\n\\tfsmonitor = touch %s/ran\\n' \"$OUT_DIR\" >.git/config; exit 7";

fn pipeline(name: &str, reset: bool) -> String {
    format!(
        "name = \"{name}\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 2\n\
         reset = {reset}\n"
    )
}

async fn failed(host: &Host, pipeline: &str) -> String {
    let client = host.client();
    let body = json!({ "name": "a game about ink", "pipeline": pipeline });
    let id = client.submit_with(&body).await;
    let job = client.ended(&id).await;
    assert_eq!(job["error"]["kind"], "agent-failed", "{job:#}");
    id
}

async fn diff(host: &Host, id: &str, attempt: u32) -> Value {
    let path = format!("/api/jobs/{id}/attempts/idea/{attempt}/diff");
    let answer = host.client().get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Path, what became of it, and its lines.
fn told(diff: &Value) -> Vec<(&str, &str, &str)> {
    let items = diff["items"].as_array().unwrap().iter();
    items
        .map(|file| {
            let of = |key: &str| file[key].as_str().unwrap_or_default();
            (of("path"), of("change"), of("diff"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_has_its_diff_and_what_is_left_is_an_archive() {
    let agents = Agents::running(WORK);
    let setup = Setup::agents(&agents).pipeline("plain", &pipeline("plain", false));
    let host = Host::start(setup).await;
    let id = failed(&host, "plain").await;

    let first = diff(&host, &id, 1).await;
    let files = told(&first);
    assert_eq!(files.len(), 2, "{first:#}");
    assert_eq!((files[0].0, files[0].1), (".git/config", "added"));
    assert_eq!(files[1], ("notes.txt", "added", "@@ -0,0 +1 @@\n+again\n"));
    assert_eq!(first["left_out"], "1 links, pipes, sockets or devices");
    let second = diff(&host, &id, 2).await;
    let again = ("notes.txt", "changed", "@@ -1 +1,2 @@\n again\n+again\n");
    let files = told(&second);
    let notes: Vec<_> = files.iter().filter(|file| file.0 == "notes.txt").collect();
    assert_eq!(notes, [&again]);
    assert_eq!(
        host.client()
            .get(&format!("/api/jobs/{id}/attempts/idea/3/diff"))
            .await
            .status,
        404
    );

    host.run(&["diff", &id]).await.expect(
        0,
        "--- a/notes.txt\n+++ b/notes.txt\n@@ -1 +1,2 @@\n again\n+again",
    );
    host.run(&["diff", &id, "--phase", "idea", "--attempt", "1"])
        .await
        .expect(0, "--- /dev/null\n+++ b/notes.txt\n");
    host.run(&["diff", &id, "--phase", "plan"])
        .await
        .expect(1, "phase `plan` has no attempt");

    let answer = host.client().get(&format!("/api/jobs/{id}/archive")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("gantry-left-out"),
        "1 links, pipes, sockets or devices"
    );
    let files = unpacked(&answer.body);
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        [".git/config", "notes.txt"]
    );
    assert_eq!(files["notes.txt"], "again\nagain\n");
    let dir = tempfile::tempdir().unwrap();
    let saved = dir.path().join("files.tar");
    let said = host
        .run(&["export", &id, "--output", saved.to_str().unwrap()])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(std::fs::read(&saved).unwrap(), answer.body);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing half is left"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_is_put_back_begins_each_attempt_as_the_first() {
    let agents = Agents::running(WORK);
    let setup = Setup::agents(&agents).pipeline("reset", &pipeline("reset", true));
    let host = Host::start(setup).await;
    let id = failed(&host, "reset").await;
    for attempt in [1, 2] {
        let changes = diff(&host, &id, attempt).await;
        let files = told(&changes);
        let notes = ("notes.txt", "added", "@@ -0,0 +1 @@\n+again\n");
        assert_eq!(files.get(1), Some(&notes), "attempt {attempt}: {changes:#}");
    }
}

fn unpacked(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(bytes);
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        files.insert(path, content);
    }
    files
}
