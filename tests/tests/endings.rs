//! How an agent's run can end, and what each ending leaves: the job's state, the words that people
//! read, and the money. By Claude Code with a scripted model where it can be brought to it, else by
//! a script in its place. Machines and hosts that die are the matter of `crash` and `session`.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::time::Duration;

use serde_json::{Value, json};
use tests::harness::{
    Agents, Client, DEADLINE, Docker, Engine, Game, Host, Part, Parts, Setup, gantry,
};
use tests::standin::{Asked, Block, Gate, Reply, ReplyUsage, Script as _, Standin};
use tokio::time::{sleep, timeout};

const KEY: &str = "the-real-key";

/// One phase of one attempt: what would be tried again is over at once.
const PIPELINE: &str =
    "name = \"short\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 1\n";

/// What is left of a job.
enum Left {
    Succeeded,
    /// The kind of its failure, and what its message says.
    Failed(&'static str, &'static str),
    /// No attempt is used: it waits for this, and says so.
    Waits(&'static str, &'static str),
    /// The run was a good one, and its work isn't: what its log says.
    NotAccepted(&'static str),
}
use Left::{Failed, NotAccepted, Succeeded, Waits};

async fn submit(client: &Client, name: &str) -> String {
    let job = json!({ "name": name, "pipeline": "short" });
    client.submit_with(&job).await
}

/// Waits until nothing more happens for now, and looks whether it is as it should be.
async fn leaves(client: &Client, id: &str, row: &str, left: &Left) -> Value {
    let rests = |job: &Value| {
        let waits = job["status"] == "waiting" && job["wait"]["message"].is_string();
        waits || tests::harness::is_final(job)
    };
    let job = client.wait_for(id, "at rest", rests).await;
    let has = |text: &Value, words: &str| text.as_str().unwrap_or_default().contains(words);
    let task = &job["phases"][0]["attempts"][0]["tasks"][0];
    match left {
        Succeeded => assert_eq!(job["status"], "succeeded", "{row}: {job:#}"),
        Failed(kind, words) => {
            assert_eq!(job["status"], "failed", "{row}: {job:#}");
            assert_eq!(job["error"]["kind"], *kind, "{row}: {job:#}");
            assert!(has(&job["error"]["message"], words), "{row}: {job:#}");
            assert_eq!(task["failure"]["kind"], *kind, "{row}: {job:#}");
        }
        Waits(reason, words) => {
            assert_eq!(job["status"], "waiting", "{row}: {job:#}");
            assert_eq!(job["wait"]["reason"], *reason, "{row}: {job:#}");
            assert!(has(&job["wait"]["message"], words), "{row}: {job:#}");
            let attempts = job["phases"][0]["attempts"].as_array().unwrap();
            assert_eq!(attempts.len(), 1, "{row}: {job:#}");
            assert!(attempts[0]["finished_at"].is_null(), "{row}: {job:#}");
            let path = format!("/api/jobs/{id}/cancel");
            assert_eq!(client.post(&path, &json!({})).await.status, 202, "{row}");
            client.ended(id).await;
        }
        NotAccepted(line) => {
            assert_eq!(job["error"]["kind"], "not-accepted", "{row}: {job:#}");
            assert_eq!(task["status"], "done", "{row}: {job:#}");
            let logs = client.logs(id).await;
            assert!(logs.iter().any(|it| it.contains(line)), "{row}: {logs:#?}");
        }
    }
    job
}

/// What an agent of the job's name does, in the shell. `result` prints a result line; each of
/// them claims to have cost five dollars.
const SCRIPT: &str = r#"
result() { echo "{\"type\":\"result\",\"total_cost_usd\":5,$1}" >>$OUT_DIR/agent.jsonl; }
case $JOB_NAME in
no-result) ;;
rubbish) head -c 2000 /dev/urandom >>$OUT_DIR/agent.jsonl; printf '\n[1,2\n\033[31mred\n' >>$OUT_DIR/agent.jsonl ;;
turns) result '"subtype":"error_max_turns","is_error":true'; exit 1 ;;
own-budget) result '"subtype":"error_max_budget_usd","is_error":true'; exit 1 ;;
api-400) result '"subtype":"success","is_error":true,"api_error_status":400,"result":"the request is wrong"'; exit 1 ;;
api-401) result '"subtype":"success","is_error":true,"api_error_status":401,"result":"invalid x-api-key"'; exit 1 ;;
api-429) result '"subtype":"success","is_error":true,"api_error_status":429,"result":"slow down"'; exit 1 ;;
api-500) result '"subtype":"success","is_error":true,"api_error_status":500,"result":"oh dear"'; exit 1 ;;
form) result '"subtype":"success","is_error":false,"structured_output":null' ;;
denied) result '"subtype":"success","is_error":false,"permission_denials":[{"tool_name":"Bash"}]' ;;
sigint) result '"subtype":"error_during_execution","is_error":false' ;;
sigterm) kill -TERM $$; sleep 60 ;;
sigkill) kill -KILL $$ ;;
inputs) echo "MODEL is missing" >&2; exit 64 ;;
out-of-time) exit 124 ;;
after-result) result '"subtype":"success","is_error":false'; echo "and then it broke" >&2; exit 3 ;;
silent) trap '' TERM; echo '{"type":"system"}' >>$OUT_DIR/agent.jsonl; while :; do sleep 0.1; done ;;
too-long) trap '' TERM; while :; do echo '{"type":"system"}' >>$OUT_DIR/agent.jsonl; sleep 0.1; done ;;
lingers*) own=$OUT_DIR; export OUT_DIR=$(mktemp -d); DEMO; cat $OUT_DIR/agent.jsonl >>$own/agent.jsonl; rm -r $OUT_DIR
  case $JOB_NAME in lingers-badly) OUT_DIR=$own; result '"subtype":"success","is_error":true,"result":"no idea"' ;; esac
  trap '' TERM; while :; do sleep 0.1; done ;;
