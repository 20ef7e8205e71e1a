//! A host: the built binary with a folder, a port and a log of its own. Dropping it ends it, and
//! fails where a process or a container of it is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::agents::Agents;
use super::client::{Client, DEADLINE};
use super::docker::Docker;
use super::log::Log;
use super::parts::Part;
use super::processes::{self, Process};
use super::said::Said;
use super::seats::Seat;
use super::shared;

const READY: &str = "gantry: ready on http://127.0.0.1:";
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at what no event tells of.
const LOOK: Duration = Duration::from_millis(10);
/// For what the host has told to end already.
const LAST_MOMENTS: Duration = Duration::from_secs(3);

/// The program, as cargo has built it: beside this one, or above where this one is a test.
///
/// # Panics
/// Where it isn't there.
#[must_use]
pub fn gantry() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let places = exe.ancestors().skip(1).take(2);
    let gantry = places
        .map(|place| place.join("gantry"))
        .find(|it| it.is_file());
    gantry.unwrap_or_else(|| {
        panic!(
            "no gantry near {}: `cargo build --workspace --bin gantry` makes it",
            exe.display()
        )
    })
}

/// How a host is to run.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    settings: Vec<(String, String)>,
    plugins: Vec<(String, PathBuf)>,
    pipelines: Vec<(String, String)>,
}

impl Setup {
    /// SQLite, and the demo agent as a process.
    #[must_use]
    pub fn demo() -> Self {
        Self::default().set("RUNNER", "process")
    }

    /// SQLite, and this agent as a process.
    #[must_use]
    pub fn agents(agents: &Agents) -> Self {
        // It counts as a real one, which wants a provider; it never asks it.
        Self::demo()
            .set("WORKER_COMMAND", agents.command())
            .set("ANTHROPIC_API_KEY", "not-used")
            .set("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    }

    /// SQLite, and Claude Code in containers, whose provider is at `url`.
    ///
    /// # Panics
    /// Without an engine or an image.
    #[must_use]
    pub fn docker(url: &str, key: &str) -> Self {
        let docker = Docker::find().expect("an engine");
        Self::default()
            .set("RUNNER", "docker")
            .set("DOCKER_HOST", docker.host())
            .set("WORKER_IMAGE", Part::WorkerImage.place().expect("an image"))
            .set("ANTHROPIC_BASE_URL", url)
            .set("ANTHROPIC_API_KEY", key)
    }

    /// SQLite, and Claude Code as a process, whose provider is at `url`. It asks only once.
    ///
    /// # Panics
    /// Without the CLI.
    #[must_use]
    pub fn claude(url: &str, key: &str) -> Self {
        let cli = PathBuf::from(Part::Claude.place().expect("the CLI"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = cli.parent().map(Path::to_owned).into_iter();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&path))).unwrap();
        let entrypoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../worker/entrypoint.sh");
        let command = format!("env CLAUDE_CODE_MAX_RETRIES=0 {entrypoint}");
        Self::demo()
            .set("PATH", path.to_str().unwrap())
            .set("WORKER_COMMAND", command)
            .set("ANTHROPIC_BASE_URL", url)
            .set("ANTHROPIC_API_KEY", key)
    }

    /// One more setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    /// One more plugin in its folder, under this file name.
    #[must_use]
    pub fn plugin(mut self, file: &str, from: impl Into<PathBuf>) -> Self {
        self.plugins.push((file.to_owned(), from.into()));
        self
    }

    /// One more pipeline in its folder.
    #[must_use]
    pub fn pipeline(mut self, name: &str, text: &str) -> Self {
        self.pipelines.push((name.to_owned(), text.to_owned()));
        self
    }
}

/// A running host, or one that was stopped and can start again.
pub struct Host {
    gantry: PathBuf,
    settings: Vec<(String, String)>,
    child: Option<(Child, Process)>,
    client: Client,
    log: Log,
    /// Where the log of its last start begins.
    started_at: usize,
    folder: TempDir,
    /// None for a host beside another one, whose seat it shares.
    _seat: Option<Seat>,
}

impl Host {
    /// Starts one, and waits until it is ready.
    ///
    /// # Panics
    /// Where it doesn't start.
    pub async fn start(setup: Setup) -> Self {
        let mut host = Self::make(setup, Some(Seat::take().await));
        host.go(0).await;
        host
    }

    /// Starts one in the seat of this one, as tests of several hosts must: each waiting for
    /// one more seat, they would wait for each other.
    ///
    /// # Panics
    /// Where it doesn't start.
    pub async fn beside(&self, setup: Setup) -> Self {
        let mut host = Self::make(setup, None);
        host.go(0).await;
        host
    }

