//! What an agent is writing, while it writes it: told to whoever watches, on whichever host, and
//! never kept. And what nobody is told, live or later: secrets.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tests::harness::{
    Agents, Client, DEADLINE, Database, Event, Events, Game, Host, Part, Parts, Setup, Shared,
    browse,
};
use tests::standin::{Asked, Block, Gate, Reply, Script as _, Standin};
use tokio::time::timeout;

const NAME: &str = "a game about a ferry";
const KEY: &str = "the-real-key";

/// One phase of one attempt: a second one would fail the job.
const PIPELINE: &str =
    "name = \"short\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 1\n";

async fn submit(client: &Client) -> String {
    let job = json!({ "name": NAME, "pipeline": "short" });
    client.submit_with(&job).await
}

async fn live(client: &Client, id: &str) -> Events {
    let path = format!("/api/jobs/{id}/events?live=only");
    client.stream(&path, "").await
}

fn text(event: &Event) -> &str {
    assert_eq!(event.name, "agent.delta", "{event:?}");
    event.data["data"]["text"].as_str().unwrap_or_default()
}

/// The pieces, put together as they come, until they are as wanted.
async fn typed(events: &mut Events, wanted: impl Fn(&str) -> bool) -> (String, Value) {
    let mut typed = String::new();
    let look = async {
        loop {
            let event = events.next().await.unwrap();
            typed += text(&event);
            if wanted(&typed) {
                return event.data;
            }
        }
    };
    let last = timeout(DEADLINE, look).await;
    let last = last.unwrap_or_else(|_| panic!("only this was written: {typed:?}"));
    (typed, last)
}

/// In micro-dollars.
fn cost(event: &Value) -> u64 {
    let usd = event["data"]["cost_usd"].as_str();
    pipeline::micro_usd(usd.unwrap()).unwrap()
}

