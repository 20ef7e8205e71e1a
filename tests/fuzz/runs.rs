//! Many inputs over all cores: what panics, aborts or hangs leaves its seed and its bytes behind.
//! It doesn't know what an input is or what becomes of it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run of hours says how far it is, and on what it hangs"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

/// How many inputs without `GANTRY_FUZZ_RUNS`.
const RUNS: u64 = 20_000;
/// One input that takes so long hangs. Far above every limit of the host's own, so that a busy
/// machine doesn't matter.
const HANGS: Duration = Duration::from_secs(120);
const NOBODY: u64 = u64::MAX;
/// Inputs between two lines about how far it is.
const TELL: u64 = 50_000;

/// What came of one input.
pub(crate) struct Run {
    /// Whether it got as far as it should often enough.
    pub(crate) deep: bool,
    /// In words; digits in it don't matter.
    pub(crate) kind: String,
}

/// What came of many.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) runs: u64,
    pub(crate) deep: u64,
}

impl Seen {
    /// Whether as many got far as should; a few inputs that somebody looks at say nothing.
    pub(crate) fn is_deep_enough(&self) -> bool {
        self.runs < 1_000 || self.share() >= 0.1
    }

    pub(crate) fn share(&self) -> f64 {
        self.deep as f64 / self.runs.max(1) as f64
    }
}

/// One target's runs.
pub(crate) struct Runs {
    target: &'static str,
    end: &'static str,
    folder: PathBuf,
    begin: Instant,
    most: Duration,
}

/// The smallest input of each kind, and how often the kind was met.
type Kinds = BTreeMap<String, (u64, Vec<u8>)>;

/// What one thread is at.
struct At {
    seed: AtomicU64,
    since_ms: AtomicU64,
}

impl Runs {
    pub(crate) fn of(target: &'static str, end: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
        fs::create_dir_all(&folder).unwrap();
        Self {
            target,
            end,
            folder,
            begin: Instant::now(),
            most: Duration::from_secs(number("GANTRY_FUZZ_SECONDS", u64::MAX)),
        }
    }

    /// Every input of the corpus, under the number that it has there.
    pub(crate) fn corpus(&self, corpus: &[Vec<u8>], take: &(impl Fn(u64, &[u8]) -> Run + Sync)) {
        let input = |number: u64| corpus[usize::try_from(number).unwrap()].clone();
        self.all("corpus", 0..corpus.len() as u64, &input, take);
    }

    /// As many inputs as the environment says.
    pub(crate) fn generated(
        &self,
        input: &(impl Fn(u64) -> Vec<u8> + Sync),
        take: &(impl Fn(u64, &[u8]) -> Run + Sync),
    ) -> Seen {
        let (first, runs) = (
            number("GANTRY_FUZZ_SEED", 1),
            number("GANTRY_FUZZ_RUNS", RUNS),
        );
        self.all("seed", first..first.saturating_add(runs), input, take)
    }

