//! docker-compose.yml as a newcomer starts it: PostgreSQL, the host, agents in containers and
//! nginx in front. What is asked goes through the one published port. The agent is the demo
//! agent in an image of its own, since no model takes part.
//!
//! Wants `GANTRY_TEST_COMPOSE`, the program, and the images that `cargo xtask test` builds;
//! without it each test says that it did not run.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that fails here has failed, and shows what the services said"
)]

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::harness::{Part, Parts};

const HOST_IMAGE: &str = "gantry:test";
const AGENT_IMAGE: &str = "gantry-agent:test";
const TOKEN: &str = "a-token-for-the-test";
const WANTED: &[Part] = &[Part::Docker, Part::Compose];
const JOB_DEADLINE: Duration = Duration::from_secs(90);

/// The services, for as long as this value is there.
struct Project {
    program: PathBuf,
    name: String,
    port: u16,
    state: TempDir,
}

impl Project {
    fn new(parts: Parts) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let state = tempfile::Builder::new().prefix("gantry-compose-").tempdir();
        Self {
            program: parts.place(Part::Compose).into(),
            name: format!("gantry-test-{}-{port}", std::process::id()),
            port,
            state: state.unwrap(),
        }
    }

    /// Compose in this clone, with what `.env` would say and nothing of a developer's own.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.program.ends_with("docker") {
            command.arg("compose");
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker-compose.yml");
        command
            .args(["--file", file, "--env-file", "/dev/null"])
            .args(["--project-name", &self.name, "--progress", "quiet"])
            .env("API_TOKEN", TOKEN)
            .env("POSTGRES_PASSWORD", "apassword")
            .env("GANTRY_PORT", self.port.to_string())
            .env("GANTRY_STATE", self.state.path())
            .env("GANTRY_IMAGE", HOST_IMAGE)
            .env("WORKER_IMAGE", AGENT_IMAGE)
            // It makes the host run agents in containers; nobody is asked with it.
            .env("ANTHROPIC_API_KEY", "no-key")
            .env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
            .env("DOCKER_SOCKET", socket());
        for name in [
            "RUNNER",
            "DOMAIN",
            "MAX_CONCURRENT",
            "ANTHROPIC_AUTH_TOKEN",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "ZAI_BASE_URL",
            "ZAI_API_KEY",
        ] {
            command.env_remove(name);
        }
        command
    }

    fn up(&self, more: &[&str]) {
        let mut up = self.command();
        up.args(["up", "--detach", "--no-build", "--pull", "never"]);
        let ended = up.args(more).output().unwrap();
        let logs = || {
            said(
                &self
                    .command()
                    .args(["logs", "--no-color"])
                    .output()
                    .unwrap(),
            )
        };
        assert!(ended.status.success(), "{}\n{}", said(&ended), logs());
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.command().args(["logs", "--no-color"]).output();
            eprintln!("{}", logs.map(|logs| said(&logs)).unwrap_or_default());
        }
        // What agents left belongs to uids of their own: root in a container removes it.
        let state = format!("{}:/state", self.state.path().display());
        let mut removal = docker(["run", "--rm", "--network=none", "--volume", &state]);
        removal.args([
            "--entrypoint=find",
            HOST_IMAGE,
            "/state",
            "-mindepth",
            "1",
            "-delete",
        ]);
        let mut down = self.command();
        down.args(["down", "--volumes", "--remove-orphans", "--timeout", "10"]);
        for mut command in [down, removal] {
            let ended = command.output();
            if !ended.as_ref().is_ok_and(|ended| ended.status.success()) {
                eprintln!("{command:?}: {ended:?}");
            }
        }
    }
}

fn docker<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut docker = Command::new("docker");
    docker.args(arguments);
    docker
}

/// The engine's socket, as the host's container is given it.
fn socket() -> PathBuf {
    let host = env::var("DOCKER_HOST").unwrap_or_default();
    let path = host
        .strip_prefix("unix://")
        .unwrap_or("/var/run/docker.sock");
    Path::new(path).to_owned()
}

/// Since 1970, rounded up: the engine's events are asked for by whole seconds.
fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        + 1
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A browser's view of the published port: every name of `localhost` leads to it.
fn client(project: &Project, names: &[&str]) -> Client {
    // The first call wins; it is the same provider every time.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .no_proxy()
        .resolve("localhost", project.address());
    let client = names.iter().fold(client, |client, name| {
        client.resolve(name, project.address())
    });
    client.build().unwrap()
}

