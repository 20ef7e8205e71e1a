//! One `prompt` call in a fresh store, of each language, and the same work by Extism, in turns.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use plugin_runtime::{CallContext, Served};
use serde_json::Value;
use tests::bench::{Row, Times, built_in, place, say};
use tokio::runtime::Runtime;

use crate::ours::{Ours, context, job_as_json, task};
use crate::peer::Peer;

const ROUNDS: usize = 15;
/// Of each kind in each round.
const CALLS: usize = 2_000;
const WARM_UP: usize = 2_000;
/// Of a slow language in each round.
const SLOW_CALLS: usize = 100;

pub(crate) fn rows(runtime: &Runtime) -> Vec<Row> {
    let mut rows = rust_and_extism(runtime);
    rows.extend(foreign(runtime, "javascript", 150.0));
    rows.extend(foreign(runtime, "python", 1_500.0));
    rows
}

/// Times of one kind of call.
#[derive(Default)]
struct Measured {
    /// As the caller waits for it.
    whole: Vec<Duration>,
    /// The call itself, without the way to its thread and back.
    inner: Vec<Duration>,
}

impl Measured {
    fn round(&mut self, runtime: &Runtime, served: &Served, context: &CallContext, calls: usize) {
        for _ in 0..calls {
            let context = context.clone();
            let begin = Instant::now();
            let called = runtime.block_on(served.prompt(context));
            self.whole.push(begin.elapsed());
            self.inner.push(called.took);
            task(called);
        }
    }

    fn times(self, what: &str) -> [Times; 2] {
        let both = [self.whole, self.inner].map(Times::new);
        say(format_args!("{what}: {}", both[0]));
        say(format_args!("{what}, in its thread: {}", both[1]));
        both
    }
}

fn rust_and_extism(runtime: &Runtime) -> Vec<Row> {
    let ours = runtime.block_on(Ours::open(&[("idea.wasm", built_in("idea"))]));
    let served = runtime.block_on(ours.served("idea"));
    let (recorded, mut plain) = (context(), context());
    plain.record = false;
    let job = job_as_json();
    say(format_args!("the job has {} bytes as JSON", job.len()));
    let mut peer = Peer::start(&job).map(|(peer, answer)| {
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let mine = task(runtime.block_on(served.prompt(context())));
        assert_eq!(
            answer["ok"][0]["prompt"], mine.prompt,
            "both do the same work"
        );
        peer
    });
    Measured::default().round(runtime, &served, &recorded, WARM_UP);
    let mut peers = [Vec::new(), Vec::new()];
    let (mut with, mut without) = (Measured::default(), Measured::default());
    if let Some(peer) = &mut peer {
        peer.round("fresh", WARM_UP);
        peer.round("live", WARM_UP);
    }
    for round in 1..=ROUNDS {
        with.round(runtime, &served, &recorded, CALLS);
        without.round(runtime, &served, &plain, CALLS);
        if let Some(peer) = &mut peer {
            peers[0].extend(peer.round("fresh", CALLS));
            peers[1].extend(peer.round("live", CALLS));
        }
        say(format_args!("round {round} of {ROUNDS}"));
    }
    let with = with.times("Rust, recorded");
    let without = without.times("Rust, not recorded");
    let peers = peers.map(|times| (!times.is_empty()).then(|| Times::new(times)));
    for (name, times) in ["fresh", "live"].iter().zip(&peers) {
        times
            .iter()
            .for_each(|times| say(format_args!("Extism, {name}: {times}")));
    }
    let against = |row: Row, peer: usize, percent: usize| match &peers[peer] {
        Some(times) => {
            let name = ["Extism, fresh plug-in", "Extism, live plug-in"][peer];
            row.against(name, times.us(percent))
        }
        None => row,
    };
    let row = |id: &str, what: &str, times: &Times, percent: usize| {
        Row::new(id, what, "µs", times.us(percent))
    };
    let what = format!(
        "one prompt call, Rust, fresh store, 1 kB job, limits and recording on, p50 of {}",
        with[0].count()
    );
    let [whole, inner] = &with;
    vec![
        against(row("rust", &what, whole, 50).at_most(20.0), 0, 50),
        against(row("rust-p99", "the same, p99", whole, 99), 0, 99),
        row(
            "rust-inner",
            "of it, in the call's own thread, p50",
            inner,
            50,
        )
        .at_most(20.0),
        row(
            "rust-plain",
            "the same call, not recorded, p50",
            &without[0],
            50,
        ),
        row(
            "rust-plain-inner",
            "of that, in the call's own thread, p50",
            &without[1],
            50,
        ),
        against(
            row(
                "rust-live",
                "the first, beside a plug-in that lives on, p50",
                whole,
                50,
            ),
            1,
            50,
        ),
    ]
}

/// Another language's plugin of the same phase.
fn foreign(runtime: &Runtime, language: &str, aim: f64) -> Vec<Row> {
    let what = format!("one prompt call, {language}, as above, p50");
    let Some(folder) = place("GANTRY_TEST_FOREIGN") else {
        let why = "GANTRY_TEST_FOREIGN names no folder";
        return vec![Row::missing(language, &what, "µs", why)];
    };
    let file = PathBuf::from(folder).join(format!("idea-{language}.wasm"));
    let ours = runtime.block_on(Ours::open(&[("idea.wasm", file)]));
    let served = runtime.block_on(ours.served("idea"));
    let context = context();
    Measured::default().round(runtime, &served, &context, SLOW_CALLS);
    let mut measured = Measured::default();
    measured.round(runtime, &served, &context, SLOW_CALLS * ROUNDS);
    let [whole, inner] = measured.times(language);
    vec![
        Row::new(language, what, "µs", whole.us(50)).at_most(aim),
        Row::new(
            &format!("{language}-inner"),
            "of it, in the call's own thread, p50",
            "µs",
            inner.us(50),
        ),
    ]
}