    fn all(
        &self,
        word: &str,
        seeds: std::ops::Range<u64>,
        input: &(impl Fn(u64) -> Vec<u8> + Sync),
        take: &(impl Fn(u64, &[u8]) -> Run + Sync),
    ) -> Seen {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let at: Vec<At> = (0..threads).map(|_| At::nobody()).collect();
        let (next, over) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
        let (seen, kinds) = (Mutex::new(Seen::default()), Mutex::new(Kinds::new()));
        let broken = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|thread| {
                    let (at, next, seeds) = (&at[thread], &next, &seeds);
                    let (seen, kinds, broken) = (&seen, &kinds, &broken);
                    scope.spawn(move || {
                        loop {
                            let seed = next.fetch_add(1, Ordering::Relaxed);
                            if seed >= seeds.end || self.begin.elapsed() > self.most {
                                break;
                            }
                            let bytes = input(seed);
                            // Stays behind where the process dies.
                            fs::write(self.flight(thread), &bytes).unwrap();
                            at.begins(seed, self.begin.elapsed());
                            let run = catch_unwind(AssertUnwindSafe(|| take(seed, &bytes)));
                            at.ends();
                            match run {
                                Ok(run) => {
                                    let mut seen = lock(seen);
                                    seen.runs += 1;
                                    seen.deep += u64::from(run.deep);
                                    if seen.runs.is_multiple_of(TELL) {
                                        println!("{}: {seen:?}", self.target);
                                    }
                                    count(&mut lock(kinds), &run.kind, bytes);
                                }
                                Err(_) => {
                                    let file = self.file(&format!("{word}-{seed}"));
                                    fs::write(&file, input(seed)).unwrap();
                                    lock(broken).push(format!(
                                        "{word} {seed} panicked: {}",
                                        file.display()
                                    ));
                                }
                            }
                        }
                    })
                })
                .collect();
            scope.spawn(|| self.watch(word, &at, &over));
            for worker in workers {
                worker.join().unwrap();
            }
            over.store(true, Ordering::Relaxed);
        });
        for thread in 0..threads {
            // It is there for what kills the process only.
            let _ = fs::remove_file(self.flight(thread));
        }
        let kinds = kinds.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.keep(&kinds);
        let broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(broken.is_empty(), "{}", broken.join("\n"));
        seen.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the process where one input hangs: its thread can't be stopped.
    fn watch(&self, word: &str, at: &[At], over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_millis(100));
            for (thread, at) in at.iter().enumerate() {
                if let Some(seed) = at.hangs(self.begin.elapsed()) {
                    let file = self.flight(thread);
                    eprintln!(
                        "{word} {seed} has taken {HANGS:?}: {}; GANTRY_FUZZ_SEED={seed} \
                         GANTRY_FUZZ_RUNS=1 runs it again",
                        file.display()
                    );
                    process::abort();
                }
            }
        }
    }

    /// What a thread is at; another process may run the same target.
    fn flight(&self, thread: usize) -> PathBuf {
        self.file(&format!("in-flight-{}-{thread}", process::id()))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder
            .join(format!("{}-{name}.{}", self.target, self.end))
    }

    /// Writes the smallest input of each kind, where somebody wants them.
    fn keep(&self, kinds: &Kinds) {
        let Some(folder) = env::var_os("GANTRY_FUZZ_KEEP") else {
            return;
        };
        let folder = PathBuf::from(folder).join(self.target);
        fs::create_dir_all(&folder).unwrap();
        let mut list = String::new();
        for (number, (kind, (times, bytes))) in kinds.iter().enumerate() {
            let name = format!("{number:04}.{}", self.end);
            writeln!(list, "{name} {times} {kind}").unwrap();
            fs::write(folder.join(name), bytes).unwrap();
        }
        fs::write(folder.join("kinds.txt"), list).unwrap();
    }
}

impl At {
    fn nobody() -> Self {
        Self {
            seed: AtomicU64::new(NOBODY),
            since_ms: AtomicU64::new(0),
        }
    }

    fn begins(&self, seed: u64, now: Duration) {
        self.since_ms.store(millis(now), Ordering::SeqCst);
        self.seed.store(seed, Ordering::SeqCst);
    }

    fn ends(&self) {
        self.seed.store(NOBODY, Ordering::SeqCst);
    }

    fn hangs(&self, now: Duration) -> Option<u64> {
        let seed = self.seed.load(Ordering::SeqCst);
        let since = self.since_ms.load(Ordering::SeqCst);
        let hangs = millis(now).saturating_sub(since) > millis(HANGS);
        (seed != NOBODY && hangs).then_some(seed)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(variable: &str, otherwise: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
        Err(_) => otherwise,
    }
}

/// A sentence without its numbers and names is a kind.
fn count(kinds: &mut Kinds, sentence: &str, bytes: Vec<u8>) {
    let mut quoted = false;
    let plain = sentence.chars().filter(|c| {
        quoted ^= *c == '`';
        !quoted && !c.is_ascii_digit() && !c.is_control()
    });
    let kind: String = plain.take(90).collect();
    let (times, smallest) = kinds.entry(kind).or_insert_with(|| (0, bytes.clone()));
    *times += 1;
    if bytes.len() < smallest.len() {
        *smallest = bytes;
    }
}
