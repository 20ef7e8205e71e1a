//! Budgets on a whole host, with the real Claude Code CLI and a scripted model: what was spent is
//! known to the micro-dollar, nothing goes out that couldn't be paid, and a job that meets its
//! budget loses nothing.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

#[path = "budgets/hosts.rs"]
mod hosts;

use pipeline::usd;
use reqwest::Method;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};
use tests::harness::{Agents, DEADLINE, Game, Host, Part, Parts, Setup, browse};
use tests::standin::{Asked, Gate, ReplyUsage, Script as _, Standin};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe::OpenOptions;
use tokio::time::timeout;

const NAME: &str = "a game about a ferry";
const KEY: &str = "the-real-key";

/// One phase of one attempt: a second one would fail the job.
fn pipeline(budgets: &str) -> String {
    format!(
        "name = \"short\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 1\n{budgets}"
    )
}

async fn submit(host: &Host) -> String {
    let job = json!({ "name": NAME, "pipeline": "short" });
    host.client().submit_with(&job).await
}

/// All that it sends, and as much as it may write, up to 30,000 tokens.
fn used(asked: &Asked) -> ReplyUsage {
    let most = asked.body["max_tokens"].as_u64().unwrap();
    ReplyUsage {
        input: asked.tokens(),
        output: most.min(30_000),
        cache_read: 0,
        cache_creation: 0,
    }
}

/// What all this cost by the table, in micro-dollars: dollars a million are micro-dollars each.
fn cost(asked: &[Asked]) -> u64 {
    let messages = asked.iter().filter(|it| it.uri.path() == "/v1/messages");
    messages
        .map(|asked| {
            let (input, output) = match asked.model() {
                model if model.starts_with("claude-haiku-4-5") => (1, 5),
                _ => (5, 25),
            };
            let used = used(asked);
            used.input * input + used.output * output
        })
        .sum()
}

async fn model() -> Standin {
    let game = Game::of(NAME).script();
    Standin::start(move |asked: &Asked| game.reply(asked).usage(used(asked)))
        .await
        .unwrap()
}

async fn waits_for_money(host: &Host, id: &str) -> Value {
    let client = host.client();
    let waits = |job: &Value| job["wait"]["reason"] == "budget";
    client.wait_for(id, "waiting for money", waits).await
}

