//! The first byte of an answer: through the gateway, with a budget in a store that waits for its
//! disk, and from the provider itself, in turns.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tests::bank::{MODEL, TOKEN};
use tests::bench::{Row, Times, say};

use crate::client::Client;
use crate::paid::Paid;
use crate::provider::{Plan, start};

const REQUESTS: usize = 1_000;
const WARM_UP: usize = 50;
/// About what the CLI sends.
const PROMPT_BYTES: usize = 100_000;
/// Far from its end: a thousand dollars.
const BUDGET: u64 = 1_000_000_000;

pub(crate) async fn rows() -> Vec<Row> {
    let plan = Plan::Stream {
        events: 5,
        gap: Duration::ZERO,
    };
    let provider = start(plan).await;
    let paid = Paid::by(&provider).await;
    let run = paid.run(0, BUDGET).await;
    let body = json!({ "model": MODEL, "max_tokens": 32_000, "stream": true,
        "messages": [{ "role": "user", "content": "x".repeat(PROMPT_BYTES) }] });
    let body = Bytes::from(body.to_string());
    let mut through = Client::unix(run.socket_path(), TOKEN).await;
    let mut straight = Client::tcp(&provider, TOKEN).await;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + REQUESTS {
        let (one, other) = (
            through.first_byte(&body).await,
            straight.first_byte(&body).await,
        );
        if number >= WARM_UP {
            ours.push(one);
            peers.push(other);
        }
    }
    let (ours, peers) = (Times::new(ours), Times::new(peers));
    say(format_args!("through the gateway: {ours}"));
    say(format_args!("straight to the provider: {peers}"));
    let what =
        |percent| format!("first byte through the gateway, p{percent} of {REQUESTS}, 100 kB");
    vec![
        Row::new(
            "first-byte",
            "first byte through the gateway, more than straight to the provider, p50",
            "ms",
            ours.ms(50) - peers.ms(50),
        )
        .at_most(1.0),
        Row::new("first-byte-p50", what(50), "ms", ours.ms(50)).against("straight", peers.ms(50)),
        Row::new("first-byte-p99", what(99), "ms", ours.ms(99)).against("straight", peers.ms(99)),
    ]
}
