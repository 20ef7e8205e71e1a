//! How soon a file that was renamed in answers, and what callers notice of a hundred swaps.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tests::bench::{Row, Times, built_in, say};
use tokio::task::JoinSet;

use crate::ours::{Ours, context, task};

const SWAPS: u32 = 100;
const CALLERS: usize = 16;
/// How long callers call without swaps, to compare with.
const CALM: Duration = Duration::from_secs(10);
/// Between two looks at which version answers.
const LOOK: Duration = Duration::from_micros(500);

pub(crate) async fn rows() -> Vec<Row> {
    let wasm = fs::read(built_in("idea")).unwrap();
    let ours = Arc::new(Ours::open(&[("idea.wasm", built_in("idea"))]).await);
    let mut times = Vec::new();
    for number in 0..SWAPS {
        times.push(swap(&ours, &numbered(&wasm, number)).await);
    }
    let alone = Times::new(times);
    say(format_args!("rename to first call: {alone}"));

    let calm = Callers::start(&ours);
    tokio::time::sleep(CALM).await;
    let calm = calm.end().await;
    let busy = Callers::start(&ours);
    let mut times = Vec::new();
    for number in SWAPS..2 * SWAPS {
        times.push(swap(&ours, &numbered(&wasm, number)).await);
    }
    let busy = busy.end().await;
    say(format_args!("callers, calm: {}", calm.times));
    say(format_args!("callers, swapped under: {}", busy.times));
    say(format_args!(
        "rename to first call, meanwhile: {}",
        Times::new(times)
    ));
    let bytes = wasm.len() / 1000;
    vec![
        Row::new(
            "swap",
            format!("rename into the folder to first call on the new version, {bytes} kB, p99 of {SWAPS}"),
            "ms",
            alone.ms(99),
        )
        .at_most(150.0),
        Row::new("swap-p50", "the same, p50", "ms", alone.ms(50)),
        Row::new(
            "swap-failed",
            format!("failed calls of {CALLERS} callers during {SWAPS} swaps, of {}", busy.times.count()),
            "calls",
            busy.failed as f64,
        )
        .at_most(0.0),
        Row::new("swap-callers", "p99 of these callers", "ms", busy.times.ms(99))
            .against("the same callers without swaps", calm.times.ms(99))
            .at_most(2.0 * calm.times.ms(99)),
    ]
}

/// The same component with another digest: a custom section says a number.
fn numbered(wasm: &[u8], number: u32) -> Vec<u8> {
    let mut wasm = wasm.to_vec();
    // Section 0 of nine bytes: a name of four, and the number.
    wasm.extend([0, 9, 4, b'n', b'u', b'm', b'b']);
    wasm.extend(number.to_le_bytes());
    wasm
}

/// From the rename to the end of the first call that the new file answered.
async fn swap(ours: &Ours, wasm: &[u8]) -> Duration {
    let before = ours.served("idea").await.pin().digest;
    let begin = Instant::now();
    ours.rename_in("idea.wasm", wasm);
    loop {
        let served = ours.served("idea").await;
        if served.pin().digest != before {
            task(served.prompt(context()).await);
            return begin.elapsed();
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Callers that call without a pause.
struct Callers {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
    calls: JoinSet<Vec<Duration>>,
}

struct Ended {
    times: Times,
    failed: usize,
}

impl Callers {
    fn start(ours: &Arc<Ours>) -> Self {
        let (stop, failed) = (Arc::default(), Arc::default());
        let mut calls = JoinSet::new();
        for _ in 0..CALLERS {
            calls.spawn(call_until(
                Arc::clone(ours),
                Arc::clone(&stop),
                Arc::clone(&failed),
            ));
        }
        Self {
            stop,
            failed,
            calls,
        }
    }

    async fn end(self) -> Ended {
        self.stop.store(true, Ordering::Relaxed);
        let times = self.calls.join_all().await.concat();
        Ended {
            times: Times::new(times),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

async fn call_until(
    ours: Arc<Ours>,
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
) -> Vec<Duration> {
    let context = context();
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let called = ours.served("idea").await.prompt(context.clone()).await;
        times.push(begin.elapsed());
        if !matches!(&called.result, Ok(Some(tasks)) if tasks.len() == 1) {
            failed.fetch_add(1, Ordering::Relaxed);
        }
    }
    times
}
