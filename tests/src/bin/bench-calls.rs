//! How long a plugin's call takes: `prompt` of a built-in phase in a sandbox of its own, and the
//! same work by Extism, in turns. It asserts nothing about time.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a benchmark whose surroundings fail has failed"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::{FileEntry, JobId, PlannedTask, PluginLimits, PluginReq};
use plugin_runtime::{
    CallContext, CallLimits, Called, Compiler, Config, Files, Grants, NoArchive, Plugins,
    ReadError, Served,
};
use serde_json::{Value, json};
use tests::bench::{Row, Times, place, print, say};
use tokio::runtime::Runtime;

const ROUNDS: usize = 15;
/// Of each kind in each round.
const CALLS: usize = 2_000;
const WARM_UP: usize = 2_000;
const PEER_NAME: &str = "Extism";

fn main() {
    let runtime = Runtime::new().unwrap();
    let ours = Ours::open(&runtime);
    let job = ours.job();
    say(format_args!("the job has {} bytes as JSON", job.len()));
    let peer = Peer::start(&job);
    if let Some((_, answer)) = &peer {
        let tasks: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(tasks[0]["prompt"], ours.prompt(), "both do the same work");
    }
    let mut measured = Measured::default();
    let mut peer = peer.map(|(peer, _)| peer);
    ours.round(WARM_UP, &mut Measured::default());
    if let Some(peer) = &mut peer {
        peer.round("fresh", WARM_UP);
        peer.round("live", WARM_UP);
    }
    for round in 1..=ROUNDS {
        ours.round(CALLS, &mut measured);
        if let Some(peer) = &mut peer {
            measured.fresh.extend(peer.round("fresh", CALLS));
            measured.live.extend(peer.round("live", CALLS));
        }
        say(format_args!("round {round} of {ROUNDS}"));
    }
    print(&measured.rows()).unwrap();
}

/// All times of a run.
#[derive(Default)]
struct Measured {
    /// As the caller waits for it.
    whole: Vec<Duration>,
    /// The call itself, without the way to its thread and back.
    inner: Vec<Duration>,
    fresh: Vec<Duration>,
    live: Vec<Duration>,
}

impl Measured {
    fn rows(self) -> Vec<Row> {
        let [whole, inner] = [self.whole, self.inner].map(Times::new);
        say(format_args!("prompt: {whole}"));
        say(format_args!("prompt, in its thread: {inner}"));
        let what = format!(
            "one prompt call in a fresh store, 1 kB job, limits on, p50 of {}",
            whole.count()
        );
        let row = |id, what: &str, percent| Row::new(id, what, "µs", whole.us(percent));
        let mut half = row("call", &what, 50).at_most(20.0);
        let mut most = row("call-p99", "the same, p99", 99);
        let within = "of it, in the call's own thread, p50";
        let mut live_row = None;
        if !self.fresh.is_empty() {
            let [fresh, live] = [self.fresh, self.live].map(Times::new);
            say(format_args!("{PEER_NAME}, fresh: {fresh}"));
            say(format_args!("{PEER_NAME}, live: {live}"));
            let name = format!("{PEER_NAME}, fresh plug-in");
            half = half.against(&name, fresh.us(50));
            most = most.against(&name, fresh.us(99));
            let what = "the same work in a plug-in that lives on between calls, p50";
            let row = row("call-live", what, 50);
            live_row = Some(row.against(&format!("{PEER_NAME}, live plug-in"), live.us(50)));
        }
        let inner = Row::new("call-inner", within, "µs", inner.us(50));
        [half, most, inner].into_iter().chain(live_row).collect()
    }
}

/// The plugin of Gantry.
struct Ours<'a> {
    runtime: &'a Runtime,
    served: Served,
    context: CallContext,
    _plugins: Plugins,
    _cache: tempfile::TempDir,
}