*) DEMO ;;
esac
"#;

fn scripted() -> Agents {
    let demo = format!("{} __demo-agent", gantry().display());
    Agents::running(&SCRIPT.replace("DEMO", &demo))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ending_that_an_agent_says_leaves_its_kind_and_no_cost_that_it_claims() {
    let rows = [
        ("done", Succeeded),
        (
            "no-result",
            Failed("agent-failed", "ended without a result line"),
        ),
        (
            "rubbish",
            Failed("agent-failed", "ended without a result line"),
        ),
        ("turns", Failed("agent-failed", "used up its turns")),
        ("own-budget", Failed("budget", "error_max_budget_usd")),
        ("api-400", Failed("agent-failed", "the request is wrong")),
        (
            "api-401",
            Waits(
                "provider",
                "refuses the host's key or account (401): invalid x-api-key",
            ),
        ),
        ("api-429", Waits("provider", "slow down")),
        ("api-500", Waits("provider", "oh dear")),
        (
            "form",
            Failed("agent-failed", "hasn't the form that was asked for"),
        ),
        ("denied", NotAccepted("Bash was denied")),
        ("sigint", Failed("agent-failed", "error_during_execution")),
        ("sigterm", Waits("interrupted", "killed (exit status 143)")),
        ("sigkill", Waits("interrupted", "killed (exit status 137)")),
        (
            "inputs",
            Failed("agent-failed", "exit status 64: MODEL is missing"),
        ),
        ("out-of-time", Failed("agent-timeout", "was stopped after")),
        (
            "after-result",
            Failed("agent-failed", "exit status 3: and then it broke"),
        ),
    ];
    let agents = scripted();
    let setup = Setup::agents(&agents).pipeline("short", PIPELINE);
    let host = Host::start(setup).await;
    let client = host.client();
    let mut ids = Vec::new();
    for (row, _) in &rows {
        ids.push(submit(client, row).await);
    }
    for ((row, left), id) in rows.iter().zip(&ids) {
        let job = leaves(client, id, row, left).await;
        // It asked its model for nothing, whatever it says.
        assert_eq!(job["cost_usd"], "0.00", "{row}: {job:#}");
    }
    let rubbish = client.logs(&ids[2]).await;
    for line in ["[1,2", "\u{fffd}[31mred"] {
        assert!(rubbish.iter().any(|it| it == line), "{rubbish:?}");
    }
    let innocent = submit(client, "innocent").await;
    client.succeeded(&innocent).await;
}

/// Neither SIGTERM nor anything else ends them: each is killed, by the right clock.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_end_is_killed_for_silence_for_its_time_or_after_its_result() {
    let rows = [
        (
            "silent",
            "short",
            Failed("agent-idle", "printed nothing for 8 s and was stopped"),
        ),
        (
            "too-long",
            "limited",
            Failed("agent-timeout", "was stopped after"),
        ),
        ("lingers", "short", Succeeded),
        ("lingers-badly", "short", Failed("agent-failed", "no idea")),
    ];
    let agents = scripted();
    let limited = PIPELINE.replace("short", "limited") + "timeout = \"1s\"\n";
    let setup = Setup::agents(&agents)
        .set("WORKER_IDLE", "8s")
        .pipeline("short", PIPELINE)
        .pipeline("limited", &limited);
    let host = Host::start(setup).await;
    let client = host.client();
    let mut ids = Vec::new();
    for (row, pipeline, _) in &rows {
        let job = json!({ "name": row, "pipeline": pipeline });
        ids.push(client.submit_with(&job).await);
    }
    for ((row, _, left), id) in rows.iter().zip(&ids) {
        leaves(client, id, row, left).await;
    }
    // What is left of a run goes once its outcome is committed.
    let gone = async {
        while !host.run_folders().is_empty() || host.processes().len() > 1 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        timeout(DEADLINE, gone).await.is_ok(),
        "{:?}",
        host.run_folders()
    );
}