    fn make(setup: Setup, seat: Option<Seat>) -> Self {
        // Short, as the paths of the sockets in it must be.
        let folder = tempfile::Builder::new()
            .prefix("gt-")
            .tempdir_in("/tmp")
            .unwrap();
        let data = folder.path().join("d");
        for (file, from) in &setup.plugins {
            fs::create_dir_all(data.join("plugins")).unwrap();
            fs::copy(from, data.join("plugins").join(file)).unwrap();
        }
        for (name, text) in &setup.pipelines {
            fs::create_dir_all(data.join("pipelines")).unwrap();
            fs::write(data.join("pipelines").join(format!("{name}.toml")), text).unwrap();
        }
        let log = Log::new();
        Self {
            gantry: gantry(),
            settings: setup.settings,
            child: None,
            client: Client::new(0, log.clone()),
            log,
            started_at: 0,
            folder,
            _seat: seat,
        }
    }

    async fn go(&mut self, port: u16) {
        assert!(
            self.try_go(port).await,
            "the host isn't ready\n{}",
            self.log.tail()
        );
    }

    /// Whether it is ready. It may have ended.
    async fn try_go(&mut self, port: u16) -> bool {
        let mut command = self.command();
        command.arg("serve").env("PORT", port.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        self.started_at = self.log.len();
        self.log.follow(child.stdout.take().unwrap());
        self.log.follow(child.stderr.take().unwrap());
        let process = Process::of(child.id()).unwrap();
        let ready = self.log.find(self.started_at, |line| {
            line.strip_prefix(READY)
                .and_then(|port| port.trim().parse().ok())
        });
        let port = tokio::select! {
            port = timeout(DEADLINE, ready) => port.ok(),
            // An end of its output without that line: it has ended, or won't say it any more.
            () = self.log.silent() => None,
        };
        self.child = Some((child, process));
        if let Some(port) = port {
            self.client = Client::new(port, self.log.clone());
        }
        port.is_some()
    }

    /// The program with this host's settings and nothing else in its environment.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.gantry);
        command
            .env_clear()
            .current_dir(self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GANTRY_DATA", self.data())
            .env("BIND", "127.0.0.1")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        if let Some(plugins) = std::env::var_os("GANTRY_TEST_PLUGINS") {
            command.env("BUILTIN_PLUGIN_DIR", plugins);
        }
        command
    }

    /// Runs a command of a client of this host.
    pub async fn run(&self, args: &[&str]) -> Said {
        let mut command = self.command();
        command.args(args).env("GANTRY_SERVER", self.client.url());
        Said::by(command).await
    }

    /// Its client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// `GANTRY_DATA`.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("d")
    }

    /// The folder that holds its data, and everything else of it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until it says so, since its last start.
    pub async fn said(&self, text: &str) -> String {
        self.log.said(self.started_at, text, DEADLINE).await
    }

    /// Whether it has said so, since its last start.
    #[must_use]
    pub fn has_said(&self, text: &str) -> bool {
        self.log.has(self.started_at, text)
    }

    /// Its last lines, for a failure.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.tail()
    }

    /// Kills it, and nothing that it has started.
    pub async fn kill(&mut self) -> ExitStatus {
        self.stop(Signal::KILL).await
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.stop(Signal::TERM).await
    }

    /// Asks it to end, by SIGTERM or as Ctrl-C does, and doesn't wait.
    ///
    /// # Panics
    /// Where it doesn't run.
    pub fn ask_to_end(&self, by_hand: bool) {
        let (_, process) = self.child.as_ref().expect("it runs");
        process.signal(if by_hand { Signal::INT } else { Signal::TERM });
    }

    /// Waits until it has ended by itself, or as it was asked to before.
    pub async fn ends(&mut self) -> ExitStatus {
        self.log.silent().await;
        let (mut child, _) = self.child.take().expect("it runs");
        child.wait().unwrap()
    }

    /// Returns once it has ended, or says nothing any more. It can be dropped.
    pub async fn ended(&self) {
        self.log.silent().await;
    }