impl<'a> Ours<'a> {
    fn open(runtime: &'a Runtime) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let config = Config {
            sources: vec![built_in()],
            cache_dir: cache.path().to_owned(),
            limits: CallLimits::default(),
            replay_gate: false,
            grants: Grants::default(),
            extism: None,
            compiler: Compiler::InProcess,
            // Nothing lands while it is measured.
            rescan: Duration::from_secs(3600),
        };
        let idea = PluginReq {
            name: "idea".to_owned(),
            version: None,
        };
        let (plugins, served) = runtime.block_on(async {
            let plugins = Plugins::open(config, Arc::new(NoArchive)).await.unwrap();
            plugins.settled().await;
            let served = plugins.resolve(&idea, None).await;
            let served =
                served.unwrap_or_else(|error| panic!("{error:?}: {:?}", plugins.refused()));
            (plugins, served)
        });
        Self {
            runtime,
            served,
            context: context(),
            _plugins: plugins,
            _cache: cache,
        }
    }

    /// The one line to change for another way to call.
    fn call(&self, context: CallContext) -> Called<Option<Vec<PlannedTask>>> {
        self.runtime.block_on(self.served.prompt(context))
    }

    fn round(&self, calls: usize, measured: &mut Measured) {
        for _ in 0..calls {
            let context = self.context.clone();
            let begin = Instant::now();
            let called = self.call(context);
            measured.whole.push(begin.elapsed());
            measured.inner.push(called.took);
            let tasks = called.result.unwrap().unwrap();
            assert_eq!(tasks.len(), 1);
        }
    }

    fn prompt(&self) -> String {
        let called = self.call(self.context.clone());
        called.result.unwrap().unwrap().remove(0).prompt
    }

    /// The same job for a plug-in that takes it as JSON.
    fn job(&self) -> String {
        let context = &self.context;
        json!({
            "job": context.job.to_string(),
            "name": context.name,
            "pipeline": context.pipeline,
            "phase": context.phase,
            "attempt": context.attempt,
            "revision": context.revision,
            "params": context.params,
            "settings": context.settings,
            "feedback": context.feedback,
            "now_ms": context.now_ms,
            "seed": context.seed,
        })
        .to_string()
    }
}

/// A job of about a kilobyte.
fn context() -> CallContext {
    let wish = "Keepers row out at dusk, and the light must not fail. ";
    let params = json!({ "genre": "incremental", "wish": wish.repeat(12).trim_end() });
    CallContext {
        job: JobId(uuid::Uuid::nil()),
        name: "a game about lighthouse keepers".to_owned(),
        pipeline: "game".to_owned(),
        phase: "idea".to_owned(),
        attempt: 1,
        revision: 1,
        params: params.to_string(),
        settings: json!({ "genre": "idle" }).to_string(),
        feedback: None,
        now_ms: 1_700_000_000_000,
        seed: 7,
        outcomes: Vec::new(),
        files: Arc::new(NoFiles),
        group: None,
        limits: PluginLimits::default(),
        record: true,
    }
}

fn built_in() -> PathBuf {
    let place = place("GANTRY_TEST_PLUGINS");
    place.expect("`cargo xtask bench` names the plugins").into()
}

struct NoFiles;

impl Files for NoFiles {
    fn list(&self, _: &str, _: Option<&str>, _: u32) -> Result<Vec<FileEntry>, ReadError> {
        Ok(Vec::new())
    }

    fn stat(&self, _: &str) -> Result<FileEntry, ReadError> {
        Err(ReadError::NotFound)
    }

    fn read(&self, _: &str, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
        Err(ReadError::NotFound)
    }
}

/// `tests/peers/extism`, as a process of its own.
struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// With what its guest made of the job; none where it wasn't built.
    fn start(job: &str) -> Option<(Self, String)> {
        let Some(folder) = place("GANTRY_TEST_PEERS") else {
            say("GANTRY_TEST_PEERS names no folder of peers: no peer is measured");
            return None;
        };
        let folder = Path::new(&folder);
        let mut child = Command::new(folder.join("extism-peer"))
            .arg(folder.join("extism-guest.wasm"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut peer = Self {
            child,
            stdin,
            lines,
        };
        let answer = peer.ask(job);
        Some((peer, answer))
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.stdin, "{line}").unwrap();
        self.lines.next().expect("the peer answers").unwrap()
    }

    fn round(&mut self, how: &str, calls: usize) -> Vec<Duration> {
        let times: Vec<u64> = serde_json::from_str(&self.ask(&format!("{how} {calls}"))).unwrap();
        times.into_iter().map(Duration::from_nanos).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
