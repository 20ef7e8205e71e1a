//! The commands as a person and a script use them: what they print and how they end. What is
//! wrong with what they are given is `bad_input`'s matter.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::harness::{Agents, Docker, Host, Part, Parts, Said, Setup, gantry};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_from_submit_to_site() {
    let host = Host::start(Setup::demo()).await;
    let said = host
        .run(&[
            "submit",
            "a game about bees",
            "--param",
            "theme=bees",
            "--watch",
        ])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in [
        "job.started",
        "phase.accepted",
        "job.deployed",
        "job.succeeded",
        "succeeded",
    ] {
        assert!(said.out.contains(line), "no {line}: {}", said.out);
    }
    assert!(
        said.out.contains(".localhost:"),
        "it ends with the site's address: {}",
        said.out
    );

    let jobs = host.run(&["jobs", "--json"]).await.json();
    let id = jobs["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(jobs["items"][0]["params"]["theme"], "bees");
    host.run(&["jobs"]).await.expect(0, &id);
    host.run(&["jobs", "--status", "failed"])
        .await
        .expect(0, "no jobs");
    host.run(&["job", &id])
        .await
        .expect(0, "build        accepted  1 attempt(s)");
    assert_eq!(
        host.run(&["job", &id, "--json"]).await.json()["status"],
        "succeeded"
    );
    host.run(&["watch", &id]).await.expect(0, "job.succeeded");
    let watched = host.run(&["watch", &id, "--json"]).await;
    assert!(
        watched
            .out
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{watched:?}"
    );

    host.run(&["logs", &id]).await.expect(0, "idea.json");
    let logs = host.run(&["logs", &id, "--json", "--follow"]).await;
    assert_eq!(logs.code, Some(0));
    assert!(logs.json()["seq"].as_i64().unwrap() > 1, "{logs:?}");
    host.run(&["retry", &id]).await.expect(1, "succeeded");

    let submitted = host
        .run(&["submit", "a game about wax", "--json", "--priority", "5"])
        .await;
    assert_eq!(submitted.json()["priority"], 5);
    host.client()
        .succeeded(submitted.json()["id"].as_str().unwrap())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_ends_the_watch_with_1_and_can_be_retried() {
    let agents = Agents::running("exit 7");
    let host = Host::start(Setup::agents(&agents)).await;
    let said = host
        .run(&["submit", "a game about nothing", "--watch"])
        .await;
    said.expect(1, "agent-failed");
    said.expect(1, "exit status 7");
    let jobs = host
        .run(&["jobs", "--status", "failed", "--json"])
        .await
        .json();
    let id = jobs["items"][0]["id"].as_str().unwrap().to_owned();
    host.run(&["job", &id])
        .await
        .expect(0, "idea         failed    3 attempt(s)");
    host.run(&["retry", &id]).await.expect(0, &id);
    host.run(&["watch", &id]).await.expect(1, "job.failed");
    assert_eq!(
        agents.runs(),
        ["start idea-idea"; 6],
        "three attempts, and three more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_and_checks() {
    let host = Host::start(Setup::demo()).await;
    let client = host.client();
    let all = |page: &Value| {
        page["items"]
            .as_array()
            .is_some_and(|items| items.len() == 5)
    };
    client.until("/api/plugins", all).await;
    let list = host.run(&["plugin", "list"]).await;
    for name in ["idea", "design", "plan", "build", "static-site"] {
        list.expect(0, name);
    }
    assert_eq!(
        host.run(&["plugin", "list", "--json"]).await.json()["items"][0]["state"],
        "serving"
    );

    let said = Said::alone(&[("RUNNER", "process")], &["check"]).await;
    said.expect(0, "demo agent");
    said.expect(0, "static-site");
    said.expect(0, "SQLite");
    let json = Said::alone(&[("RUNNER", "process")], &["check", "--json"])
        .await
        .json();
    assert_eq!(json["ok"], true, "{json:#}");
    said.expect(0, "weak  not enforced");
    said.expect(0, "agents share the disk of GANTRY_DATA");
    // A folder that a host uses is somebody's.
    let mut check = host.command();
    check.arg("check");
    Said::by(check).await.expect(1, "is in use by another host");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_which_engine_is_at_hand_and_what_is_not_enforced() {
    let test = "a_check_says_which_engine_is_at_hand_and_what_is_not_enforced";
    let Some(parts) = Parts::of(test, &[Part::Docker, Part::WorkerImage]) else {
        return;
    };
    let docker = Docker::find().unwrap();
    let check = async |image: &str| {
        let settings = [
            ("RUNNER", "docker"),
            ("DOCKER_HOST", docker.host()),
            ("WORKER_IMAGE", image),
            ("ANTHROPIC_API_KEY", "not-used"),
        ];
        Said::alone(&settings, &["check"]).await
    };
    let image = parts.place(Part::WorkerImage);
    let said = check(&image).await;
    said.expect(0, "docker: ");
    said.expect(0, ", cgroup v");
    assert!(!said.out.contains("VOLUME"), "{said:?}");
    let other = docker.image(
        "gantry-volume:test",
        &format!("FROM {image}\nVOLUME /data\n"),
    );
    let said = check(&other).await;
    said.expect(0, "weak  not enforced");
    said.expect(0, "`/data` is a VOLUME of the image gantry-volume:test");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipeline_files_are_checked_without_a_host() {
    let game = concat!(env!("CARGO_MANIFEST_DIR"), "/../host/game.toml");
    Said::alone(&[], &["pipeline", "check", game])
        .await
        .expect(0, "game: 4 phases, fine");
    let missing = Said::alone(&[], &["pipeline", "check", "nowhere.toml"]).await;
    missing.expect(1, "nowhere.toml");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_from_the_first_to_its_end() {
    let host = Host::start(Setup::demo()).await;
    let token = async |args: &[&str]| host.run(&[&["token"], args].concat()).await;
    token(&["list"]).await.expect(0, "no tokens");
    let ci = ["create", "--name", "ci", "--scope", "submit"];
    token(&ci)
        .await
        .expect(1, "create one with every scope first");
    let me = [
        "create", "--name", "me", "--scope", "read", "submit", "admin",
    ];
    let said = token(&me).await;
    said.expect(0, "for read, submit, admin, all groups");
    let me = said.out.lines().next().unwrap().to_owned();
    assert!(me.starts_with("gantry_") && me.len() == 71, "{said:?}");
    // From now on it is wanted.
    host.run(&["jobs"]).await.expect(1, "GANTRY_TOKEN");
    let as_me = async |args: &[&str]| host.run(&[args, &["--token", &me]].concat()).await;
    as_me(&["jobs"]).await.expect(0, "no jobs");

    let acme = [
        "token",
        "create",
        "--name",
        "acme",
        "--scope",
        "read,submit",
        "--group",
        "acme",
    ];
    let acme = as_me(&[&acme[..], &["--json"]].concat()).await.json();
    assert_eq!(acme["groups"], serde_json::json!(["acme"]));
    let (text, id) = (
        acme["token"].as_str().unwrap(),
        acme["id"].as_str().unwrap(),
    );
    let as_acme = async |args: &[&str]| host.run(&[args, &["--token", text]].concat()).await;
    let other = ["submit", "wax", "--group", "other"];
    as_acme(&other)
        .await
        .expect(1, "the token is bound to the group `acme`");
    let bees = as_acme(&["submit", "bees", "--json"]).await.json();
    assert_eq!(bees["group"], "acme");
    let wax = as_me(&["submit", "wax", "--json"]).await.json();
    let wax = wax["id"].as_str().unwrap();
    as_acme(&["job", wax]).await.expect(1, "there is no job");
    as_acme(&["pause", "--all"]).await.expect(1, "`admin`");
    assert!(!as_acme(&["jobs"]).await.out.contains("wax"));
    as_acme(&["watch", bees["id"].as_str().unwrap()])
        .await
        .expect(0, "job.succeeded");

    let list = as_me(&["token", "list"]).await;
    for part in [id, "acme", "read,submit", "groups acme", "all groups"] {
        list.expect(0, part);
    }
    assert!(!list.out.contains("gantry_"), "{list:?}");
    as_me(&["token", "revoke", "nobody"])
        .await
        .expect(1, "no token");
    as_me(&["token", "revoke", id]).await.expect(0, id);
    as_acme(&["jobs"]).await.expect(1, "revoked");
    as_me(&["token", "list"]).await.expect(0, "revoked ");
    let own = as_me(&["token", "list", "--json"]).await.json();
    let own = own["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "me");
    let own = own.unwrap()["id"].as_str().unwrap();
    as_me(&["token", "revoke", own]).await.expect(1, "--store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_token_and_a_last_straight_in_the_store() {
    let host = Host::start(Setup::demo()).await;
    let token = async |args: &[&str]| host.run(&[&["token"], args, &["--store"]].concat()).await;
    let ci = ["create", "--name", "ci", "--scope", "read"];
    token(&ci)
        .await
        .expect(1, "create one with every scope first");
    let me = [
        "create", "--name", "me", "--scope", "read", "admin", "--json",
    ];
    let me = token(&me).await.json();
    let (text, id) = (me["token"].as_str().unwrap(), me["id"].as_str().unwrap());
    // The host that runs knows it at once.
    host.run(&["jobs", "--token", text])
        .await
        .expect(0, "no jobs");
    token(&["list"]).await.expect(0, "read,admin");
    // Its last one, too: whoever has the store can make another.
    token(&["revoke", id]).await.expect(0, id);
    token(&["revoke", "nobody"]).await.expect(1, "no token");
    let again = [
        "create", "--name", "me", "--scope", "admin", "read", "--json",
    ];
    let again = token(&again).await.json();
    let text = again["token"].as_str().unwrap();
    host.run(&["jobs", "--token", text])
        .await
        .expect(0, "no jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_others_reach_wants_a_token_at_its_start() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let gantry = |args: &[&str]| {
        let mut command = Command::new(gantry());
        command
            .args(args)
            .env_clear()
            .current_dir(folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GANTRY_DATA", folder.path().join("d"))
            .env("RUNNER", "process")
            .env("BIND", "0.0.0.0")
            .env("PORT", "0");
        command
    };
    let refused = async || {
        for args in [["serve"], ["check"]] {
            Said::by(gantry(&args))
                .await
                .expect(1, "gantry token create --store");
        }
    };
    refused().await;
    let create = [
        "token", "create", "--name", "me", "--scope", "read", "admin", "--store",
    ];
    let me = Said::by(gantry(&[&create[..], &["--json"]].concat()))
        .await
        .json();

    let mut serve = gantry(&["serve"]);
    serve
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut host = serve.spawn().unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let ready = lines.next().unwrap().unwrap();
    let port = ready.rsplit(':').next().unwrap();
    let server = format!("http://127.0.0.1:{port}");
    let jobs = ["jobs", "--server", &server, "--token"];
    let with = |token: &str| gantry(&[&jobs[..], &[token]].concat());
    Said::by(with(me["token"].as_str().unwrap()))
        .await
        .expect(0, "no jobs");
    Said::by(with("gantry_00")).await.expect(1, "isn't known");
    kill_process(Pid::from_child(&host), Signal::TERM).unwrap();
    assert_eq!(host.wait().unwrap().code(), Some(0));

    let revoke = ["token", "revoke", me["id"].as_str().unwrap(), "--store"];
    Said::by(gantry(&revoke)).await.expect(0, "is revoked");
    refused().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn help_examples_and_exit_statuses() {
    Said::alone(&[], &["--help"]).await.expect(0, "submit");
    Said::alone(&[], &["--version"]).await.expect(0, "gantry");
    for command in [
        "serve", "submit", "jobs", "job", "watch", "cancel", "retry", "logs", "check",
    ] {
        Said::alone(&[], &[command, "--help"])
            .await
            .expect(0, "Example");
    }
    for act in ["create", "list", "revoke"] {
        Said::alone(&[], &["token", act, "--help"])
            .await
            .expect(0, "Example");
    }
    for (args, said) in [
        (&["token", "create", "--name", "a"][..], "--scope"),
        (&["token", "create", "--scope", "read"], "--name"),
        (
            &["token", "create", "--name", "a", "--scope", "write"],
            "read, submit, admin",
        ),
        (&["token", "revoke"], "<ID>"),
        (&["token", "list", "--config", "a.toml"], "--store"),
    ] {
        Said::alone(&[], args).await.expect(2, said);
    }
    Said::alone(&[], &[]).await.expect(2, "Usage");
    Said::alone(&[], &["sing"]).await.expect(2, "sing");
    let nobody = ["jobs", "--server", "http://127.0.0.1:9"];
    Said::alone(&[], &nobody)
        .await
        .expect(1, "start one with `gantry serve`");
    Said::alone(&[], &["jobs", "--server", "nonsense"])
        .await
        .expect(1, "nonsense");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_ends_a_command_without_a_word_and_not_a_host() {
    let folder = tempfile::tempdir().unwrap();
    let unread = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(gantry());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GANTRY_DATA", folder.path().join("d"))
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped());
        command
    };
    let checked = unread(&["check"]).output().unwrap();
    assert_eq!(checked.status.code(), Some(141), "{checked:?}");
    assert_eq!(String::from_utf8_lossy(&checked.stderr), "");

    // Nobody can read its port from it.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let mut host = unread(&["serve"]).env("PORT", &port).spawn().unwrap();
    let mut logs = BufReader::new(host.stderr.take().unwrap()).lines();
    // It listens before it says so.
    let begun = logs.find(|line| line.as_ref().unwrap().contains("pipeline ready"));
    assert!(begun.is_some(), "the host ended");
    let server = format!("http://127.0.0.1:{port}");
    let job = ["submit", "bees", "--watch", "--server", &server];
    Said::alone(&[], &job).await.expect(0, "succeeded");
    kill_process(Pid::from_child(&host), Signal::TERM).unwrap();
    assert_eq!(host.wait().unwrap().code(), Some(0));
}