/// The CLI by its entrypoint. Where the job's name says so it has one turn, no token, a session
/// that isn't there, a tool that it may not use, or a script beside it that ends it by a signal.
const REAL: &str = r#"
export CLAUDE_CODE_MAX_RETRIES=0
row=${JOB_NAME#ending-of-}
[ "$row" = turns ] && export MAX_TURNS=1
case $row in
login) change='unset ANTHROPIC_AUTH_TOKEN' ;;
session) change='for it; do shift
  case $it in --session-id=*) it=--resume=5b2b1f6e-0d6c-4a53-9c5e-3d8f0a9b7c11 ;; esac
  set -- "$@" "$it"
done' ;;
denied) change='set -- "--disallowedTools=Bash(id)" "$@"' ;;
int | term | kill) change="echo \"kill -$row \$\$; sleep 5\" >end-me
set -- \"--allowedTools=Bash(sh end-me)\" \"\$@\"" ;;
*) change= ;;
esac
if [ -n "$change" ]; then
  cli=$(command -v claude) beside=$(dirname "$0")/$row
  mkdir -p "$beside"
  printf '#!/bin/sh\n%s\nexec "%s" "$@"\n' "$change" "$cli" >"$beside/claude"
  chmod +x "$beside/claude"
  export PATH="$beside:$PATH"
fi
ENTRYPOINT
"#;

fn real() -> Agents {
    let entrypoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../worker/entrypoint.sh");
    let work = REAL.replace("ENTRYPOINT", entrypoint);
    Agents::running(&work)
}

/// What a job has cost when it is at rest.
enum Money {
    /// Nothing: no answer was one.
    Nothing,
    /// What the provider's answers came to.
    Answers,
    /// The dearest that was possible, or some of it: nobody has heard what the answer came to.
    Assumed,
}
use Money::{Answers, Assumed, Nothing};

const USAGE: ReplyUsage = ReplyUsage {
    input: 100,
    output: 20,
    cache_read: 0,
    cache_creation: 0,
};

/// What answers of that size cost by the table, in micro-dollars.
fn cost(asked: &[Asked]) -> u64 {
    let messages = asked.iter().filter(|it| it.uri.path() == "/v1/messages");
    let each = messages.map(|asked| match asked.model() {
        model if model.starts_with("claude-haiku-4-5") => 100 + 5 * 20,
        _ => 5 * 100 + 25 * 20,
    });
    each.sum()
}

