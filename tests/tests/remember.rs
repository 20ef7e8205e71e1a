//! Attempts that follow one another: the agent goes on with its conversation, unless it is to
//! forget. What is said to Claude Code is looked at from the provider's side. Runs within an
//! attempt are `session`'s matter.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tests::harness::{Agents, DEADLINE, Host, Part, Parts, Setup};
use tests::standin::script::files;
use tests::standin::{Asked, Gate, Script, Standin};
use tokio::time::{sleep, timeout};

const NAME: &str = "a poem about a ferry";
const KEY: &str = "the-real-key";
/// What the plugin wants of the second attempt.
const WANTED: &str = "it has to rhyme";
/// What the entrypoint says before the prompt that comes again.
const AGAIN: &str = "You have worked on this task before";
const CUT_OFF: &str = "You were cut off";

/// One phase, whose plugin sends its first attempt back.
fn poem(setup: Setup, parts: Parts, more: &str) -> Setup {
    let guest = Path::new(&parts.place(Part::Guests)).join("thinks-again.wasm");
    let pipeline = format!(
        "name = \"poem\"\n[[phase]]\nid = \"poem\"\nplugin = \"thinks-again\"\nattempts = 2\n{more}"
    );
    setup
        .plugin("thinks-again.wasm", guest)
        .pipeline("poem", &pipeline)
}

async fn submit(host: &Host) -> String {
    let job = json!({ "name": NAME, "pipeline": "poem" });
    host.client().submit_with(&job).await
}

