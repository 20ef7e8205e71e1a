//! What people, clients and agents may send that is wrong: each is refused in words that name the
//! culprit and the mend, and the host goes on. It doesn't guess at what was meant.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use reqwest::Method;
use serde_json::{Value, json};
use tests::harness::{Agents, DEADLINE, Host, Said, Setup};

const UNKNOWN_KEY: &str = "name=\"typo\"\n[[phase]]\nid=\"a\"\nplugin=\"idea\"\ntimout=\"1m\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn wrong_jobs_are_refused_with_the_reason() {
    let host = Host::start(Setup::demo()).await;
    let client = host.client();
    let long = "x".repeat(10_000);
    for (body, status, code, said) in [
        (
            json!({"name": "a", "pipeline": "gmae"}),
            422,
            "unknown-pipeline",
            "there is no pipeline `gmae`; there are game",
        ),
        (
            json!({"name": "a", "params": [1]}),
            422,
            "invalid-body",
            "map",
        ),
        (
            json!({"name": "a", "params": {"x": "y".repeat(70_000)}}),
            422,
            "invalid-job",
            "params",
        ),
        (json!({"name": ""}), 422, "invalid-job", "the name is empty"),
        (
            json!({"name": " \t"}),
            422,
            "invalid-job",
            "the name is empty",
        ),
        (
            json!({"name": long}),
            422,
            "invalid-job",
            "the name is 10000 bytes long; at most 500",
        ),
        (
            json!({"name": "a\u{0}b"}),
            422,
            "invalid-job",
            "U+0000 at byte 1",
        ),
        (
            json!({"name": "a\u{1b}[2Jb"}),
            422,
            "invalid-job",
            "U+001B at byte 1",
        ),
        (json!({"name": 5}), 422, "invalid-body", "string"),
        (json!({"pipeline": "game"}), 422, "invalid-body", "name"),
        (
            json!({"name": "a", "prams": {}}),
            422,
            "invalid-body",
            "prams",
        ),
        (
            json!({"name": "a", "priority": 100_000}),
            422,
            "invalid-job",
            "-1000 to 1000",
        ),
        (
            json!({"name": "a", "run_at": "tomorrow"}),
            422,
            "invalid-job",
            "RFC 3339",
        ),
    ] {
        let answer = client.post("/api/jobs", &body).await;
        is_problem(&answer.json(), status, code, said);
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let jobs = client.get("/api/jobs").await.json();
    assert_eq!(jobs["items"], json!([]), "none of them became a job");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused_with_the_reason() {
    let host = Host::start(Setup::demo()).await;
    let client = host.client();
    for (path, status, code, said) in [
        (
            "/api/jobs?limit=abc",
            400,
            "bad-query",
            "`limit` must be 1 to 200",
        ),
        (
            "/api/jobs?limit=0",
            400,
            "bad-query",
            "`limit` must be 1 to 200",
        ),
        (
            "/api/jobs?limit=201",
            400,
            "bad-query",
            "`limit` must be 1 to 200",
        ),
        ("/api/jobs?status=done", 400, "bad-query", "queued"),
        ("/api/jobs?colour=red", 400, "bad-query", "colour"),
        ("/api/jobs/1", 400, "bad-id", "UUID"),
        (
            "/api/jobs/018f0000-0000-7000-8000-000000000001",
            404,
            "not-found",
            "there is no job",
        ),
        ("/api/nothing", 404, "not-found", ""),
    ] {
        let answer = client.get(path).await;
        is_problem(&answer.json(), status, code, said);
    }
    let post = client.request(Method::POST, "/api/jobs");
    let broken = post
        .header("content-type", "application/json")
        .body("{\"name\":");
    is_problem(&client.send(broken).await.json(), 400, "bad-json", "");
    let post = client.request(Method::POST, "/api/jobs").body("name=a");
    is_problem(
        &client.send(post).await.json(),
        415,
        "unsupported-media-type",
        "application/json",
    );
    let post = client.request(Method::POST, "/api/jobs");
    let huge = post
        .header("content-type", "application/json")
        .body(vec![b' '; 100 << 20]);
    is_problem(&client.send(huge).await.json(), 413, "too-large", "bytes");
    let post = client
        .request(Method::POST, "/api/jobs")
        .header("origin", "http://evil.example");
    let foreign = post.json(&json!({"name": "a"}));
    is_problem(&client.send(foreign).await.json(), 403, "wrong-origin", "");
    assert_eq!(client.get("/livez").await.status, 200, "the host goes on");
}

fn is_problem(problem: &Value, status: u16, code: &str, said: &str) {
    assert_eq!(
        (&problem["status"], &problem["code"]),
        (&json!(status), &json!(code)),
        "{problem}"
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(said), "no `{said}` in: {detail}");
    assert!(
        problem["request_id"].is_string() && problem["title"].is_string(),
        "{problem}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_commands_are_refused_with_the_reason() {
    let host = Host::start(Setup::demo()).await;
    let long = "x".repeat(10_000);
    for (args, code, said) in [
        (
            &["submit", "a", "--pipeline", "gmae"][..],
            1,
            "there is no pipeline `gmae`",
        ),
        (
            &["submit", "a", "--param", "novalue"],
            1,
            "--param novalue: must be K=V",
        ),
        (&["submit", ""], 1, "the name is empty"),
        (&["submit", &long], 1, "at most 500"),
        (&["submit", "a\u{7}b"], 1, "U+0007"),
        (&["submit"], 2, "<NAME>"),
        (&["jobs", "--limit", "abc"], 2, "abc"),
        (&["jobs", "--limit", "0"], 1, "`limit` must be 1 to 200"),
        (&["jobs", "--status", "done"], 1, "queued"),
        (&["job", "1"], 1, "UUID"),
        (
            &["cancel", "018f0000-0000-7000-8000-000000000001"],
            1,
            "there is no job",
        ),
        (&["submitt", "a"], 2, "submit"),
    ] {
        host.run(args).await.expect(code, said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_refused_with_the_mend() {
    for (settings, args, said) in [
        (
            &[][..],
            &["serve", "--set", "PROT=1"][..],
            "did you mean `PORT`?",
        ),
        (&[("BIND", "0.0.0.0")], &["serve"], "API_TOKEN"),
        (&[("PORT", "abc")], &["serve"], "PORT=`abc`"),
        (
            &[("RUNNER", "podman")],
            &["serve"],
            "must be `auto`, `docker` or `process`",
        ),
        (&[("RUNNER", "docker")], &["serve"], "ANTHROPIC_API_KEY"),
        (
            &[("DATABASE_URL", "mysql://x/y")],
            &["serve"],
            "must be `sqlite:PATH` or `postgres://",
        ),
        (
            &[("DATABASE_URL", "sqlite:/there/is/none/gantry.db")],
            &["serve"],
            "there is no folder /there/is/none: make it first",
        ),
        (&[], &["serve", "--config", "nowhere.toml"], "nowhere.toml"),
    ] {
        Said::alone(settings, args).await.expect(1, said);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "max_concurent = 3\n").unwrap();
    let said = Said::alone(&[], &["serve", "--config", file.path().to_str().unwrap()]).await;
    said.expect(
        1,
        "unknown setting `max_concurent`: did you mean `max_concurrent`?",
    );
    said.expect(1, file.path().to_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_file_with_an_unknown_key_is_named_where_pipelines_are() {
    let host = Host::start(Setup::demo().pipeline("typo", UNKNOWN_KEY)).await;
    let client = host.client();
    let has_both = |page: &Value| {
        page["items"]
            .as_array()
            .is_some_and(|items| items.len() == 2)
    };
    let pipelines = client.until("/api/pipelines", has_both).await;
    let typo = pipelines["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "typo");
    let error = typo.unwrap()["error"].as_str().unwrap();
    assert!(
        error.contains("timout") && error.contains("timeout"),
        "{error}"
    );
    let answer = client
        .post("/api/jobs", &json!({"name": "a", "pipeline": "typo"}))
        .await;
    is_problem(&answer.json(), 422, "unknown-pipeline", "timout");

    let file = host.data().join("pipelines/typo.toml");
    let said = host
        .run(&["pipeline", "check", file.to_str().unwrap()])
        .await;
    said.expect(1, "timout");
    said.expect(1, "typo.toml");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_things_in_a_workspace_are_neither_followed_nor_given_out() {
    let agents = Agents::running(&format!(
        "ln -s /etc/passwd secret; ln -s / root; ln -s .. up; mkfifo pipe; mkdir folder\n\
         printf x >\"$(printf 'odd\\377name')\"; printf 'x\\n' >'a\nb'\n\
         (truncate -s 2T sparse) 2>/dev/null\n\
         {} __demo-agent",
        tests::harness::gantry().display()
    ));
    let host = Host::start(Setup::agents(&agents)).await;
    let client = host.client();
    let id = client.submit("a game about odd names").await;
    client.succeeded(&id).await;
    let files = client.get(&format!("/api/jobs/{id}/files")).await;
    assert_eq!(files.status, 200, "{}", files.text());
    let listed: Vec<String> = files.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect();
    // The agent asked for 2 TB, and no file of its may be larger than 1 GiB.
    let items = files.json()["items"].as_array().cloned().unwrap();
    let sparse = items.iter().find(|file| file["path"] == "sparse").unwrap();
    assert!(sparse["size"].as_u64().unwrap() <= 1 << 30, "{sparse}");
    for path in ["idea.json", "site/index.html"] {
        assert!(listed.iter().any(|it| it == path), "{listed:?}");
    }
    for path in ["secret", "pipe", "up", "root", "folder"] {
        assert!(!listed.iter().any(|it| it == path), "{listed:?}");
        let answer = client.get(&format!("/api/jobs/{id}/files/{path}")).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
    }
    for path in [
        "root/etc/passwd",
        "up/up/etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "secret/x",
    ] {
        let answer = client.get(&format!("/api/jobs/{id}/files/{path}")).await;
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.text()
        );
        assert!(!answer.text().contains("root:"), "{path} leads out");
    }
    let idea = client.get(&format!("/api/jobs/{id}/files/idea.json")).await;
    assert!(
        idea.header("content-disposition").starts_with("attachment"),
        "{idea:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_left_in_place_of_its_file_is_sent_back() {
    let agents = Agents::running(
        "case $JOB_NAME in\n\
         link) ln -sf /etc/passwd idea.json;;\n\
         fifo) [ -p idea.json ] || mkfifo idea.json;;\n\
         folder) mkdir -p idea.json;;\n\
         large) head -c 300M /dev/zero >idea.json;;\n\
         bytes) printf '\\377\\376' >idea.json;;\n\
         nothing) ;;\n\
         esac\n\
         echo '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"ok\"}' \
         >\"$OUT_DIR/agent.jsonl\"",
    );
    let host = Host::start(Setup::agents(&agents)).await;
    let client = host.client();
    for name in ["link", "fifo", "folder", "large", "bytes", "nothing"] {
        let job = client.ended(&client.submit(name).await).await;
        assert_eq!(job["status"], "failed", "{name}: {job:#}");
        assert_eq!(job["error"]["kind"], "not-accepted", "{name}: {job:#}");
        let message = job["error"]["message"].as_str().unwrap();
        assert!(message.contains("idea.json"), "{name}: {message}");
        assert!(!message.contains("root:"), "{name}: {message}");
        assert_eq!(
            job["phases"][0]["attempts"].as_array().unwrap().len(),
            3,
            "{name}"
        );
    }
    assert_eq!(client.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_check_says_so_and_a_job_waits_for_it() {
    let engine = [
        ("RUNNER", "docker"),
        ("DOCKER_HOST", "unix:///nonexistent/docker.sock"),
        ("ANTHROPIC_API_KEY", "not-used"),
    ];
    let said = Said::alone(&engine, &["check"]).await;
    said.expect(1, "WRONG runner");
    said.expect(1, "/nonexistent/docker.sock");
    let json = Said::alone(&engine, &["check", "--json"]).await.json();
    assert_eq!(json["ok"], false);

    let setup = engine
        .iter()
        .fold(Setup::default(), |setup, (name, value)| {
            setup.set(name, *value)
        });
    let host = Host::start(setup).await;
    let client = host.client();
    let id = client.submit("a game about waiting").await;
    let job = client
        .wait_for(&id, "waiting", |job| job["status"] == "waiting")
        .await;
    assert_eq!(job["wait"]["reason"], "engine", "{job:#}");
    assert!(job["wait"]["until"].is_string() && job["wait"]["message"].is_string());
    assert_eq!(
        job["phases"][0]["attempts"].as_array().unwrap().len(),
        1,
        "not an attempt used"
    );
    assert_eq!(
        client
            .post(&format!("/api/jobs/{id}/cancel"), &json!({}))
            .await
            .status,
        202
    );
    assert_eq!(client.ended(&id).await["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_leaves_no_process() {
    let host = Host::start(Setup::demo().set("DEMO_PACE_MS", "600000")).await;
    let client = host.client();
    let id = client.submit("a game about stopping").await;
    client
        .event(&id, "its agent starts", |event| {
            event["type"] == "agent.started"
        })
        .await;
    let running = client
        .post(&format!("/api/jobs/{id}/cancel"), &json!({}))
        .await;
    assert_eq!(running.status, 202, "{}", running.text());
    let job = client.ended(&id).await;
    assert_eq!(job["status"], "cancelled", "{job:#}");
    assert_eq!(job["error"]["kind"], "cancelled");
    assert_eq!(host.processes().len(), 1, "the host is alone");
    assert!(client.sites().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_at_work_is_stopped_by_a_cancel() {
    let agents = Agents::new();
    let mut held = agents.hold("idea", "idea");
    let host = Host::start(Setup::agents(&agents)).await;
    let id = host.client().submit("a game about stopping").await;
    let agent = held.arrived().await;
    host.run(&["cancel", &id]).await.expect(0, &id);
    assert_eq!(host.client().ended(&id).await["status"], "cancelled");
    agent.ended(DEADLINE).await;
    assert_eq!(host.processes().len(), 1, "the host is alone");
    assert_eq!(
        agents.runs(),
        ["start idea-idea"],
        "it didn't come to its end"
    );
}
