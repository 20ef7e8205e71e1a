//! Hosts that are killed, asked to end or cut off from their database while agents work: nothing
//! is lost, nothing runs twice, one site is published. What a step does in between is tested in
//! the state machine.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use serde_json::{Value, json};
use tests::harness::{
    Agents, Client, DEADLINE, Database, Game, Host, Part, Parts, Said, Setup, Timeline,
};
use tests::standin::{Asked, Gate, Script, Standin};

const NAME: &str = "a game about a ferry";
const KEY: &str = "the-real-key";
const TASKS: [(&str, &str); 6] = [
    ("idea", "idea"),
    ("design", "currencies"),
    ("design", "progression"),
    ("design", "interface"),
    ("plan", "plan"),
    ("build", "build"),
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_idea_is_worked_on() {
    killed_in("idea", "idea").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_second_of_three_tasks_is_worked_on() {
    killed_in("design", "progression").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_page_is_built() {
    killed_in("build", "build").await;
}

/// The host is killed while this task's agent works, and the agent goes on meanwhile.
async fn killed_in(phase: &str, task: &str) {
    let agents = Agents::new();
    let mut held = agents.hold(phase, task);
    let mut host = Host::start(Setup::agents(&agents)).await;
    let id = host.client().submit(NAME).await;
    let agent = held.arrived().await;
    host.kill().await;
    host.restart().await;
    is_resumed(host.client(), &id, true).await;
    assert_eq!(host.client().job(&id).await["status"], "running");
    held.let_on().await;
    agent.ended(DEADLINE).await;
    nothing_lost_or_doubled(host.client(), &id).await;
    each_ran_once(&agents);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_ends_while_no_host_is_there() {
    let agents = Agents::new();
    let mut held = agents.hold("design", "interface");
    let mut host = Host::start(Setup::agents(&agents)).await;
    let id = host.client().submit(NAME).await;
    let agent = held.arrived().await;
    host.kill().await;
    held.let_on().await;
    agent.ended(DEADLINE).await;
    host.restart().await;
    let timeline = nothing_lost_or_doubled(host.client(), &id).await;
    let finished: Vec<&Value> = timeline
        .events()
        .iter()
        .filter(|event| event["type"] == "agent.finished" && event["data"]["task"] == "interface")
        .collect();
    assert_eq!(
        finished[0]["data"]["exit_code"], 0,
        "its exit status is known: {finished:#?}"
    );
    each_ran_once(&agents);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_three_times_in_one_job() {
    let agents = Agents::new();
    let tasks = [("idea", "idea"), ("plan", "plan"), ("build", "build")];
    let mut held = tasks.map(|(phase, task)| agents.hold(phase, task));
    let mut host = Host::start(Setup::agents(&agents)).await;
    let id = host.client().submit(NAME).await;
    for held in &mut held {
        held.arrived().await;
        host.kill().await;
        held.let_on().await;
        host.restart().await;
    }
    let timeline = nothing_lost_or_doubled(host.client(), &id).await;
    assert_eq!(timeline.of_type("job.resumed").len(), 3);
    each_ran_once(&agents);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_asked_to_end_gives_its_job_back_and_adopts_the_agent() {
    let agents = Agents::new();
    let mut held = agents.hold("design", "progression");
    let mut host = Host::start(Setup::agents(&agents)).await;
    let id = host.client().submit(NAME).await;
    let agent = held.arrived().await;
    let status = host.terminate().await;
    assert!(status.success(), "{status}\n{}", host.log());
    host.restart().await;
    is_resumed(host.client(), &id, false).await;
    held.let_on().await;
    agent.ended(DEADLINE).await;
    let timeline = nothing_lost_or_doubled(host.client(), &id).await;
    assert_eq!(timeline.of_type("phase.interrupted").len(), 1);
    each_ran_once(&agents);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_claude_code_works_in_docker() {
    let test = "killed_while_claude_code_works_in_docker";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_some() {
        restarted_in_docker(true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_while_claude_code_works_in_docker() {
    let test = "asked_to_end_while_claude_code_works_in_docker";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_some() {
        restarted_in_docker(false).await;
    }
}

async fn restarted_in_docker(killed: bool) {
    let (gate, game) = (Gate::default(), Game::of(NAME).script());
    let api = Standin::start(behind(game, gate.clone(), "design/progression.json"))
        .await
        .unwrap();
    let mut host = Host::start(Setup::docker(api.url(), KEY)).await;
    let id = host.client().submit(NAME).await;
    let is_held =
        |event: &Value| event["type"] == "agent.started" && event["data"]["task"] == "progression";
    host.client()
        .event(&id, "the second task of design", is_held)
        .await;
    // Two turns for each task before, and the one that is held.
    api.asked_times(5, DEADLINE).await.unwrap();
    let before = host.containers();
    assert_eq!(before.len(), 1, "{before:#?}");
    if killed {
        host.kill().await;
    } else {
        assert!(host.terminate().await.success());
    }
    let meanwhile = host.containers();
    assert_eq!(
        meanwhile[0]["State"]["Running"], true,
        "the agent goes on without a host"
    );
    host.restart().await;
    is_resumed(host.client(), &id, killed).await;
    let after = host.containers();
    assert_eq!(after.len(), 1, "{after:#?}");
    assert_eq!(after[0]["Id"], before[0]["Id"], "the same container");
    assert_eq!(
        after[0]["State"]["StartedAt"],
        before[0]["State"]["StartedAt"]
    );
    gate.open();
    nothing_lost_or_doubled(host.client(), &id).await;
    assert!(host.containers().is_empty() && host.run_folders().is_empty());
}

/// The script, and behind the gate what is said to a prompt with `marker`.
fn behind(script: impl Script, gate: Gate, marker: &'static str) -> impl Script {
    move |asked: &Asked| {
        let reply = script.reply(asked);
        let mine = asked
            .prompt()
            .contains(&format!("write it down as `{marker}`"));
        if mine { reply.behind(&gate) } else { reply }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_on_the_same_folder_is_refused() {
    let host = Host::start(Setup::demo()).await;
    let mut second = host.command();
    second.arg("serve").env("PORT", "0");
    let said = Said::by(second).await;
    said.expect(1, "is in use by another host");
    said.expect(1, "DATABASE_URL");
    host.client()
        .succeeded(&host.client().submit(NAME).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_for_a_while_loses_nothing() {
    let test = "a_database_that_goes_away_for_a_while_loses_nothing";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let database = Database::new(parts).await;
    let agents = Agents::new();
    let mut held = agents.hold("design", "progression");
    let setup = Setup::agents(&agents)
        .set("DATABASE_URL", database.url())
        .set("LEASE_SECONDS", "6")
        .set("POLL_INTERVAL", "500");
    let host = Host::start(setup).await;
    let id = host.client().submit(NAME).await;
    let agent = held.arrived().await;
    database.go_away().await;
    held.let_on().await;
    agent.ended(DEADLINE).await;
    // Whatever it has to write by then, it has tried.
    host.said("didn't get through").await;
    assert_eq!(database.connections().await, 0, "it is away");
    database.come_back().await;
    nothing_lost_or_doubled(host.client(), &id).await;
    each_ran_once(&agents);
}

/// Waits until a host has taken the job up again; `rescued` where its last one died.
async fn is_resumed(client: &Client, id: &str, rescued: bool) {
    let resumed = client
        .event(id, "job.resumed", |event| event["type"] == "job.resumed")
        .await;
    assert_eq!(resumed["data"]["rescued"], rescued);
}

/// The job succeeds, with each agent run, each accepted phase and the site there just once.
async fn nothing_lost_or_doubled(client: &Client, id: &str) -> Timeline {
    let job = client.succeeded(id).await;
    let timeline = Timeline::of(&client.events(id).await);
    let of_tasks = |kind: &str| TASKS.map(|(phase, task)| format!("{kind} {phase}/{task}"));
    assert_eq!(timeline.of_type("agent.started"), of_tasks("agent.started"));
    assert_eq!(
        timeline.of_type("agent.finished"),
        of_tasks("agent.finished")
    );
    let accepted = ["idea", "design", "plan", "build"].map(|it| format!("phase.accepted {it}"));
    assert_eq!(timeline.of_type("phase.accepted"), accepted);
    assert_eq!(timeline.of_type("phase.started").len(), 4);
    assert_eq!(timeline.of_type("job.deployed").len(), 1);
    for phase in job["phases"].as_array().unwrap() {
        for task in phase["attempts"][0]["tasks"].as_array().unwrap() {
            assert_eq!(task["run"], 1, "no run was started again: {job:#}");
        }
    }
    let sites = client.sites().await;
    assert_eq!(sites.len(), 1, "{sites:#?}");
    assert_eq!(sites[0]["job"], json!(id));
    assert_eq!(
        client
            .site(sites[0]["slug"].as_str().unwrap(), "/")
            .await
            .status,
        200
    );
    timeline
}

/// By the agents' own book.
fn each_ran_once(agents: &Agents) {
    let book = TASKS.map(|(phase, task)| {
        [
            format!("start {phase}-{task}"),
            format!("end {phase}-{task}"),
        ]
    });
    assert_eq!(agents.runs(), book.concat());
}
