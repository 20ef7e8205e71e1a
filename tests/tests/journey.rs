//! The whole journey, from a submit to a game that is played, over both stores and both runners.
//! It looks at nothing but what an outsider sees.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use serde_json::{Value, json};
use tests::harness::{Client, DEADLINE, Database, Game, Host, Part, Parts, Setup, Timeline, play};
use tests::standin::{Asked, Gate, Script as _, Standin};

const NAME: &str = "a game about lighthouse keepers";
const KEY: &str = "the-real-key";
const BROWSER: [Part; 2] = [Part::Chromium, Part::Playwright];
const DOCKER: [Part; 2] = [Part::Docker, Part::WorkerImage];
const TASKS: [(&str, &[&str]); 4] = [
    ("idea", &["idea"]),
    ("design", &["currencies", "progression", "interface"]),
    ("plan", &["plan"]),
    ("build", &["build"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_and_the_demo_agent() {
    let Some(parts) = Parts::of("sqlite_and_the_demo_agent", &BROWSER) else {
        return;
    };
    let host = Host::start(Setup::demo()).await;
    let job = host.client().submit(NAME).await;
    whole(&host, &job, parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_and_the_demo_agent() {
    let wanted = [&BROWSER[..], &[Part::Postgres]].concat();
    let Some(parts) = Parts::of("postgres_and_the_demo_agent", &wanted) else {
        return;
    };
    let database = Database::new(parts).await;
    let host = Host::start(Setup::demo().set("DATABASE_URL", database.url())).await;
    let job = host.client().submit(NAME).await;
    whole(&host, &job, parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_and_claude_code_in_docker() {
    let wanted = [BROWSER, DOCKER].concat();
    let Some(parts) = Parts::of("sqlite_and_claude_code_in_docker", &wanted) else {
        return;
    };
    let (gate, game) = (Gate::default(), Game::of(NAME).script());
    let held = gate.clone();
    let api = Standin::start(move |asked: &Asked| game.reply(asked).behind(&held))
        .await
        .unwrap();
    let host = Host::start(Setup::docker(api.url(), KEY)).await;
    let job = host.client().submit(NAME).await;

    // The agent waits for its first answer: time to look at what it is locked into.
    api.asked_times(1, DEADLINE).await.unwrap();
    let containers = host.containers();
    assert_eq!(containers.len(), 1, "{containers:#?}");
    is_locked(&containers[0], &job);
    gate.open();

    whole(&host, &job, parts).await;
    by_claude_code(host.client(), &job, &api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_and_claude_code_in_docker() {
    let wanted = [&BROWSER[..], &DOCKER, &[Part::Postgres]].concat();
    let Some(parts) = Parts::of("postgres_and_claude_code_in_docker", &wanted) else {
        return;
    };
    let database = Database::new(parts).await;
    let api = Standin::start(Game::of(NAME).script()).await.unwrap();
    let setup = Setup::docker(api.url(), KEY).set("DATABASE_URL", database.url());
    let host = Host::start(setup).await;
    let job = host.client().submit(NAME).await;
    whole(&host, &job, parts).await;
    by_claude_code(host.client(), &job, &api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_names_make_two_games() {
    let Some(parts) = Parts::of("two_names_make_two_games", &BROWSER) else {
        return;
    };
    let host = Host::start(Setup::demo()).await;
    let client = host.client();
    let names = [
        "a game about lighthouse keepers",
        "a game about moss on a roof",
    ];
    let ids = [client.submit(names[0]).await, client.submit(names[1]).await];
    let mut seen = Vec::new();
    for id in &ids {
        let job = client.succeeded(id).await;
        let site = &job["site"];
        let page = client
            .site(site["slug"].as_str().unwrap(), "/")
            .await
            .text();
        let played = play(parts, site["url"].as_str().unwrap()).await;
        assert!(page.contains(&played.action) && page.contains(&played.upgrades[0]));
        seen.push(played);
    }
    let (one, other) = (&seen[0], &seen[1]);
    assert_ne!(one.title, other.title);
    assert_ne!(one.action, other.action);
    assert_ne!(one.currencies, other.currencies);
    assert_ne!(one.upgrades, other.upgrades);
    let slugs: Vec<Value> = client
        .sites()
        .await
        .iter()
        .map(|site| site["slug"].clone())
        .collect();
    assert_eq!(slugs.len(), 2);
    assert_ne!(slugs[0], slugs[1]);
}

/// Everything that holds for a job of the built-in pipeline, whatever it runs on.
async fn whole(host: &Host, id: &str, parts: Parts) {
    let client = host.client();
    let job = client.succeeded(id).await;
    assert_eq!(job["name"], NAME);
    assert_eq!(job["error"], Value::Null);
    in_order(client, id).await;
    every_phase_once(&job);
    resumes(client, id).await;
    site(client, &job, parts).await;
    assert!(!client.logs(id).await.is_empty());
    assert_eq!(
        host.run_folders(),
        Vec::<String>::new(),
        "the runs' folders are gone"
    );
    assert_eq!(
        host.containers(),
        Vec::<Value>::new(),
        "the containers are gone"
    );
    assert_eq!(host.processes().len(), 1, "the host is alone");
}

async fn in_order(client: &Client, id: &str) {
    let mut expected = vec!["job.queued".to_owned(), "job.started".to_owned()];
    for (phase, tasks) in TASKS {
        expected.push(format!("phase.started {phase}"));
        for task in tasks {
            expected.push(format!("agent.started {phase}/{task}"));
            expected.push(format!("agent.finished {phase}/{task}"));
        }
        expected.push(format!("phase.accepted {phase}"));
    }
    expected.extend(["job.deployed".to_owned(), "job.succeeded".to_owned()]);
    let timeline = Timeline::of(&client.events(id).await);
    assert_eq!(timeline.words(), expected);
    let tools = timeline
        .events()
        .iter()
        .filter(|event| event["type"] == "agent.tool");
    assert!(
        tools.count() >= 6,
        "each task's agent wrote a file: {timeline:#?}"
    );
}

fn every_phase_once(job: &Value) {
    let phases = job["phases"].as_array().unwrap();
    for (phase, (id, tasks)) in phases.iter().zip(TASKS) {
        assert_eq!(
            (&phase["id"], &phase["status"]),
            (&json!(id), &json!("accepted"))
        );
        let attempts = phase["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1, "{phase:#}");
        assert_eq!(attempts[0]["plugin"]["name"], id);
        assert_eq!(attempts[0]["verdict"], "accept");
        let done = attempts[0]["tasks"].as_array().unwrap();
        let names: Vec<&str> = done
            .iter()
            .map(|task| task["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, tasks);
        for task in done {
            assert_eq!(
                (&task["status"], &task["exit_code"]),
                (&json!("done"), &json!(0))
            );
        }
    }
}

/// A reader that has seen half of it is given the other half.
async fn resumes(client: &Client, id: &str) {
    let events = client.events(id).await;
    let middle = events.len() / 2;
    let mut rest = client
        .stream(&format!("/api/jobs/{id}/events"), &events[middle].id)
        .await;
    for expected in &events[middle + 1..] {
        let event = tokio::time::timeout(DEADLINE, rest.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((&event.id, &event.data), (&expected.id, &expected.data));
    }
}

async fn site(client: &Client, job: &Value, parts: Parts) {
    let id = job["id"].as_str().unwrap();
    let idea = client
        .get(&format!("/api/jobs/{id}/files/idea.json"))
        .await
        .json();
    let title = idea["title"].as_str().unwrap().to_owned();
    let slug = job["site"]["slug"].as_str().unwrap();
    let page = client.site(slug, "/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type").starts_with("text/html"),
        "{page:?}"
    );
    assert!(page.text().contains("<title>"), "{}", page.text());

    let sites = client.sites().await;
    assert_eq!(sites.len(), 1, "{sites:#?}");
    assert_eq!(
        (&sites[0]["slug"], &sites[0]["title"]),
        (&json!(slug), &json!(title))
    );
    let lead = client.get(&format!("/sites/{slug}/")).await;
    assert!((300..400).contains(&lead.status), "{lead:?}");
    assert_eq!(lead.header("location"), job["site"]["url"]);
    assert_eq!(client.site("no-such-site", "/").await.status, 404);

    let played = play(parts, job["site"]["url"].as_str().unwrap()).await;
    assert_eq!(played.errors, Vec::<String>::new());
    assert_eq!(played.title, title);
    assert_eq!((played.before.as_str(), played.after.as_str()), ("0", "3"));
    assert_eq!(played.reloaded, "3", "a reload keeps the game");
}

/// The container of an agent: no network, no key, no rights, and limits.
fn is_locked(container: &Value, job: &str) {
    let (config, limits) = (&container["Config"], &container["HostConfig"]);
    assert_eq!(limits["NetworkMode"], "none");
    assert_eq!(limits["CapDrop"], json!(["ALL"]));
    assert_eq!(limits["CapAdd"], Value::Null);
    assert_eq!(limits["Privileged"], false);
    assert_eq!(limits["ReadonlyRootfs"], true);
    assert_eq!(limits["Memory"], 2_u64 << 30);
    assert_eq!(limits["NanoCpus"], 1_000_000_000);
    assert!(limits["PidsLimit"].as_i64().unwrap() > 0);
    let options = limits["SecurityOpt"].to_string();
    assert!(
        options.contains("no-new-privileges") && options.contains("seccomp"),
        "{options}"
    );
    let user: u32 = config["User"]
        .as_str()
        .unwrap()
        .split(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert_ne!(user, 0, "not root");
    assert!(config["Labels"]["gantry.installation"].is_string());
    assert!(container["Name"].as_str().unwrap().contains(job));
    assert!(!container.to_string().contains(KEY), "the key is nowhere");
}

/// The model was asked with the key that the agent never had, and what it used is counted.
async fn by_claude_code(client: &Client, id: &str, api: &Standin) {
    let asked = api.asked();
    let messages: Vec<&Asked> = asked
        .iter()
        .filter(|a| a.uri.path() == "/v1/messages")
        .collect();
    assert!(messages.len() >= 12, "two turns a task: {}", messages.len());
    assert!(
        messages
            .iter()
            .all(|asked| asked.header("x-api-key") == KEY)
    );
    let job = client.job(id).await;
    for phase in job["phases"].as_array().unwrap() {
        for task in phase["attempts"][0]["tasks"].as_array().unwrap() {
            let used = (
                task["input_tokens"].as_u64(),
                task["output_tokens"].as_u64(),
            );
            assert!(used >= (Some(200), Some(40)), "{task}");
        }
    }
}
