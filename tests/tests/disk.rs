//! An agent that takes more of the disk than it may, in each folder that it may write to: it is
//! stopped and told, and who tidies up goes on. What counts as how much is the workspace crate's
//! matter.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::fs;

use serde_json::{Value, json};
use tests::harness::{Agents, Game, Host, Part, Parts, Setup, gantry};
use tests::standin::{Asked, Reply, Script as _, Standin};

const NAME: &str = "a game about silt";
/// And asks for more memory than it may have on the way, which is no end of the agent.
const TIDY: &str = "rm big; perl -e 'my $x = \"x\" x (2 << 30)'; echo tidied";

fn pipeline(attempts: u32, more: &str) -> String {
    format!(
        "name = \"short\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = {attempts}\n{more}"
    )
}

async fn submit(host: &Host, name: &str) -> String {
    let job = json!({ "name": name, "pipeline": "short" });
    host.client().submit_with(&job).await
}

/// The phase's attempts.
fn attempts(job: &Value) -> &Vec<Value> {
    job["phases"][0]["attempts"].as_array().unwrap()
}

fn is_out_of_disk(attempt: &Value, limit: &str) {
    let failure = &attempt["tasks"][0]["failure"];
    assert_eq!(failure["kind"], "out-of-disk", "{attempt:#}");
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.contains(" on the disk, and ") && message.contains(limit),
        "{message}"
    );
}

/// It never ends by itself: whoever waits for it waits for the one who stops it.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_fills_any_of_its_folders_is_stopped() {
    let work = "head -c 12000000 /dev/urandom >\"$(printenv \"$JOB_NAME\")/big\"; sleep 600";
    let agents = Agents::running(work);
    let setup = Setup::agents(&agents)
        .set("WORKER_DISK", "8MiB")
        .pipeline("short", &pipeline(1, ""));
    let host = Host::start(setup).await;
    let mut jobs = Vec::new();
    for folder in ["WORKSPACE_DIR", "SESSION_DIR", "OUT_DIR"] {
        jobs.push(submit(&host, folder).await);
    }
    for id in jobs {
        let job = host.client().ended(&id).await;
        assert_eq!(job["error"]["kind"], "out-of-disk", "{job:#}");
        is_out_of_disk(&attempts(&job)[0], "8 MiB are allowed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn up_to_the_limit_is_fine_and_past_it_is_found_at_the_end() {
    // Faster than anybody looks.
    let work = format!(
        "head -c $(printenv JOB_NAME) /dev/urandom >\"$WORKSPACE_DIR/big\"; {} __demo-agent",
        gantry().display()
    );
    let agents = Agents::running(&work);
    // What the host allows at most comes before what the pipeline asks for.
    let setup = Setup::agents(&agents)
        .set("WORKER_DISK_MAX", "8MiB")
        .pipeline("short", &pipeline(1, "disk = \"1GiB\"\n"));
    let host = Host::start(setup).await;
    let (kept, broken) = (
        submit(&host, "7000000").await,
        submit(&host, "9000000").await,
    );
    host.client().succeeded(&kept).await;
    let job = host.client().ended(&broken).await;
    assert_eq!(job["error"]["kind"], "out-of-disk", "{job:#}");
    is_out_of_disk(&attempts(&job)[0], "8 MiB are allowed");
}

/// The first attempt fills the disk, and its host dies when it has stopped it; the second one
/// finds all of that, and more than it may leave.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_dies_on_the_way_changes_nothing_and_who_tidies_up_goes_on() {
    let work = format!(
        "big=\"$WORKSPACE_DIR/big\"\n\
         if [ ! -f \"$big\" ]; then head -c 12000000 /dev/urandom >\"$big\"; sleep 600; fi\n\
         sleep 3; rm \"$big\"; {} __demo-agent",
        gantry().display()
    );
    let agents = Agents::running(&work);
    let setup = Setup::agents(&agents)
        .set("GANTRY_DIE_AT", "run-heard-out:1")
        .pipeline("short", &pipeline(2, "disk = \"8MiB\"\n"));
    let mut host = Host::start(setup).await;
    let id = submit(&host, NAME).await;
    host.ends().await;
    host.set("GANTRY_DIE_AT", None);
    host.restart().await;
    let job = host.client().succeeded(&id).await;
    let attempts = attempts(&job);
    assert_eq!(attempts.len(), 2, "{job:#}");
    is_out_of_disk(&attempts[0], "8 MiB are allowed");
    assert_eq!(attempts[0]["tasks"][0]["run"], 1, "{job:#}");
    assert_eq!(agents.runs().len(), 3, "two starts and one end");
}