async fn give(host: &Host, id: &str, budget: &Value) {
    let client = host.client();
    let request = client.request(Method::PUT, &format!("/api/jobs/{id}/budget"));
    let answer = client.send(request.json(budget)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

async fn a_phase_that_meets_its_budget(setup: impl Fn(&str) -> Setup) {
    let api = model().await;
    // For one answer, and not for another.
    let setup = setup(api.url()).pipeline("short", &pipeline("budget_usd = \"0.60\"\n"));
    let host = Host::start(setup).await;
    let id = submit(&host).await;
    let job = waits_for_money(&host, &id).await;
    let message = job["wait"]["message"].as_str().unwrap();
    assert!(
        message.contains("the budget of the phase `idea` is used up"),
        "{message}"
    );
    assert_eq!(job["wait"]["until"], Value::Null, "{job:#}");
    let budget = &job["phases"][0]["budget"];
    let first = cost(&api.asked());
    assert_eq!(budget["limit_usd"], "0.60");
    assert_eq!(budget["spent_usd"], usd(first), "{job:#}");
    assert_eq!(budget["set_aside_usd"], "0.00", "{job:#}");
    assert!(0 < first && first <= 600_000, "{job:#}");

    give(&host, &id, &json!({ "phase": "idea", "usd": "20" })).await;
    let job = host.client().succeeded(&id).await;
    let attempts = job["phases"][0]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{job:#}");
    assert_eq!(attempts[0]["tasks"][0]["run"], 2, "{job:#}");
    let asked = api.asked();
    let all = usd(cost(&asked));
    assert_eq!(
        (&job["budget"]["spent_usd"], &job["cost_usd"]),
        (&json!(all), &json!(all))
    );
    assert_eq!(job["budget"]["assumed_usd"], "0.00", "{job:#}");
    assert_eq!(job["budget"]["requests"], count(&asked), "{job:#}");
    let today = host.client().get("/api/budgets").await.json();
    assert_eq!(today["all"]["spent_usd"], all, "{today:#}");
    // It went on with what it had said and heard.
    let last = asked
        .iter()
        .rfind(|it| it.tools().contains(&"Write"))
        .unwrap();
    assert!(!last.tool_uses().is_empty(), "{:#}", last.body);
}

/// Claude Code by its entrypoint; the end of its first run is told, and held up until it is let go.
const HELD_AT_ITS_END: &str = r#"
here=$(dirname "$0")
ENTRYPOINT
status=$?
if mkdir "$here/once" 2>/dev/null; then
  echo met >"$here/met"
  read -r _ <"$here/go"
fi
(exit $status)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn money_that_comes_while_the_agent_ends_is_not_waited_for() {
    let test = "money_that_comes_while_the_agent_ends_is_not_waited_for";
    if Parts::of(test, &[Part::Claude]).is_none() {
        return;
    }
    let entrypoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../worker/entrypoint.sh");
    let agents = Agents::running(&HELD_AT_ITS_END.replace("ENTRYPOINT", entrypoint));
    let [met, go] = ["met", "go"].map(|pipe| agents.folder().join(pipe));
    for pipe in [&met, &go] {
        mkfifoat(CWD, pipe, Mode::RUSR | Mode::WUSR).unwrap();
    }
    // Open for writing as well: it neither waits for the agent nor ends with it.
    let met = OpenOptions::new().read_write(true).open_receiver(met);
    let mut met = BufReader::new(met.unwrap());
    let api = model().await;
    let setup = Setup::claude(api.url(), KEY)
        .set("WORKER_COMMAND", agents.command())
        .pipeline("short", &pipeline("budget_usd = \"0.60\"\n"));
    let host = Host::start(setup).await;
    let id = submit(&host).await;
    let told = timeout(DEADLINE, met.read_line(&mut String::new())).await;
    told.unwrap().unwrap();
    let client = host.client();
    let request = client.request(Method::PUT, &format!("/api/jobs/{id}/budget"));
    let budget = json!({ "phase": "idea", "usd": "20" });
    let answer = client.send(request.json(&budget)).await;
    assert_eq!(answer.status, 200, "the job runs: {}", answer.text());
    std::fs::write(go, "go\n").unwrap();
    let job = client.succeeded(&id).await;
    let attempts = job["phases"][0]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{job:#}");
    assert_eq!(attempts[0]["tasks"][0]["run"], 2, "{job:#}");
    assert_eq!(job["cost_usd"], usd(cost(&api.asked())), "{job:#}");
}

/// As the page shows micro-dollars.
fn shown(micro_usd: u64) -> String {
    format!("${:.2}", micro_usd as f64 / 1e6)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_page_shows_what_it_and_its_phase_cost_and_a_budget_that_is_nearly_used_up() {
    let test = "a_jobs_page_shows_what_it_and_its_phase_cost_and_a_budget_that_is_nearly_used_up";
    let wanted = [Part::Claude, Part::Chromium, Part::Playwright];
    let Some(parts) = Parts::of(test, &wanted) else {
        return;
    };
    let api = model().await;
    let host = Host::start(Setup::claude(api.url(), KEY).pipeline("short", &pipeline(""))).await;
    let client = host.client();
    let id = submit(&host).await;
    client.succeeded(&id).await;
    let spent = cost(&api.asked());
    let (of_phase, of_job) = (spent + spent / 20, 2 * spent);
    for budget in [
        json!({ "phase": "idea", "usd": usd(of_phase) }),
        json!({ "usd": usd(of_job) }),
    ] {
        let request = client.request(Method::PUT, &format!("/api/jobs/{id}/budget"));
        let answer = client.send(request.json(&budget)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let read = json!({
        "phase": ".phase[data-key=idea] .spent",
        "task": ".phase[data-key=idea] tbody td:last-child",
        "job": "dd[data-key=Cost]",
        "tokens": "dd[data-key=Tokens]",
    });
    let url = format!("{}/#/jobs/{id}", client.url());
    let seen = browse(parts, "read.mjs", &url, &[("READ", &read.to_string())]).await;
    let text = |name: &str| seen[name][0].as_str().unwrap().replace('\n', " ");
    let (spent, requests) = (shown(spent), count(&api.asked()));
    assert!(
        text("phase").contains(&format!("{spent} of {}", shown(of_phase))),
        "{seen:#}"
    );
    assert!(text("phase").contains("nearly used up"), "{seen:#}");
    assert!(
        text("job").contains(&format!("{spent} of {}", shown(of_job))),
        "{seen:#}"
    );
    assert!(!text("job").contains("nearly"), "{seen:#}");
    assert_eq!(text("task"), spent, "{seen:#}");
    assert!(
        text("tokens").ends_with(&format!("out, {requests} requests")),
        "{seen:#}"
    );
    assert_eq!(seen["errors"], json!([]), "{seen:#}");
}

fn count(asked: &[Asked]) -> usize {
    let messages = asked.iter().filter(|it| it.uri.path() == "/v1/messages");
    messages.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_meets_its_budget_waits_and_goes_on_with_its_session() {
    let test = "a_phase_that_meets_its_budget_waits_and_goes_on_with_its_session";
    if Parts::of(test, &[Part::Claude]).is_some() {
        a_phase_that_meets_its_budget(|url| Setup::claude(url, KEY)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_that_meets_its_budget_waits_and_goes_on_with_its_session_in_docker() {
    let test = "a_phase_that_meets_its_budget_waits_and_goes_on_with_its_session_in_docker";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_some() {
        a_phase_that_meets_its_budget(|url| Setup::docker(url, KEY)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_days_budget_waits_for_the_next_day_or_for_a_person() {
    let test = "a_days_budget_waits_for_the_next_day_or_for_a_person";
    if Parts::of(test, &[Part::Claude]).is_none() {
        return;
    }
    let api = model().await;
    let setup = Setup::claude(api.url(), KEY)
        .set("BUDGET_DAY_USD", "0.60")
        .pipeline("short", &pipeline(""));
    let mut host = Host::start(setup).await;
    let id = submit(&host).await;
    let job = waits_for_money(&host, &id).await;
    let until = job["wait"]["until"].as_str().unwrap();
    assert!(until.ends_with("T00:00:00Z"), "{until}");
    let spent = cost(&api.asked());
    // Whoever says that it may try doesn't give it more.
    let answer = host
        .client()
        .post(&format!("/api/jobs/{id}/resume"), &json!({}))
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let client = host.client();
    let again = |job: &Value| {
        job["wait"]["reason"] == "budget" && job["phases"][0]["attempts"][0]["tasks"][0]["run"] == 3
    };
    client.wait_for(&id, "waiting once more", again).await;
    assert_eq!(cost(&api.asked()), spent, "nothing was sent");

    host.terminate().await;
    host.set("BUDGET_DAY_USD", Some("50"));
    host.restart().await;
    let day = json!({ "usd": "0.60" });
    let put = async |day: &Value| {
        let client = host.client();
        let request = client.request(Method::PUT, "/api/budgets/day");
        let answer = client.send(request.json(day)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    // No more than there was: nobody is woken for that.
    put(&day).await;
    let job = host.client().job(&id).await;
    assert_eq!(job["status"], "waiting", "{job:#}");
    put(&json!({ "usd": "50" })).await;
    let job = host.client().succeeded(&id).await;
    assert_eq!(job["cost_usd"], usd(cost(&api.asked())), "{job:#}");
}

/// A model whose second answer waits.
async fn second_turn_held() -> (Gate, Standin) {
    let (gate, game) = (Gate::default(), Game::of(NAME).script());
    let behind = gate.clone();
    let api = Standin::start(move |asked: &Asked| {
        let reply = game.reply(asked).usage(used(asked));
        match asked.turn() {
            2 => reply.behind(&behind),
            _ => reply,
        }
    });
    (gate, api.await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_when_the_machine_went_off_is_booked_in_full() {
    let test = "what_was_under_way_when_the_machine_went_off_is_booked_in_full";
    if Parts::of(test, &[Part::Claude]).is_none() {
        return;
    }
    let (gate, api) = second_turn_held().await;
    let setup = Setup::claude(api.url(), KEY).pipeline("short", &pipeline("budget_usd = \"50\"\n"));
    let mut host = Host::start(setup).await;
    let id = submit(&host).await;
    api.asked_times(2, DEADLINE).await.unwrap();
    host.power_off().await;
    gate.open();
    host.restart().await;
    let job = host.client().succeeded(&id).await;
    let budget = &job["budget"];
    let micro = |key: &str| pipeline::micro_usd(budget[key].as_str().unwrap()).unwrap();
    // Its answer came, or would have: nobody on this side saw what it said.
    assert!(micro("assumed_usd") > 0, "{job:#}");
    assert!(micro("spent_usd") >= cost(&api.asked()), "{job:#}");
    assert_eq!(budget["set_aside_usd"], "0.00", "{job:#}");
}

/// All four kinds of tokens, each known: by phase, job, group and day it is the same sum.
#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_run_is_booked_to_the_micro_dollar_by_phase_job_group_and_day() {
    let test = "a_scripted_run_is_booked_to_the_micro_dollar_by_phase_job_group_and_day";
    if Parts::of(test, &[Part::Claude]).is_none() {
        return;
    }
    let game = Game::of(NAME).script();
    let api = Standin::start(move |asked: &Asked| {
        let usage = ReplyUsage {
            input: 1_234,
            output: 567,
            cache_read: 80_901,
            cache_creation: 2_345,
        };
        game.reply(asked).usage(usage)
    });
    let api = api.await.unwrap();
    let two = "name = \"short\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\n\
               [[phase]]\nid = \"plan\"\nplugin = \"plan\"\nattempts = 1\n";
    let setup = Setup::claude(api.url(), KEY).pipeline("short", two);
    let host = Host::start(setup).await;
    let job = json!({ "name": NAME, "pipeline": "short", "group": "ferries" });
    let id = host.client().submit_with(&job).await;
    let job = host.client().ended(&id).await;

    // Of a million tokens: 5 dollars, 25, half a dollar, and 6.25 for what is kept five minutes.
    let one = (1_234_u64 * 500 + 567 * 2_500 + 80_901 * 50 + 2_345 * 625).div_ceil(100);
    let asked = api.asked();
    let of = |phase: &str| {
        let messages = asked.iter().filter(|it| it.uri.path() == "/v1/messages");
        let messages = messages.filter(|it| it.prompt().contains(phase));
        u64::try_from(messages.count()).unwrap() * one
    };
    let (idea, plan) = (of("it down as `idea.json`"), of("down as `plan.json`"));
    assert!(idea > 0 && plan > 0, "{job:#}");
    let phases = &job["phases"];
    assert_eq!(phases[0]["budget"]["spent_usd"], usd(idea), "{job:#}");
    assert_eq!(phases[1]["budget"]["spent_usd"], usd(plan), "{job:#}");
    let all = json!(usd(idea + plan));
    assert_eq!(
        (&job["cost_usd"], &job["budget"]["spent_usd"]),
        (&all, &all),
        "{job:#}"
    );
    let today = host.client().get("/api/budgets").await.json();
    assert_eq!(today["groups"]["ferries"]["spent_usd"], all, "{today:#}");
    assert_eq!(today["all"]["spent_usd"], all, "{today:#}");
    assert_eq!(today["all"]["assumed_usd"], "0.00", "{today:#}");
}
