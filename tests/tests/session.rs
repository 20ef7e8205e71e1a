//! Agents that are cut off in the middle of their work: the next run goes on with their session,
//! where the pipeline allows it. What is said to Claude Code there is looked at from the
//! provider's side. That nothing runs twice is `crash`'s matter.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tests::harness::{Agents, DEADLINE, Game, Host, Part, Parts, Setup, gantry};
use tests::standin::{Asked, Gate, Reply, Script, Standin};
use tokio::time::{sleep, timeout};

const NAME: &str = "a game about a ferry";
const KEY: &str = "the-real-key";

/// One phase of one attempt: a second one would fail the job.
fn pipeline(resume: bool) -> String {
    format!(
        "name = \"short\"\n\
         [[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 1\nresume = {resume}\n"
    )
}

async fn submit(host: &Host) -> String {
    let job = json!({ "name": NAME, "pipeline": "short" });
    host.client().submit_with(&job).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_off_is_followed_by_one_in_its_session() {
    let [first, second] = sessions_of_two_runs(true).await;
    assert_eq!(first, (second.0.clone(), "0".to_owned()));
    assert_eq!(second.1, "1", "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_phase_says_so_a_run_that_is_cut_off_is_followed_by_one_in_a_new_session() {
    let [first, second] = sessions_of_two_runs(false).await;
    assert_ne!(first.0, second.0);
    assert_eq!([first.1, second.1], ["0", "0"]);
}

/// `SESSION_ID` and `RESUME` of a run that a machine went off with, and of the next one.
async fn sessions_of_two_runs(resume: bool) -> [(String, String); 2] {
    let agents = Agents::new();
    let mut held = agents.hold("idea", "idea");
    let setup = Setup::agents(&agents).pipeline("short", &pipeline(resume));
    let mut host = Host::start(setup).await;
    let id = submit(&host).await;
    held.arrived().await;
    host.power_off().await;
    host.restart().await;
    held.arrived().await;
    held.let_on().await;
    second_run_succeeds(&host, &id, resume).await;
    sessions(&agents).try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_the_agent_failed_begins_a_new_session() {
    let work = format!(
        "if [ $RESUME = 1 ]; then exit 3; fi; {} __demo-agent",
        gantry().display()
    );
    let agents = Agents::running(&work);
    let mut held = agents.hold("idea", "idea");
    let setup = Setup::agents(&agents).pipeline("short", &pipeline(true));
    let mut host = Host::start(setup).await;
    let id = submit(&host).await;
    held.arrived().await;
    agents.free("idea", "idea");
    host.power_off().await;
    host.restart().await;
    let job = host.client().ended(&id).await;
    assert_eq!(job["error"]["kind"], "agent-failed", "{job:#}");
    host.run(&["retry", &id]).await.expect(0, &id);
    host.client().succeeded(&id).await;
    let [first, second, third] = sessions(&agents).try_into().unwrap();
    assert_eq!(first.0, second.0);
    assert_ne!(second.0, third.0);
    assert_eq!([first.1, second.1, third.1], ["0", "1", "0"]);
    let sessions = agents.sessions();
    assert!(
        sessions.iter().all(|line| line.ends_with(" -")),
        "{sessions:?}"
    );
}

fn sessions(agents: &Agents) -> Vec<(String, String)> {
    let lines = agents.sessions().into_iter();
    let words = lines.map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[1].to_owned(), words[2].to_owned())
    });
    words.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_code_that_is_cut_off_goes_on_with_its_session_in_docker() {
    let test = "claude_code_that_is_cut_off_goes_on_with_its_session_in_docker";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_some() {
        let setup = |url: &str| Setup::docker(url, KEY);
        let cut = Cut::in_its_second_turn(true, setup).await;
        cut.host.remove_containers();
        let asked = cut.goes_on().await;
        goes_on_with(&asked[..2], &asked[2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_code_goes_on_with_its_session_after_the_machine_was_off_in_docker() {
    let test = "claude_code_goes_on_with_its_session_after_the_machine_was_off_in_docker";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_some() {
        let setup = |url: &str| Setup::docker(url, KEY);
        let mut cut = Cut::in_its_second_turn(true, setup).await;
        cut.host.power_off().await;
        cut.host.restart().await;
        let asked = cut.goes_on().await;
        goes_on_with(&asked[..2], &asked[2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_phase_says_so_claude_code_begins_anew_in_docker() {
    let test = "where_a_phase_says_so_claude_code_begins_anew_in_docker";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_some() {
        let setup = |url: &str| Setup::docker(url, KEY);
        let cut = Cut::in_its_second_turn(false, setup).await;
        cut.host.remove_containers();
        let asked = cut.goes_on().await;
        begins_anew(&asked[0], &asked[2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_in_half_a_line_is_gone_on_with() {
    let test = "a_session_that_ends_in_half_a_line_is_gone_on_with";
    if Parts::of(test, &[Part::Claude]).is_some() {
        let mut cut = Cut::in_its_second_turn(true, |url| Setup::claude(url, KEY)).await;
        cut.host.power_off().await;
        let (path, text) = session_file(&cut.host).unwrap();
        let result = text.find("\"tool_result\"").unwrap();
        fs::write(&path, &text[..result]).unwrap();
        cut.host.restart().await;
        let asked = cut.goes_on().await;
        let before = asked[2].without_prompt().unwrap();
        assert_eq!(before.prompt(), asked[0].prompt());
        assert_eq!(before.tool_uses(), asked[1].tool_uses());
        let results = before.tool_results();
        assert_eq!(results.len(), 1, "{results:#?}");
        assert!(results[0].is_error, "nobody knows of it: {results:#?}");
        let (_, mended) = session_file(&cut.host).unwrap();
        for line in mended.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_conversation_begins_anew() {
    let test = "a_session_without_a_conversation_begins_anew";
    if Parts::of(test, &[Part::Claude]).is_some() {
        let mut cut = Cut::in_its_second_turn(true, |url| Setup::claude(url, KEY)).await;
        cut.host.power_off().await;
        let (path, text) = session_file(&cut.host).unwrap();
        // The prompt's own line is the first that is a conversation.
        let prompt = text.find("\"type\":\"user\"").unwrap();
        fs::write(&path, &text[..prompt]).unwrap();
        cut.host.restart().await;
        let asked = cut.goes_on().await;
        begins_anew(&asked[0], &asked[2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_the_provider_ended_is_gone_on_with_and_costs_what_it_asked_for() {
    let test = "a_run_that_the_provider_ended_is_gone_on_with_and_costs_what_it_asked_for";
    if Parts::of(test, &[Part::Claude]).is_none() {
        return;
    }
    let api = Standin::start(Game::of(NAME).script()).await.unwrap();
    let setup = Setup::claude(api.url(), KEY).pipeline("short", &pipeline(true));
    let host = Host::start(setup).await;
    let whole = host.client().succeeded(&submit(&host).await).await;
    let first = api.asked().len();
    let (game, overloaded) = (Game::of(NAME).script(), AtomicBool::new(true));
    api.play(move |asked: &Asked| {
        if asked.turn() == 2 && overloaded.swap(false, Ordering::SeqCst) {
            return Reply::error(529, "overloaded_error", Some(0));
        }
        game.reply(asked)
    });
    let id = submit(&host).await;
    let job = second_run_succeeds(&host, &id, true).await;
    let asked = api.asked().split_off(first);
    goes_on_with(&asked[..2], asked.last().unwrap());
    assert_ne!(whole["cost_usd"], "0", "{whole:#}");
    // Both had two answers of the same size.
    assert_eq!(job["cost_usd"], whole["cost_usd"], "{job:#}");
}

/// A job whose agent waits for the second answer of its model.
struct Cut {
    host: Host,
    api: Standin,
    gate: Gate,
    id: String,
    resume: bool,
}

impl Cut {
    async fn in_its_second_turn(resume: bool, setup: impl Fn(&str) -> Setup) -> Self {
        let (gate, game) = (Gate::default(), Game::of(NAME).script());
        let api = Standin::start(second_turn_behind(game, gate.clone()))
            .await
            .unwrap();
        let setup = setup(api.url()).pipeline("short", &pipeline(resume));
        let host = Host::start(setup).await;
        let id = submit(&host).await;
        api.asked_times(2, DEADLINE).await.unwrap();
        // The CLI writes its session down a little later than it goes on.
        let noted = async {
            while !session_file(&host).is_some_and(|(_, text)| text.contains("\"tool_result\"")) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, noted).await.unwrap();
        Self {
            host,
            api,
            gate,
            id,
            resume,
        }
    }

    /// The second run ends well; all that the provider was asked.
    async fn goes_on(&self) -> Vec<Asked> {
        self.gate.open();
        second_run_succeeds(&self.host, &self.id, self.resume).await;
        let mut asked = self.api.asked();
        asked.retain(|asked| asked.tools().contains(&"Write"));
        asked
    }
}

fn second_turn_behind(script: impl Script, gate: Gate) -> impl Script {
    move |asked: &Asked| {
        let reply = script.reply(asked);
        match asked.turn() {
            2 => reply.behind(&gate),
            _ => reply,
        }
    }
}

/// The job succeeds in its first attempt, by the second run of its task; people are told which.
async fn second_run_succeeds(host: &Host, id: &str, resume: bool) -> Value {
    let job = host.client().succeeded(id).await;
    let attempts = job["phases"][0]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{job:#}");
    assert_eq!(attempts[0]["tasks"][0]["run"], 2, "{job:#}");
    let events = host.client().events(id).await;
    let started = events.iter().filter(|event| event.name == "agent.started");
    let told: Vec<_> = started
        .map(|event| (&event.data["data"]["run"], &event.data["data"]["resume"]))
        .collect();
    assert_eq!(
        told,
        [(&json!(1), &json!(false)), (&json!(2), &json!(resume))]
    );
    job
}

/// The model is sent all that it had said and heard, and then that this was cut off.
#[track_caller]
fn goes_on_with(first: &[Asked], again: &Asked) {
    // What it is told last may stand in one message with the result of its last tool.
    let before = again.without_prompt().unwrap_or_else(|| again.clone());
    assert_eq!(before.prompt(), first[0].prompt());
    assert_eq!(before.tool_uses(), first[1].tool_uses());
    let results = before.tool_results();
    assert_eq!(results, first[1].tool_results());
    assert!(results.len() == 1 && !results[0].is_error, "{results:?}");
    let messages = again.body["messages"].to_string();
    let told = messages.contains("You were cut off");
    assert!(told, "{}", again.prompt());
}

#[track_caller]
fn begins_anew(first: &Asked, again: &Asked) {
    assert_eq!(again.prompt(), first.prompt());
    assert!(again.without_prompt().is_none() && again.tool_uses().is_empty());
}

/// The one session that the host's only job has, and what is in it.
fn session_file(host: &Host) -> Option<(PathBuf, String)> {
    let mut folder = host.data().join("workspaces");
    for name in [None, Some("session"), Some("projects"), None, None] {
        folder = match name {
            Some(name) => folder.join(name),
            None => below(&folder)?,
        };
    }
    let text = fs::read_to_string(&folder).ok()?;
    Some((folder, text))
}

/// The one thing in a folder that isn't hidden.
fn below(folder: &Path) -> Option<PathBuf> {
    let there = fs::read_dir(folder).ok()?.flatten();
    let mut there = there.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    there.next().map(|entry| entry.path())
}
