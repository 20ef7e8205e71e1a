//! Hosts of these benchmarks: the built binary with a role, settings and a folder, and nothing
//! else in its environment. Its log goes to a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tests::harness::{DEADLINE, gantry};
use tokio::time::sleep;

use crate::pipeline;

const LOOK_AGAIN: Duration = Duration::from_millis(10);
const READY: &str = "gantry: ready on ";

/// A host that runs, or has ended and can start again.
pub(crate) struct Host {
    child: Option<Child>,
    role: &'static str,
    settings: Vec<(String, String)>,
    data: PathBuf,
}

impl Host {
    /// Starts one with the pipeline of these benchmarks; its folder is `data`.
    pub(crate) fn start(role: &'static str, data: &Path, settings: &[(&str, String)]) -> Self {
        for folder in ["plugins", "pipelines", "built-in"] {
            fs::create_dir_all(data.join(folder)).unwrap();
        }
        fs::copy(pipeline::plugin(), data.join("plugins/empty.wasm")).unwrap();
        fs::write(data.join("pipelines/empty.toml"), pipeline::TEXT).unwrap();
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let mut host = Self {
            child: None,
            role,
            settings: settings.collect(),
            data: data.to_owned(),
        };
        host.go();
        host
    }

    /// Starts it again, as the same host.
    pub(crate) fn go(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = Command::new(gantry());
        command
            .args(["serve", "--role", self.role])
            .env_clear()
            .current_dir(&self.data)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GANTRY_DATA", &self.data)
            .env("BIND", "127.0.0.1")
            .env("PORT", "0")
            .env("RUNNER", "process")
            // None but those of the benchmark, or it would compile them meanwhile.
            .env("BUILTIN_PLUGIN_DIR", self.data.join("built-in"))
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::create(self.data.join("said")).unwrap())
            .stderr(File::create(self.data.join("log")).unwrap());
        self.child = Some(command.spawn().unwrap());
    }

    /// Its address, once it listens.
    pub(crate) async fn address(&mut self) -> String {
        let began = Instant::now();
        loop {
            let said = fs::read_to_string(self.data.join("said")).unwrap_or_default();
            let line = said.lines().find_map(|line| line.strip_prefix(READY));
            if let Some(url) = line {
                return url.trim_start_matches("http://").to_owned();
            }
            self.must_run();
            assert!(began.elapsed() < DEADLINE, "not ready: {}", self.log());
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Fails, with its log, where it has ended.
    pub(crate) fn must_run(&mut self) {
        let ended = self
            .child
            .as_mut()
            .and_then(|child| child.try_wait().unwrap());
        if let Some(status) = ended {
            panic!("the host ended, {status}: {}", self.log());
        }
    }

    /// Its last lines.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.data.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Kills it, and nothing that it has started.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) {
        self.end(Signal::TERM);
    }

    fn end(&mut self, signal: Signal) {
        let mut child = self.child.take().expect("it runs");
        // Gone already is fine: its number is this process's until it is waited for.
        let _ = kill_process(Pid::from_child(&child), signal);
        child.wait().unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.end(Signal::TERM);
        }
    }
}
