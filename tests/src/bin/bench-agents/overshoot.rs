//! Ten thousand runs, each with a budget and requests by chance, some at once, until the first
//! that is refused: what was spent beyond the budget, and how much of it could be spent.

use bytes::Bytes;
use futures_util::{StreamExt as _, future, stream};
use serde_json::json;
use tests::bank::{MODEL, TOKEN};
use tests::bench::{Row, say};

use crate::client::Client;
use crate::paid::Paid;
use crate::provider::{Plan, start};

const RUNS: usize = 10_000;
const AT_ONCE: usize = 32;
/// Requests of a run at most.
const REQUESTS: usize = 60;

/// Numbers as good as by chance, and the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

struct Ended {
    budget: u64,
    spent: u64,
    refused: bool,
}

pub(crate) async fn rows() -> Vec<Row> {
    let provider = start(Plan::Whole).await;
    let paid = Paid::by(&provider).await;
    let runs = (0..RUNS).map(|number| one(&paid, number));
    let ended: Vec<Ended> = stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    let over = ended
        .iter()
        .map(|run| run.spent.saturating_sub(run.budget))
        .max();
    let refused = ended.iter().filter(|run| run.refused);
    let mut shares: Vec<f64> = refused
        .map(|run| run.spent as f64 / run.budget as f64 * 100.0)
        .collect();
    shares.sort_by(f64::total_cmp);
    let share = |percent: usize| shares[(shares.len() - 1) * percent / 100];
    let all: u64 = ended.iter().map(|run| run.budget).sum();
    let spent: u64 = ended.iter().map(|run| run.spent).sum();
    say(format_args!(
        "{} of {RUNS} runs met their budget; of it spent: least {:.1} %, p10 {:.1} %, p50 {:.1} %",
        shares.len(),
        share(0),
        share(10),
        share(50)
    ));
    let what = "share of a budget that was spent when a request was refused";
    vec![
        Row::new(
            "overshoot",
            format!("most that {RUNS} runs spent beyond their budget"),
            "µ$",
            over.unwrap() as f64,
        )
        .at_most(0.0),
        Row::new("share", format!("{what}, p50"), "%", share(50)).at_least(90.0),
        Row::new("share-p10", format!("{what}, p10"), "%", share(10)),
        Row::new(
            "share-all",
            "of all budgets together",
            "%",
            spent as f64 / all as f64 * 100.0,
        ),
    ]
}

async fn one(paid: &Paid, number: usize) -> Ended {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1) << 20);
    chance.next(2);
    // From a dollar to six.
    let budget = 1_000_000 + chance.next(5_000_000);
    let mut run = paid.run(number, budget).await;
    let lanes = 1 + chance.next(3);
    let mut clients = Vec::new();
    for _ in 0..lanes {
        clients.push(Client::unix(run.socket_path(), TOKEN).await);
    }
    let mut refused = false;
    for _ in 0..REQUESTS {
        let bodies: Vec<Bytes> = clients.iter().map(|_| body(&mut chance)).collect();
        let asked = clients.iter_mut().zip(&bodies);
        let answers = future::join_all(asked.map(|(client, body)| client.ask(body))).await;
        refused = answers.iter().any(|(status, _)| status.as_u16() == 400);
        if refused {
            break;
        }
    }
    run.close().await.unwrap();
    Ended {
        budget,
        spent: paid.spent(number).await,
        refused,
    }
}

/// A prompt of up to 40 kB, an answer that may be long and is so now and then.
fn body(chance: &mut Chance) -> Bytes {
    let bytes = usize::try_from(1_000 + chance.next(40_000)).unwrap();
    let most = 4_000 + chance.next(60_000);
    let wish = match chance.next(4) {
        0 => chance.next(64_000),
        _ => chance.next(6_000),
    };
    let body = json!({ "model": MODEL, "max_tokens": most,
        "metadata": { "user_id": wish.to_string() },
        "messages": [{ "role": "user", "content": "x".repeat(bytes) }] });
    Bytes::from(body.to_string())
}