/// Claude Code in a container, which is told what was too much.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_fills_the_disk_is_stopped_and_the_next_is_told() {
    let test = "a_container_that_fills_the_disk_is_stopped_and_the_next_is_told";
    let wanted = [Part::Docker, Part::WorkerImage, Part::Claude];
    if Parts::of(test, &wanted).is_none() {
        return;
    }
    let game = Game::of(NAME).script();
    let api = Standin::start(move |asked: &Asked| {
        if !asked.tools().contains(&"Bash") {
            return game.reply(asked);
        }
        let bash = |command: &str| {
            let input = json!({ "command": command, "description": "d" });
            Reply::tool("Bash", input)
        };
        let is_told = asked.prompt().contains("24 MiB are allowed");
        let used = asked.tool_uses();
        let has = |word: &str| {
            used.iter()
                .any(|it| it.input["command"].as_str() == Some(word))
        };
        match (is_told, has(TIDY)) {
            (false, _) => bash("head -c 60000000 /dev/urandom >big; sleep 100"),
            (true, false) => bash(TIDY),
            (true, true) => game.reply(asked),
        }
    });
    let api = api.await.unwrap();
    let more = "permissions = \"full\"\nmemory = \"1GiB\"\ndisk = \"24MiB\"\n";
    let setup = Setup::docker(api.url(), "the-real-key").pipeline("short", &pipeline(2, more));
    let host = Host::start(setup).await;
    let id = submit(&host, NAME).await;
    let job = host.client().succeeded(&id).await;
    let attempts = attempts(&job);
    assert_eq!(attempts.len(), 2, "{job:#}");
    is_out_of_disk(&attempts[0], "24 MiB are allowed");
    let logs = host.client().logs(&id).await;
    assert!(
        logs.iter()
            .any(|line| line.contains("killed for want of memory")),
        "{logs:?}"
    );
}

/// As a file system that isn't mounted after a reboot: the folder is there, and empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_not_mounted_is_not_taken_for_an_empty_one() {
    let work = format!(
        "[ -f \"$(dirname \"$0\")/up\" ] || {{ touch \"$WORKSPACE_DIR/kept\"; exit 7; }}\n\
         [ -f \"$WORKSPACE_DIR/kept\" ] || exit 8; {} __demo-agent",
        gantry().display()
    );
    let agents = Agents::running(&work);
    let setup = Setup::agents(&agents).pipeline("short", &pipeline(1, ""));
    let mut host = Host::start(setup).await;
    let id = submit(&host, NAME).await;
    let failed = host.client().ended(&id).await;
    assert_eq!(failed["error"]["kind"], "agent-failed", "{failed:#}");
    host.terminate().await;
    fs::write(agents.folder().join("up"), "").unwrap();
    let (root, elsewhere) = (
        host.data().join("workspaces"),
        host.data().join("elsewhere"),
    );
    fs::rename(&root, &elsewhere).unwrap();
    fs::create_dir(&root).unwrap();
    host.restart().await;
    host.run(&["retry", &id]).await.expect(0, &id);
    let waits = |job: &Value| job["wait"]["reason"] == "host";
    let path = format!("/api/jobs/{id}");
    let job = host.client().until(&path, waits).await;
    let message = job["wait"]["message"].as_str().unwrap();
    assert!(
        message.contains("which no host that is up mounts"),
        "{message}"
    );
    // Others begin there.
    let other = submit(&host, NAME).await;
    host.client().ended(&other).await;
    assert_eq!(host.client().job(&id).await["status"], "queued");

    host.terminate().await;
    fs::remove_dir_all(&root).unwrap();
    fs::rename(&elsewhere, &root).unwrap();
    host.restart().await;
    host.client().succeeded(&id).await;
}