    /// The number of its process; none where it doesn't run.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(|(_, process)| process.pid())
    }

    /// Lets it stand still, or go on after that.
    ///
    /// # Panics
    /// Where it doesn't run.
    pub fn pause(&self, pause: bool) {
        let (_, process) = self.child.as_ref().expect("it runs");
        process.signal(if pause { Signal::STOP } else { Signal::CONT });
    }

    /// Waits until it stands still by itself, as `GANTRY_STOP_AT` asks.
    ///
    /// # Panics
    /// After [`DEADLINE`], or where it doesn't run.
    pub async fn stands_still(&self) {
        let (_, process) = self.child.as_ref().expect("it runs");
        let stands = async {
            while !process.stands_still() {
                sleep(LOOK).await;
            }
        };
        let stands = timeout(DEADLINE, stands).await;
        assert!(stands.is_ok(), "it stands still\n{}", self.log.tail());
    }

    /// One setting for its next start; none takes it away.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.settings.retain(|(known, _)| known != name);
        if let Some(value) = value {
            self.settings.push((name.to_owned(), value.to_owned()));
        }
    }

    async fn stop(&mut self, signal: Signal) -> ExitStatus {
        let (mut child, process) = self.child.take().expect("it runs");
        process.signal(signal);
        process.ended(STOP_LIMIT).await;
        child.wait().unwrap()
    }

    /// Kills it with every process and every container of it, as a machine that goes off does.
    ///
    /// # Panics
    /// Where one of them doesn't end.
    pub async fn power_off(&mut self) {
        self.kill().await;
        self.kill_containers();
        // A process may have started another one meanwhile.
        loop {
            let processes = self.processes();
            if processes.is_empty() {
                break;
            }
            for process in processes {
                process.signal(Signal::KILL);
                process.ended(STOP_LIMIT).await;
            }
        }
    }

    /// Kills its containers, as who knows nothing of it does. They stand there, ended.
    pub fn kill_containers(&self) {
        if let Some(docker) = self.docker() {
            docker.kill(&docker.containers(self.folder.path()));
        }
    }

    /// The same, and nothing is left of them.
    pub fn remove_containers(&self) {
        if let Some(docker) = self.docker() {
            docker.remove(&docker.containers(self.folder.path()));
        }
    }

    /// Starts it again on the same data and the same port.
    pub async fn restart(&mut self) {
        let port = self.port();
        self.go(port).await;
    }

    /// [`Self::restart`], where it may end at once; whether it is ready.
    pub async fn try_restart(&mut self) -> bool {
        let port = self.port();
        let ready = self.try_go(port).await;
        if !ready && let Some((mut child, process)) = self.child.take() {
            process.signal(Signal::KILL);
            let _ = child.wait();
        }
        ready
    }

    fn port(&self) -> u16 {
        assert!(self.child.is_none(), "it was stopped");
        let port = self
            .client
            .url()
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        port.unwrap()
    }

    /// The processes that belong to it, itself among them.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        processes::that_name(self.folder.path())
    }

    /// The time that processors have spent on it and on its processes, in hundredths of a second.
    #[must_use]
    pub fn busy(&self) -> u64 {
        self.processes().iter().map(Process::busy).sum()
    }

    /// Its containers, as the engine describes them.
    #[must_use]
    pub fn containers(&self) -> Vec<Value> {
        let docker = self.docker();
        docker
            .map(|docker| docker.containers(self.folder.path()))
            .unwrap_or_default()
    }

    /// The folders of its runs: of those that it makes, and of those of the process runner.
    #[must_use]
    pub fn run_folders(&self) -> Vec<String> {
        shared::runs(&self.data().join("run"))
    }

    fn docker(&self) -> Option<Docker> {
        let setting = |wanted: &str| {
            let found = self.settings.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        setting("RUNNER").filter(|runner| *runner == "docker")?;
        // One that was never there has no containers.
        let is_there = |host: &&str| {
            let socket = host.strip_prefix("unix://");
            socket.is_none_or(|socket| Path::new(socket).exists())
        };
        setting("DOCKER_HOST").filter(is_there).map(Docker::at)
    }

    /// Ends it and what it left; what was left.
    fn clear(&mut self) -> String {
        let mut left = String::new();
        if let Some((mut child, process)) = self.child.take() {
            process.signal(Signal::TERM);
            if !process.ends_within(STOP_LIMIT) {
                process.signal(Signal::KILL);
                left.push_str("the host didn't end\n");
            }
            let _ = child.wait();
        }
        let mut rest = self.processes();
        rest.retain(|process| !process.ends_within(LAST_MOMENTS));
        left.push_str(&processes::shown(&rest));
        for process in rest {
            process.signal(Signal::KILL);
        }
        if let Some(docker) = self.docker() {
            let containers = docker.containers(self.folder.path());
            docker.remove(&containers);
            let names = containers
                .iter()
                .map(|container| container["Name"].to_string());
            left.push_str(&names.collect::<Vec<_>>().join("\n"));
        }
        left
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let left = self.clear();
        if std::thread::panicking() {
            println!("{}", self.log.tail());
        } else {
            assert!(
                left.is_empty(),
                "left behind by the host: {left}\n{}",
                self.log.tail()
            );
        }
    }
}