/// Follows a job's events until one says how it ended.
async fn end_of(client: &Client, events: &str) -> String {
    let follow = async {
        let request = client.get(events).bearer_auth(TOKEN);
        let mut stream = request.send().await.unwrap().error_for_status().unwrap();
        let mut seen = String::new();
        while let Some(chunk) = stream.chunk().await.unwrap() {
            seen.push_str(&String::from_utf8_lossy(&chunk));
            for end in ["job.succeeded", "job.failed", "job.cancelled"] {
                if seen.contains(end) {
                    return end.to_owned();
                }
            }
        }
        panic!("the stream ended before the job: {seen}");
    };
    let ended = tokio::time::timeout(JOB_DEADLINE, follow).await;
    ended.expect("the job ends in time")
}

async fn get(client: &Client, url: &str) -> (StatusCode, String) {
    let answer = client.get(url).bearer_auth(TOKEN).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

async fn job(client: &Client, url: &str) -> Value {
    let (status, body) = get(client, url).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn compose_brings_up_everything_and_a_job_becomes_a_site() {
    let test = "compose_brings_up_everything_and_a_job_becomes_a_site";
    let Some(parts) = Parts::of(test, WANTED) else {
        return;
    };
    let project = Project::new(parts);
    let began = seconds() - 1;
    // nginx starts once the host is healthy, the host once PostgreSQL is.
    project.up(&[]);
    // Started isn't listening yet: a port that is published resets who comes too early.
    project.up(&["--wait", "nginx"]);
    let plain = client(&project, &[]);

    // Nobody comes in without the token, and the database isn't published at all.
    let open = plain.get(project.url("/api/jobs")).send().await.unwrap();
    assert_eq!(open.status(), StatusCode::UNAUTHORIZED);
    let inside = format!("{}_internal", project.name);
    let inside = docker(["network", "inspect", "--format={{.Internal}}", &inside]).output();
    assert_eq!(said(&inside.unwrap()).trim(), "true");

    let request = plain.post(project.url("/api/jobs")).bearer_auth(TOKEN);
    let answer = request
        .json(&json!({"name": "Fog on the pier"}))
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.status(),
        StatusCode::CREATED,
        "{}",
        answer.text().await.unwrap()
    );
    let id = answer.json::<Value>().await.unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let url = project.url(&format!("/api/jobs/{id}"));
    let ended = end_of(&plain, &format!("{url}/events")).await;
    let done = job(&plain, &url).await;
    assert_eq!(ended, "job.succeeded", "{done:#}");
    // Each run of the agent was a container beside the others, made through the engine's socket.
    let (since, until) = (began.to_string(), seconds().to_string());
    let mut runs = docker(["events", "--since", &since, "--until", &until]);
    runs.args([
        "--filter=event=start",
        "--format={{.Actor.Attributes.name}}",
    ]);
    let runs = said(&runs.output().unwrap());
    let runs: Vec<&str> = runs.lines().filter(|name| name.contains(&id)).collect();
    assert_eq!(runs.len(), 6, "{runs:?}");

    // Its site is an origin of its own, at the port that is published.
    let site = done["site"]["url"].as_str().unwrap();
    let slug = done["site"]["slug"].as_str().unwrap();
    let name = format!("{slug}.localhost");
    assert_eq!(
        site.trim_end_matches('/'),
        format!("http://{name}:{}", project.port)
    );
    let (status, page) = get(&client(&project, &[&name]), site).await;
    assert_eq!(status, StatusCode::OK);
    let (_, gallery) = get(&plain, &project.url("/")).await;
    assert!(page.contains("<title>") && page != gallery, "{page}");
    assert!(gallery.contains("Gantry"), "{gallery}");
    // The book beside it, whether `mdbook build docs` was run or not.
    let (status, book) = get(&plain, &project.url("/book/")).await;
    assert!(
        status == StatusCode::OK && book.contains("Introduction"),
        "{status}: {book}"
    );

    // A host that is put anew, with another address, has everything still.
    project.up(&["--force-recreate", "--no-deps", "--wait", "gantry"]);
    assert_eq!(job(&plain, &url).await["status"], "succeeded");
    assert_eq!(
        get(&client(&project, &[&name]), site).await,
        (StatusCode::OK, page)
    );
}

#[test]
fn compose_names_what_env_must_say() {
    let Some(parts) = Parts::of("compose_names_what_env_must_say", WANTED) else {
        return;
    };
    let project = Project::new(parts);
    for name in ["API_TOKEN", "POSTGRES_PASSWORD"] {
        let ended = project
            .command()
            .env_remove(name)
            .arg("config")
            .output()
            .unwrap();
        let said = said(&ended);
        assert!(!ended.status.success() && said.contains(name), "{said}");
        assert!(said.contains(".env"), "{said}");
    }
}
