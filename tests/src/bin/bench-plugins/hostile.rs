//! What innocent callers notice of a hostile plugin that is called beside them without a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::bench::{Row, Times, built_in, guest, say};

use crate::ours::{Ours, context, task};

/// How long each side is measured.
const SPAN: Duration = Duration::from_secs(15);
/// Each of them calls, and rests for as long as a phase never does.
const CALLERS: usize = 4;
const REST: Duration = Duration::from_millis(2);

pub(crate) async fn rows() -> Vec<Row> {
    let files = [
        ("idea.wasm", built_in("idea")),
        ("loops.wasm", guest("loops")),
        ("eats-memory.wasm", guest("eats-memory")),
    ];
    let ours = Arc::new(Ours::open(&files).await);
    let mut rows = Vec::new();
    for (hostile, does) in [
        ("loops", "never ends"),
        ("eats-memory", "eats memory until its limit"),
    ] {
        let calm = innocent(&ours, SPAN).await;
        let stop = Arc::new(AtomicBool::new(false));
        let enemy = tokio::spawn(attack(Arc::clone(&ours), hostile, Arc::clone(&stop)));
        let beside = innocent(&ours, SPAN).await;
        stop.store(true, Ordering::Relaxed);
        let ended = enemy.await.unwrap();
        say(format_args!("calm: {calm}"));
        say(format_args!("beside {hostile}, {ended} calls: {beside}"));
        let what = format!(
            "a call of {CALLERS} callers beside a plugin that {does}, p99 of {}",
            beside.count()
        );
        rows.push(
            Row::new(hostile, what, "ms", beside.ms(99))
                .against("the same without it", calm.ms(99))
                .at_most(2.0 * calm.ms(99)),
        );
    }
    rows
}

async fn innocent(ours: &Arc<Ours>, span: Duration) -> Times {
    let callers = (0..CALLERS).map(|_| {
        let ours = Arc::clone(ours);
        tokio::spawn(async move {
            let until = Instant::now() + span;
            let mut times = Vec::new();
            while Instant::now() < until {
                let served = ours.served("idea").await;
                let begin = Instant::now();
                task(served.prompt(context()).await);
                times.push(begin.elapsed());
                tokio::time::sleep(REST).await;
            }
            times
        })
    });
    let mut times = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        times.extend(caller.await.unwrap());
    }
    Times::new(times)
}

/// How many calls ended, all as they should: at a limit.
async fn attack(ours: Arc<Ours>, hostile: &'static str, stop: Arc<AtomicBool>) -> usize {
    let mut ended = 0;
    while !stop.load(Ordering::Relaxed) {
        let called = ours.served(hostile).await.prompt(context()).await;
        assert!(called.result.is_err(), "{hostile} answers");
        ended += 1;
    }
    ended
}
