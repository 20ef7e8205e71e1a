//! A runner with folders of its own, and a run for it to start. It starts no engine: where
//! none answers, the case says so and ends.

use pipeline::RunKey;
use runner::{
    Docker, DockerConfig, Owner, Process, ProcessConfig, Run, RunLimits, RunSpec, Runner,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

/// For anything that is waited for.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The agent: whatever the test says.
pub(crate) const COMMAND: [&str; 3] = ["sh", "-c", "eval \"$SCRIPT\""];

pub(crate) struct Stage {
    pub(crate) dir: TempDir,
    pub(crate) installation: String,
    engine: Option<Engine>,
}

#[derive(Clone)]
struct Engine {
    host: Option<String>,
    image: String,
}

impl Stage {
    pub(crate) fn process() -> Self {
        Self::new(None)
    }

    /// None, said aloud, where there is no engine to test on.
    pub(crate) async fn docker() -> Option<Self> {
        Self::of("docker", std::env::var("DOCKER_HOST").ok()).await
    }

    /// The same with Podman's service.
    pub(crate) async fn podman() -> Option<Self> {
        match std::env::var("GANTRY_TEST_PODMAN") {
            Ok(host) => Self::of("podman", Some(host)).await,
            Err(_) => not_run("podman", "GANTRY_TEST_PODMAN names no service"),
        }
    }

    async fn of(name: &str, host: Option<String>) -> Option<Self> {
        let image = std::env::var("GANTRY_TEST_IMAGE");
        let image = image.unwrap_or_else(|_| "debian:bookworm-slim".to_owned());
        let stage = Self::new(Some(Engine { host, image }));
        match stage.runner().check().await {
            Ok(_) => Some(stage),
            Err(runner::RunnerError::MissingImage { image, .. }) => {
                not_run(name, &format!("the image {image} isn't there"))
            }
            Err(error) => not_run(name, &format!("no engine answers ({error})")),
        }
    }

    fn new(engine: Option<Engine>) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("gantry-runner-")
            .tempdir()
            .unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let installation = uuid::Uuid::now_v7().simple().to_string();
        let stage = Self {
            dir,
            installation,
            engine,
        };
        for folder in ["workspace", "out", "session"] {
            fs::create_dir(stage.path(folder)).unwrap();
            let owner = stage.owner();
            chown(stage.path(folder), Some(owner.uid), Some(owner.gid)).unwrap();
        }
        fs::create_dir(stage.path("run")).unwrap();
        fs::write(stage.path("run/prompt.md"), "make a game").unwrap();
        stage
    }

    pub(crate) fn isolates(&self) -> bool {
        self.engine.is_some()
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// As a host that has just started makes it.
    pub(crate) fn runner(&self) -> Box<dyn Runner> {
        self.runner_with(&COMMAND, &self.installation)
    }

    pub(crate) fn runner_with(&self, command: &[&str], installation: &str) -> Box<dyn Runner> {
        match &self.engine {
            Some(engine) => Box::new(Docker::new(DockerConfig {
                host: engine.host.clone(),
                command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
                ..DockerConfig::new(engine.image.clone(), installation)
            })),
            None => Box::new(Process::new(ProcessConfig {
                shim: vec![
                    OsString::from(env!("CARGO_BIN_EXE_runner-shim")),
                    "shim".into(),
                ],
                command: command.iter().map(OsString::from).collect(),
                installation: installation.to_owned(),
                state: self.path("state"),
                boundaries: pipeline::Boundaries::default(),
            })),
        }
    }

    /// The engine itself, for what no runner would do.
    pub(crate) fn client(&self) -> bollard::Docker {
        match self.engine.as_ref().and_then(|engine| engine.host.as_ref()) {
            Some(host) => bollard::Docker::connect_with_host(host).unwrap(),
            None => bollard::Docker::connect_with_unix_defaults().unwrap(),
        }
    }

    /// Without an image, or without a command, as the runner's kind may lack it.
    pub(crate) fn broken_runner(&self) -> Box<dyn Runner> {
        match &self.engine {
            Some(engine) => Box::new(Docker::new(DockerConfig {
                host: engine.host.clone(),
                ..DockerConfig::new("gantry-no-such-image", self.installation.clone())
            })),
            None => self.runner_with(&["/no/such/agent"], &self.installation),
        }
    }

    /// Root's agents become somebody else, as root's hosts want it.
    pub(crate) fn owner(&self) -> Owner {
        let own = fs::metadata(self.dir.path()).unwrap();
        match own.uid() {
            0 => Owner {
                uid: 12_345,
                gid: 12_345,
            },
            uid => Owner {
                uid,
                gid: own.gid(),
            },
        }
    }

    /// A run of this script, with what the driver would add.
    pub(crate) fn spec(&self, script: &str) -> RunSpec {
        let key = RunKey {
            job: "0197b6c2-7a1e-7000-8000-000000000001".parse().unwrap(),
            revision: 1,
            phase: "build".to_owned(),
            attempt: 2,
            task: "page".to_owned(),
            run: 1,
        };
        let mut spec = RunSpec {
            name: key.name(&self.installation),
            key,
            env: BTreeMap::new(),
            workspace: self.path("workspace"),
            run_dir: self.path("run"),
            out_dir: self.path("out"),
            session_dir: self.path("session"),
            owner: self.owner(),
            limits: RunLimits {
                memory_bytes: 64 << 20,
                pids: 64,
                tmp_bytes: 16 << 20,
                log_bytes: 256 << 10,
                ..RunLimits::default()
            },
            time_limit: Duration::from_secs(300),
        };
        let places = self.runner().places(&spec);
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        spec.env = BTreeMap::from([
            ("SCRIPT".to_owned(), script.to_owned()),
            ("WORKSPACE_DIR".to_owned(), text(&places.workspace)),
            (
                "PROMPT_FILE".to_owned(),
                text(&places.run.join("prompt.md")),
            ),
            ("OUT_DIR".to_owned(), text(&places.out)),
            ("SESSION_DIR".to_owned(), text(&places.session)),
        ]);
        spec
    }

    pub(crate) async fn start(&self, spec: &RunSpec) -> Box<dyn Run> {
        self.runner().start(spec).await.unwrap()
    }

    /// A named pipe in the workspace: the agent's and the test's way to wait for each other.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path("workspace").join(name);
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        path
    }

    /// What the agent writes into the pipe, once it does.
    pub(crate) async fn hear(&self, fifo: PathBuf) -> String {
        let heard = tokio::task::spawn_blocking(move || fs::read_to_string(fifo).unwrap());
        timeout(SOON, heard)
            .await
            .expect("the agent says something")
            .unwrap()
    }

    /// Lets the agent go on that reads from the pipe.
    pub(crate) async fn tell(&self, fifo: PathBuf) {
        let told = tokio::task::spawn_blocking(move || {
            OpenOptions::new()
                .write(true)
                .open(fifo)
                .unwrap()
                .write_all(b"go\n")
                .unwrap();
        });
        timeout(SOON, told)
            .await
            .expect("the agent listens")
            .unwrap();
    }

    pub(crate) fn read(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).unwrap()
    }

    /// A host that starts the run and is killed once it has said so.
    pub(crate) async fn start_from_a_host_that_is_killed(&self, spec: &RunSpec) {
        let plan = self.path("plan.json");
        let engine = self.engine.as_ref();
        let text = serde_json::json!({
            "installation": self.installation,
            "image": engine.map(|engine| &engine.image),
            "host": engine.and_then(|engine| engine.host.as_ref()),
            "command": COMMAND,
            "state": self.path("state"),
            "spec": spec,
        });
        fs::write(&plan, text.to_string()).unwrap();
        let started = tokio::task::spawn_blocking(move || {
            let mut host = Command::new(env!("CARGO_BIN_EXE_runner-shim"))
                .arg("host")
                .arg(plan)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            let mut said = std::io::BufReader::new(host.stdout.take().unwrap());
            std::io::BufRead::read_line(&mut said, &mut line).unwrap();
            host.kill().unwrap();
            host.wait().unwrap();
            line
        });
        let line = timeout(SOON, started)
            .await
            .expect("the host starts it")
            .unwrap();
        assert_eq!(line, "started\n");
    }
}

impl Drop for Stage {
    /// Nothing stays behind, also where a case failed.
    fn drop(&mut self) {
        let runner = self.runner();
        let clean = async move {
            for found in runner.list().await.unwrap_or_default() {
                let _ = runner.remove(&found.name).await;
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(clean));
    }
}

fn not_run(engine: &str, why: &str) -> Option<Stage> {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let line = format!("runner conformance on {engine}: {why}");
    println!("not run: {line}");
    // Once for the whole suite rather than once a case.
    if SAID.lock().unwrap().insert(line.clone())
        && let Some(list) = std::env::var_os("GANTRY_TEST_NOT_RUN")
    {
        let mut list = OpenOptions::new()
            .append(true)
            .create(true)
            .open(list)
            .unwrap();
        writeln!(list, "{line}").unwrap();
    }
    None
}