async fn send_back(host: &Host, id: &str, text: &str) {
    let path = format!("/api/jobs/{id}/feedback");
    let answer = host.client().post(&path, &json!({ "text": text })).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// What the events of a job say of each run: the session, whether the run goes on with that of the
/// one before, and which session of an earlier attempt it is a continuation of.
async fn told(host: &Host, id: &str) -> Vec<(String, bool, Option<String>)> {
    let events = host.client().events(id).await;
    let started = events.iter().filter(|event| event.name == "agent.started");
    let of = |data: &Value| {
        let text = |name: &str| data[name].as_str().map(str::to_owned);
        let resume = data["resume"].as_bool().unwrap();
        (text("session").unwrap(), resume, text("from"))
    };
    started.map(|event| of(&event.data["data"])).collect()
}

/// An agent that does this, and ends well.
fn ends_well(work: &str) -> Agents {
    Agents::running(&format!(
        "{work}\n\
         echo '{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}}' >\"$OUT_DIR/agent.jsonl\""
    ))
}

/// The same as the agent was told it.
fn noted(agents: &Agents) -> Vec<(String, bool, Option<String>)> {
    let lines = agents.sessions().into_iter();
    let words = lines.map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let from = Some(words[3].to_owned()).filter(|from| from != "-");
        (words[1].to_owned(), words[2] == "1", from)
    });
    words.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_a_crash_and_a_person_go_on_with_one_conversation() {
    let test = "an_attempt_a_crash_and_a_person_go_on_with_one_conversation";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    let agents = ends_well("");
    let mut held = agents.hold("poem", "poem");
    let mut host = Host::start(poem(Setup::agents(&agents), parts, "")).await;
    let id = submit(&host).await;
    held.arrived().await;
    held.let_on().await;
    held.arrived().await;
    host.power_off().await;
    agents.free("poem", "poem");
    host.restart().await;
    host.client().succeeded(&id).await;
    send_back(&host, &id, "bluer").await;
    host.client().succeeded(&id).await;

    let told = told(&host, &id).await;
    let [first, second, cut_off, third, fourth] = &told[..] else {
        panic!("an attempt, one in two runs, and two more: {told:?}");
    };
    assert_eq!(noted(&agents), told);
    assert_eq!((first.1, &first.2), (false, &None));
    assert_eq!((second.1, &second.2), (false, &Some(first.0.clone())));
    assert_ne!(second.0, first.0);
    let gone_on_with = (second.0.clone(), true, second.2.clone());
    assert_eq!(*cut_off, gone_on_with);
    assert_eq!((third.1, &third.2), (false, &Some(second.0.clone())));
    assert_eq!((fourth.1, &fourth.2), (false, &Some(third.0.clone())));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_past_their_limit_are_dropped_before_the_next_run() {
    let test = "sessions_past_their_limit_are_dropped_before_the_next_run";
    let Some(parts) = Parts::of(test, &[Part::Guests]) else {
        return;
    };
    // A link to somewhere else is no way to have that removed, too.
    let agents = ends_well(
        "here=$(dirname \"$0\"); ls -A \"$SESSION_DIR\" >>\"$here/kept\"\n\
         mkdir -p \"$here/outside\"; echo me >\"$here/outside/keep\"\n\
         ln -sf \"$here/outside\" \"$SESSION_DIR/link\"\n\
         truncate -s 300M \"$SESSION_DIR/large\"",
    );
    let host = Host::start(poem(Setup::agents(&agents), parts, "")).await;
    let id = submit(&host).await;
    host.client().succeeded(&id).await;
    assert_eq!(noted(&agents).len(), 2);
    let kept = fs::read_to_string(agents.folder().join("kept")).unwrap();
    assert_eq!(kept, "", "the second run found nothing");
    let keep = fs::read_to_string(agents.folder().join("outside/keep"));
    assert_eq!(keep.unwrap(), "me\n");
    let logs = host.client().logs(&id).await;
    let dropped = logs.iter().filter(|line| line.contains("are dropped"));
    let dropped: Vec<_> = dropped.collect();
    assert_eq!(dropped.len(), 1, "{logs:#?}");
    assert!(dropped[0].contains("bytes of the 268435456"), "{dropped:?}");
}

/// Whatever the plugin's verdict or the pipeline says of it: the attempts of Claude Code, and what
/// its model was asked for each.
async fn two_attempts(parts: Parts, more: &str) -> [Vec<Asked>; 2] {
    let api = Standin::start(poems()).await.unwrap();
    let host = Host::start(poem(Setup::claude(api.url(), KEY), parts, more)).await;
    let id = submit(&host).await;
    host.client().succeeded(&id).await;
    by_attempt(&api)
}

/// What the model writes, whichever attempt it is.
fn poems() -> impl Script {
    files([("Write the poem", "poem.md", "A ferry\n")])
}

/// The requests of the agent itself: those before the second attempt, and from it on.
fn by_attempt(api: &Standin) -> [Vec<Asked>; 2] {
    let mut first = api.asked();
    first.retain(|asked| asked.tools().contains(&"Write"));
    let is_second = |asked: &Asked| asked.body["messages"].to_string().contains(WANTED);
    let at = first.iter().position(is_second).unwrap();
    let second = first.split_off(at);
    [first, second]
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_code_that_is_sent_back_remembers_what_it_did() {
    let test = "claude_code_that_is_sent_back_remembers_what_it_did";
    if let Some(parts) = Parts::of(test, &[Part::Claude, Part::Guests]) {
        let [first, second] = two_attempts(parts, "").await;
        remembers(&first, &second[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_code_forgets_where_the_verdict_or_the_pipeline_says_so() {
    let test = "claude_code_forgets_where_the_verdict_or_the_pipeline_says_so";
    if let Some(parts) = Parts::of(test, &[Part::Claude, Part::Guests]) {
        for more in ["settings = { forget = true }\n", "resume = false\n"] {
            let [_, second] = two_attempts(parts, more).await;
            forgets(&second[0]);
        }
    }
}

/// The model is sent all that it had said and heard, and then the prompt with what is wanted.
#[track_caller]
fn remembers(first: &[Asked], second: &Asked) {
    let prompt = second.prompt();
    assert!(prompt.starts_with(AGAIN), "{prompt}");
    assert!(prompt.contains(WANTED), "{prompt}");
    let before = second.without_prompt().unwrap();
    assert_eq!(before.prompt(), first[0].prompt());
    let used = first.last().unwrap().tool_uses();
    assert!(!used.is_empty(), "{:#}", before.body);
    assert_eq!(before.tool_uses().get(..used.len()), Some(&used[..]));
}

#[track_caller]
fn forgets(second: &Asked) {
    let prompt = second.prompt();
    assert!(!prompt.contains(AGAIN), "{prompt}");
    assert!(prompt.contains(WANTED), "{prompt}");
    assert!(second.without_prompt().is_none(), "{:#}", second.body);
    assert!(second.tool_uses().is_empty());
}

/// A job whose second attempt waits for an answer of its model.
struct Second {
    host: Host,
    api: Standin,
    gate: Gate,
    id: String,
}

impl Second {
    /// In its first turn, or the one after it had used a tool.
    async fn in_turn(turn: usize, parts: Parts) -> Self {
        let (gate, script) = (Gate::default(), poems());
        let held = gate.clone();
        let api = Standin::start(move |asked: &Asked| {
            let reply = script.reply(asked);
            match asked.prompt().contains(WANTED) && asked.turn() == turn {
                true => reply.behind(&held),
                false => reply,
            }
        });
        let api = api.await.unwrap();
        let setup = poem(Setup::claude(api.url(), KEY), parts, "");
        let host = Host::start(setup).await;
        let id = submit(&host).await;
        let arrived = async {
            let in_turn = |asked: &Asked| asked.prompt().contains(WANTED) && asked.turn() == turn;
            while !api.asked().iter().any(in_turn) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, arrived).await.unwrap();
        Self {
            host,
            api,
            gate,
            id,
        }
    }

    /// The second run of the second attempt ends well; what the model was asked in the first
    /// attempt, and in this run.
    async fn goes_on(&mut self) -> [Vec<Asked>; 2] {
        let before = self.api.asked().len();
        self.host.restart().await;
        self.gate.open();
        let job = self.host.client().succeeded(&self.id).await;
        let attempts = job["phases"][0]["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 2, "{job:#}");
        assert_eq!(attempts[1]["tasks"][0]["run"], 2, "{job:#}");
        let mut again = self.api.asked().split_off(before);
        again.retain(|asked| asked.tools().contains(&"Write"));
        let [first, _] = by_attempt(&self.api);
        [first, again]
    }

    /// The session of the run that is under way, once its prompt is in it and it is as `wanted`:
    /// the CLI writes it down a little later than it goes on.
    async fn noted(&self, wanted: impl Fn(&str) -> bool) -> (PathBuf, String) {
        let is_it = |text: &str| text.lines().any(is_prompt) && wanted(text);
        let look = async {
            loop {
                let found = self.sessions().into_iter().find(|(_, text)| is_it(text));
                match found {
                    Some(found) => return found,
                    None => sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let noted = timeout(DEADLINE, look).await;
        noted.unwrap_or_else(|_| panic!("not among {:#?}", self.sessions()))
    }

    fn sessions(&self) -> Vec<(PathBuf, String)> {
        let workspaces = self.host.data().join("workspaces");
        let folder = workspaces.join(&self.id).join("session/projects");
        let folder = fs::read_dir(folder).unwrap().next().unwrap();
        let files = fs::read_dir(folder.unwrap().path()).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        paths
            .filter_map(|path| Some((path.clone(), fs::read_to_string(path).ok()?)))
            .collect()
    }
}

/// Whether a line of a session is the second attempt's prompt, as it was said to the model.
fn is_prompt(line: &str) -> bool {
    line.contains("\"type\":\"user\"") && line.contains(WANTED)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_that_is_cut_off_goes_on_with_both() {
    let test = "a_second_attempt_that_is_cut_off_goes_on_with_both";
    let Some(parts) = Parts::of(test, &[Part::Claude, Part::Guests]) else {
        return;
    };
    let mut cut = Second::in_turn(2, parts).await;
    cut.noted(|text| text.matches("\"tool_result\"").count() >= 2)
        .await;
    cut.host.power_off().await;
    let [first, again] = cut.goes_on().await;
    let messages = again[0].body["messages"].to_string();
    assert!(messages.contains(CUT_OFF), "{messages}");
    assert_eq!(messages.matches(AGAIN).count(), 1, "{messages}");
    // What it is told last may stand in one message with the result of its last tool.
    let second = match again[0].prompt().contains(CUT_OFF) {
        true => again[0].without_prompt().unwrap(),
        false => again[0].clone(),
    };
    remembers(&first, &second);
    assert!(!second.tool_uses().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_that_was_cut_off_before_its_prompt_is_told_it() {
    let test = "a_second_attempt_that_was_cut_off_before_its_prompt_is_told_it";
    let Some(parts) = Parts::of(test, &[Part::Claude, Part::Guests]) else {
        return;
    };
    let mut cut = Second::in_turn(1, parts).await;
    let (path, text) = cut.noted(|_| true).await;
    cut.host.power_off().await;
    // As if it had been killed between the copy of the conversation and the prompt.
    let prompt = text.lines().position(is_prompt).unwrap();
    let before: Vec<&str> = text.lines().take(prompt).collect();
    assert!(before.iter().any(|line| line.contains("tool_result")));
    fs::write(&path, before.join("\n") + "\n").unwrap();
    let [first, again] = cut.goes_on().await;
    remembers(&first, &again[0]);
    let messages = again[0].body["messages"].to_string();
    assert!(!messages.contains(CUT_OFF), "{messages}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planted_beside_a_session_does_nothing_in_the_next_run() {
    let test = "what_is_planted_beside_a_session_does_nothing_in_the_next_run";
    let Some(parts) = Parts::of(test, &[Part::Claude, Part::Guests]) else {
        return;
    };
    let (gate, script) = (Gate::default(), poems());
    let held = gate.clone();
    let api = Standin::start(move |asked: &Asked| script.reply(asked).behind(&held));
    let api = api.await.unwrap();
    let setup = poem(Setup::claude(api.url(), KEY), parts, "");
    let host = Host::start(setup).await;
    let id = submit(&host).await;
    api.asked_times(1, DEADLINE).await.unwrap();
    let session = host.data().join("workspaces").join(&id).join("session");
    let project = fs::read_dir(session.join("projects")).unwrap().next();
    let project = project.unwrap().unwrap().path();
    let hooked = host.folder().join("hooked");
    plant(&session, &hooked);
    plant(&project, &hooked);
    gate.open();
    host.client().succeeded(&id).await;
    let [first, second] = by_attempt(&api);
    remembers(&first, &second[0]);
    assert!(!hooked.exists(), "a planted hook ran");
    for asked in second {
        let body = asked.body.to_string();
        assert!(!body.contains("planted-words"), "{body}");
    }
}

/// Whatever Claude Code looks for in a folder of its own or of a project.
fn plant(folder: &Path, hooked: &Path) {
    let run = json!([{ "hooks": [{ "type": "command", "command": format!("touch {}", hooked.display()) }] }]);
    let settings = json!({ "hooks": {
        "SessionStart": run, "UserPromptSubmit": run, "PreToolUse": run, "Stop": run,
    }});
    let agent = "---\nname: planted-words\ndescription: planted-words\n---\nplanted-words\n";
    let server = json!({ "mcpServers": { "planted-words": {
        "command": "touch", "args": [hooked],
    }}});
    for (path, text) in [
        ("settings.json", settings.to_string()),
        ("settings.local.json", settings.to_string()),
        (".claude/settings.json", settings.to_string()),
        ("CLAUDE.md", "planted-words".to_owned()),
        ("agents/planted.md", agent.to_owned()),
        ("commands/planted.md", agent.to_owned()),
        ("skills/planted/SKILL.md", agent.to_owned()),
        ("plugins/planted/hooks/hooks.json", settings.to_string()),
        (".claude.json", server.to_string()),
        (".mcp.json", server.to_string()),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_sends_the_work_back_meets_the_same_agent_in_docker() {
    let test = "a_person_who_sends_the_work_back_meets_the_same_agent_in_docker";
    let parts = [Part::Docker, Part::WorkerImage, Part::Guests];
    let Some(parts) = Parts::of(test, &parts) else {
        return;
    };
    let api = Standin::start(poems()).await.unwrap();
    let host = Host::start(poem(Setup::docker(api.url(), KEY), parts, "")).await;
    let id = submit(&host).await;
    let job = host.client().succeeded(&id).await;
    let [first, second] = by_attempt(&api);
    remembers(&first, &second[0]);
    let before = api.asked().len();
    send_back(&host, &id, "make it bluer").await;
    let again = host.client().succeeded(&id).await;
    assert_ne!(again["cost_usd"], job["cost_usd"], "{again:#}");
    let mut asked = api.asked().split_off(before);
    asked.retain(|asked| asked.tools().contains(&"Write"));
    let prompt = asked[0].prompt();
    assert!(prompt.starts_with(AGAIN), "{prompt}");
    assert!(prompt.contains("make it bluer"), "{prompt}");
    let before = asked[0].without_prompt().unwrap();
    remembers(&first, &before);
}