/// What the model answers in a row's conversation.
fn answer(row: &str, asked: &Asked) -> Reply {
    let run = |command: &str| {
        let input = json!({ "command": command, "description": "what I am asked to" });
        Reply::tool("Bash", input)
    };
    match (row, asked.turn()) {
        ("400", _) => Reply::error(400, "invalid_request_error", None),
        ("401", _) => Reply::error(401, "authentication_error", None),
        ("429", _) => Reply::error(429, "rate_limit_error", None),
        ("500", _) => Reply::error(500, "api_error", None),
        ("cut", _) => Reply::text("half of what I wanted to say").cut_stream(),
        ("refusal", _) => Reply::blocks([Block::Text("I can't.".into())]).refusal(),
        ("turns" | "denied", 1) => run("id"),
        ("int" | "term" | "kill", 1) => run("sh end-me"),
        _ => Reply::text("That is all."),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ending_that_claude_code_can_be_brought_to_leaves_its_kind_and_what_it_cost() {
    let test = "every_ending_that_claude_code_can_be_brought_to_leaves_its_kind_and_what_it_cost";
    if Parts::of(test, &[Part::Claude]).is_none() {
        return;
    }
    let rows = [
        ("turns", Failed("agent-failed", "turns"), Answers),
        ("400", Failed("agent-failed", "400"), Nothing),
        (
            "401",
            Waits("provider", "refuses the host's key or account (401)"),
            Nothing,
        ),
        ("429", Waits("provider", "429"), Nothing),
        ("500", Waits("provider", "500"), Nothing),
        (
            "cut",
            Waits("provider", "the provider's answer broke off"),
            Assumed,
        ),
        (
            "refusal",
            Failed("agent-failed", "can't help with this"),
            Answers,
        ),
        ("login", Failed("agent-failed", "Not logged in"), Nothing),
        (
            "session",
            Failed("agent-failed", "No conversation found with session ID"),
            Nothing,
        ),
        ("denied", NotAccepted("Bash was denied"), Answers),
        (
            "int",
            Failed("agent-failed", "error_during_execution"),
            Answers,
        ),
        ("term", Failed("agent-failed", "status 143"), Answers),
        ("kill", Failed("agent-failed", "killed"), Answers),
    ];
    let game = Game::of("ending-of-done").script();
    let api = Standin::start(move |asked: &Asked| {
        if !asked.tools().contains(&"Write") {
            return Reply::text("A title.");
        }
        // Also where the CLI has said something since.
        let said = asked.body["messages"].to_string();
        let row = said.split("ending-of-").nth(1).unwrap_or_default();
        let row = row
            .split(|c: char| !c.is_alphanumeric())
            .next()
            .unwrap_or_default();
        let reply = match row {
            "done" => game.reply(asked),
            row => answer(row, asked),
        };
        reply.usage(USAGE)
    });
    let (api, agents) = (api.await.unwrap(), real());
    let setup = Setup::claude(api.url(), KEY)
        .set("WORKER_COMMAND", agents.command())
        .set("MAX_CONCURRENT", "3")
        .set("PROVIDER_BREAKER", "50/30s")
        .pipeline("short", PIPELINE);
    let host = Host::start(setup).await;
    let client = host.client();
    for (row, left, money) in &rows {
        let before = api.asked().len();
        let id = submit(client, &format!("ending-of-{row}")).await;
        let job = leaves(client, &id, row, left).await;
        let spent = pipeline::micro_usd(job["cost_usd"].as_str().unwrap()).unwrap();
        match money {
            Nothing => assert_eq!(spent, 0, "{row}: {job:#}"),
            Answers => assert_eq!(spent, cost(&api.asked()[before..]), "{row}: {job:#}"),
            Assumed => {
                let assumed = job["budget"]["assumed_usd"].as_str().unwrap();
                let assumed = pipeline::micro_usd(assumed).unwrap();
                assert!(0 < assumed && assumed <= spent, "{row}: {job:#}");
            }
        }
        assert_eq!(job["budget"]["set_aside_usd"], "0.00", "{row}: {job:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_is_waited_for_and_named() {
    let test = "an_image_that_is_missing_is_waited_for_and_named";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_none() {
        return;
    }
    let setup = Setup::docker("http://127.0.0.1:9", KEY)
        .set("WORKER_IMAGE", "gantry-no-such-image")
        .pipeline("short", PIPELINE);
    let host = Host::start(setup).await;
    let id = submit(host.client(), "a game about nothing").await;
    let left = Waits(
        "engine",
        "the image `gantry-no-such-image` isn't there: build it with",
    );
    let job = leaves(host.client(), &id, "missing image", &left).await;
    assert_eq!(job["cost_usd"], "0.00", "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_enough_memory_is_named_so() {
    let test = "an_agent_without_enough_memory_is_named_so";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_none() {
        return;
    }
    let pipeline = PIPELINE.to_owned() + "memory = \"48MiB\"\n";
    let setup = Setup::docker("http://127.0.0.1:9", KEY).pipeline("short", &pipeline);
    let host = Host::start(setup).await;
    let id = submit(host.client(), "a game about little").await;
    let left = Failed("out-of-memory", "needed more memory than it may");
    let job = leaves(host.client(), &id, "memory", &left).await;
    assert_eq!(job["cost_usd"], "0.00", "{job:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_restarts_costs_a_run_and_no_attempt() {
    const NAME: &str = "a game about a ferry";
    let test = "an_engine_that_restarts_costs_a_run_and_no_attempt";
    let Some(parts) = Parts::of(test, &[Part::Docker, Part::WorkerImage]) else {
        return;
    };
    let image = parts.place(Part::WorkerImage);
    let mut engine = Engine::start().await.unwrap();
    Docker::find().unwrap().give(&image, engine.docker());
    let (gate, game) = (Gate::default(), Game::of(NAME).script());
    let behind = gate.clone();
    let api = Standin::start(move |asked: &Asked| {
        let reply = game.reply(asked).usage(USAGE);
        match asked.turn() {
            2 => reply.behind(&behind),
            _ => reply,
        }
    });
    let api = api.await.unwrap();
    let setup = Setup::docker(api.url(), KEY)
        .set("DOCKER_HOST", engine.docker().host())
        .pipeline("short", PIPELINE);
    let host = Host::start(setup).await;
    let id = submit(host.client(), NAME).await;
    api.asked_times(2, DEADLINE).await.unwrap();
    engine.crash().await;
    engine.go().await;
    gate.open();
    let job = host.client().succeeded(&id).await;
    let attempts = job["phases"][0]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{job:#}");
    assert_eq!(attempts[0]["tasks"][0]["run"], 2, "{job:#}");
    let events = host.client().events(&id).await;
    let ended = events.iter().find(|event| event.name == "agent.finished");
    let ended = &ended.unwrap().data["data"];
    assert_eq!(ended["failure"], "interrupted", "{ended}");
    drop(host);
}