/// All that people can see of a job.
async fn seen(client: &Client, id: &str) -> String {
    let job = client.job(id).await;
    let events = client.events(id).await;
    let logs = client.logs(id).await;
    format!("{job}\n{events:?}\n{}", logs.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_claude_code_writes_is_seen_before_it_is_whole_and_without_the_key() {
    let test = "what_claude_code_writes_is_seen_before_it_is_whole_and_without_the_key";
    if Parts::of(test, &[Part::Claude]).is_none() {
        return;
    }
    let (gate, game) = (Gate::default(), Game::of(NAME).script());
    let behind = gate.clone();
    let api = Standin::start(move |asked: &Asked| {
        if asked.turn() != 2 || !asked.tools().contains(&"Write") {
            return game.reply(asked);
        }
        let (half, other) = KEY.split_at(5);
        let pieces = ["The key is ", half, other, ", as I see: ", "it."].map(str::to_owned);
        // message_start, content_block_start, and four of the pieces.
        Reply::blocks([Block::Pieces(pieces.into())]).behind_after(6, &behind)
    });
    let api = api.await.unwrap();
    let host = Host::start(Setup::claude(api.url(), KEY).pipeline("short", PIPELINE)).await;
    let client = host.client();
    let id = submit(client).await;
    let mut events = live(client, &id).await;
    let (typed, last) = typed(&mut events, |typed| typed.contains("as I see: ")).await;
    assert_eq!(typed, "The key is [redacted], as I see: ");
    assert_eq!(last["data"]["task"], "idea", "{last}");
    assert_eq!(last["phase"], "idea", "{last}");
    // Its first answer is paid; that is told by itself, should it be booked later.
    let mut spent = cost(&last);
    while spent == 0 {
        let next = timeout(DEADLINE, events.next()).await.unwrap();
        spent = cost(&next.unwrap().data);
    }
    assert!(last["seq"].is_null(), "{last}");
    assert_eq!(client.job(&id).await["status"], "running");
    gate.open();
    let job = client.succeeded(&id).await;
    assert!(pipeline::micro_usd(job["cost_usd"].as_str().unwrap()).unwrap() >= spent);
    let kept = client.events(&id).await;
    let mut messages = kept.iter().filter(|event| event.name == "agent.message");
    let last = messages.next_back().unwrap();
    assert_eq!(
        last.data["data"]["text"],
        "The key is [redacted], as I see: it."
    );
    let results = kept
        .iter()
        .filter(|event| event.name == "agent.tool-result");
    let results: Vec<&Value> = results.map(|event| &event.data["data"]).collect();
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(
        (&results[0]["tool"], &results[0]["is_error"]),
        (&json!("Write"), &json!(false))
    );
    assert!(kept.iter().all(|event| event.name != "agent.delta"));
    assert!(!seen(client, &id).await.contains(KEY));
}

/// Lines of an agent's stream.
fn delta(text: &str) -> String {
    let line = json!({"type": "stream_event", "event": {"type": "content_block_delta",
        "index": 0, "delta": {"type": "text_delta", "text": text}}});
    line.to_string()
}

fn begins() -> String {
    let line = json!({"type": "stream_event", "event": {"type": "content_block_start",
        "index": 0, "content_block": {"type": "text", "text": ""}}});
    line.to_string()
}

/// The demo agent's work, its lines after those that are there.
fn demo() -> String {
    format!(
        "own=$OUT_DIR; export OUT_DIR=$(mktemp -d); {} __demo-agent || exit\n\
         cat $OUT_DIR/agent.jsonl >>$own/agent.jsonl; rm -r $OUT_DIR",
        tests::harness::gantry().display()
    )
}

/// Types until `$HERE/enough` is there, and then does what the demo agent does.
fn types_until_it_is_enough() -> Agents {
    let agents = Agents::running(&format!(
        "here=$(dirname \"$0\"); cat $here/begins >>$OUT_DIR/agent.jsonl\n\
         while [ ! -e $here/enough ]; do cat $here/delta >>$OUT_DIR/agent.jsonl; sleep 0.1; done\n\
         {}",
        demo()
    ));
    fs::write(agents.folder().join("begins"), begins() + "\n").unwrap();
    fs::write(agents.folder().join("delta"), delta("tick ") + "\n").unwrap();
    agents
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_on_another_host_sees_it_as_well() {
    let test = "who_watches_on_another_host_sees_it_as_well";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let database = Database::new(parts).await;
    let (agents, shared) = (types_until_it_is_enough(), Shared::new());
    let setup = shared
        .setup(Setup::agents(&agents).pipeline("short", PIPELINE))
        .set("DATABASE_URL", database.url());
    let one = Host::start(setup.clone()).await;
    let other = one.beside(setup).await;
    let id = submit(one.client()).await;
    for host in [&one, &other] {
        let mut events = live(host.client(), &id).await;
        // One that comes late sees the end of what is there.
        typed(&mut events, |typed| typed.matches("tick ").count() > 2).await;
    }
    fs::write(agents.folder().join("enough"), "").unwrap();
    one.client().succeeded(&id).await;
    let kept = other.client().events(&id).await;
    assert!(kept.iter().all(|event| event.name != "agent.delta"));
    drop(other);
    drop(one);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_page_shows_the_text_as_it_grows_and_then_the_whole_message() {
    let test = "a_jobs_page_shows_the_text_as_it_grows_and_then_the_whole_message";
    let Some(parts) = Parts::of(test, &[Part::Chromium, Part::Playwright]) else {
        return;
    };
    let message = json!({"type": "assistant", "message": {"content": [
        {"type": "text", "text": "<b>That</b> is all."}]}});
    let agents = Agents::running(&format!(
        "here=$(dirname \"$0\"); cat $here/begins >>$OUT_DIR/agent.jsonl\n\
         while [ ! -e $here/enough ]; do cat $here/delta >>$OUT_DIR/agent.jsonl; sleep 0.1; done\n\
         cat $here/message >>$OUT_DIR/agent.jsonl\n\
         while [ ! -e $here/seen ]; do sleep 0.1; done\n\
         {}",
        demo()
    ));
    for (file, text) in [
        ("begins", begins()),
        ("delta", delta("tick <i> ")),
        ("message", message.to_string()),
    ] {
        fs::write(agents.folder().join(file), text + "\n").unwrap();
    }
    let host = Host::start(Setup::agents(&agents).pipeline("short", PIPELINE)).await;
    let id = submit(host.client()).await;
    let path = |file: &str| agents.folder().join(file).display().to_string();
    let (enough, seen) = (path("enough"), path("seen"));
    let given = [("ENOUGH", enough.as_str()), ("SEEN", seen.as_str())];
    let url = format!("{}/#/jobs/{id}", host.client().url());
    let seen = browse(parts, "watch.mjs", &url, &given).await;
    let text = |key: &str| seen[key].as_str().unwrap().to_owned();
    assert!(text("first").contains("tick <i> "), "{seen:#}");
    assert!(text("second").starts_with(&text("first")), "{seen:#}");
    assert!(text("second").len() > text("first").len(), "{seen:#}");
    assert!(text("state").contains("writes"), "{seen:#}");
    assert_eq!(text("whole"), "<b>That</b> is all.", "{seen:#}");
    assert_eq!(seen["errors"], json!([]), "{seen:#}");
    host.client().succeeded(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_pieces_costs_its_job_the_pieces_and_nobody_else_anything() {
    const LINES: usize = 100_000;
    let agents = Agents::running(&format!(
        "here=$(dirname \"$0\")\n\
         case $JOB_NAME in flood)\n\
         cat $here/begins >>$OUT_DIR/agent.jsonl\n\
         yes \"$(cat $here/delta)\" | head -n {LINES} >>$OUT_DIR/agent.jsonl;; esac\n\
         {}",
        demo()
    ));
    fs::write(agents.folder().join("begins"), begins() + "\n").unwrap();
    fs::write(
        agents.folder().join("delta"),
        delta(&"flood ".repeat(50)) + "\n",
    )
    .unwrap();
    let mut held = agents.hold("idea", "idea");
    let host = Host::start(Setup::agents(&agents).pipeline("short", PIPELINE)).await;
    let client = host.client();
    let before = resident_bytes(&host);
    let flood = json!({ "name": "flood", "pipeline": "short" });
    let id = client.submit_with(&flood).await;
    held.arrived().await;
    let mut events = live(client, &id).await;
    // Whoever watches and never reads holds up nobody.
    let _idle = live(client, &id).await;
    held.let_on().await;
    agents.free("idea", "idea");
    let innocent = submit(client).await;
    // Five pieces a second of 2 KiB each, however long it takes; of 30 MB.
    let told = tokio::spawn(async move {
        let mut told = 0;
        loop {
            let next = timeout(Duration::from_secs(5), events.next()).await;
            let Ok(Some(event)) = next else { break told };
            let bytes = text(&event).len();
            assert!(bytes <= 2 << 10, "{bytes}");
            told += bytes;
        }
    });
    client.succeeded(&innocent).await;
    client.succeeded(&id).await;
    let told = told.await.unwrap();
    assert!(told < 3 << 20, "{told}");
    let kept = client.events(&id).await;
    assert!(kept.len() < 200, "{}", kept.len());
    let grown = resident_bytes(&host).saturating_sub(before);
    assert!(grown < 100 << 20, "the host has grown by {grown} bytes");
}

/// Of memory, by the system's count.
fn resident_bytes(host: &Host) -> u64 {
    let status = format!("/proc/{}/status", host.pid().unwrap());
    let status = fs::read_to_string(status).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib << 10
}

/// What an agent prints on each way that there is: as text, as JSON, to people, as its reason.
const LEAKS: &str = r#"
here=$(dirname "$0")
printf '%s' "$MODEL_TOKEN" >$here/token
secret="$MODEL_TOKEN and $(cat $here/configured)"
json='{"type":"assistant","message":{"content":[{"type":"text","text":"SECRET"},{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"echo SECRET"}}]}}
{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","is_error":true,"content":"SECRET"}]}}
{"type":"stream_event","event":{"type":"content_block_start","content_block":{"type":"text"}}}
{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":"typed SECRET"}}}'
{ echo "$json" | sed "s|SECRET|$secret|g"; echo "plain $secret"; echo "[\"$secret\"]"
  printf '%s' "base64 $(printf '%s' "$secret" | base64 -w0)"; echo; } >>$OUT_DIR/agent.jsonl
echo "to people $secret" >&2
printf '{"state":"failed","reason":"the reason %s"}' "$secret" >$OUT_DIR/status.json
while [ ! -e $here/enough ]; do sleep 0.1; done
if [ "$JOB_NAME" = result ]; then
echo '{"type":"result","subtype":"success","is_error":true,"result":"the end SECRET"}' | sed "s|SECRET|$secret|g" >>$OUT_DIR/agent.jsonl
fi
exit 3
"#;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_told_of_on_any_way() {
    const CONFIGURED: &str = "hunter2-and-more/of it";
    let agents = Agents::running(LEAKS);
    fs::write(agents.folder().join("configured"), CONFIGURED).unwrap();
    let setup = Setup::agents(&agents)
        .set("REDACT", format!("something-else, {CONFIGURED}"))
        .pipeline("short", PIPELINE);
    let host = Host::start(setup).await;
    let client = host.client();
    for name in ["reason", "result"] {
        let job = json!({ "name": name, "pipeline": "short" });
        let id = client.submit_with(&job).await;
        let mut events = live(client, &id).await;
        let (typed, _) = typed(&mut events, |typed| typed.contains(" and ")).await;
        let token = fs::read_to_string(agents.folder().join("token")).unwrap();
        assert!(token.len() > 20, "{token}");
        fs::write(agents.folder().join("enough"), "").unwrap();
        let job = client.ended(&id).await;
        assert_eq!(job["error"]["kind"], "agent-failed", "{job:#}");
        let message = job["error"]["message"].as_str().unwrap();
        let words = ["the reason", "the end"][usize::from(name == "result")];
        assert!(message.contains(words), "{message}");
        let all = seen(client, &id).await + &typed;
        for told in [
            words,
            "plain [redacted]",
            "to people [redacted]",
            "base64 ",
            "Bash failed",
        ] {
            assert!(all.contains(told), "{told}: {all}");
        }
        for secret in [token.as_str(), CONFIGURED] {
            for form in [secret.to_owned(), secret.replace('/', "\\/")] {
                assert!(!all.contains(&form), "{form}: {all}");
            }
            // Not half of it, and not in base64 either.
            assert!(!all.contains(&secret[..secret.len() - 1]), "{all}");
        }
        fs::remove_file(agents.folder().join("enough")).unwrap();
    }
}
