//! A Docker Engine of one's own, which may be ended or killed and started again with what stands
//! in it. It never touches an engine that is there already; whose containers are in it is the
//! hosts' matter.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::client::DEADLINE;
use super::docker::Docker;
use super::processes::{self, Process};

/// An engine that is asked to end gives each of its containers ten seconds.
const STOP_LIMIT: Duration = Duration::from_secs(45);
/// For a process that was killed.
const LAST_MOMENTS: Duration = Duration::from_secs(10);
/// Starts, where it ends before it answers.
const TRIES: usize = 3;
const LOOK: Duration = Duration::from_millis(50);

/// An engine that runs until this value is dropped. Then nothing of it is left: no process, no
/// mount, no file.
pub struct Engine {
    dockerd: PathBuf,
    docker: Docker,
    daemon: Option<(Child, Process)>,
    folder: TempDir,
}

impl Engine {
    /// Makes one without images and starts it.
    ///
    /// # Errors
    /// Why none can be had here.
    pub async fn start() -> Result<Self, String> {
        if !geteuid().is_root() {
            return Err("only root may start a Docker Engine".to_owned());
        }
        let dockerd = on_path("dockerd").ok_or("no dockerd is installed")?;
        // Short, since the paths of its sockets are long.
        let folder = tempfile::Builder::new().prefix("ge-").tempdir_in("/tmp");
        let folder = folder.map_err(|error| error.to_string())?;
        let mut engine = Self {
            dockerd,
            docker: Docker::at(&format!("unix://{}", socket(folder.path()).display())),
            daemon: None,
            folder,
        };
        // Or it would take up that of the machine's own.
        let config = fs::write(engine.path("config.json"), "{}");
        config.map_err(|error| error.to_string())?;
        match engine.try_go().await {
            true => Ok(engine),
            false => Err(format!("dockerd doesn't start: {}", engine.last_words())),
        }
    }

    /// Who speaks to it.
    #[must_use]
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Starts it again, and waits until it answers. As a service manager does, it tries more than
    /// once.
    ///
    /// # Panics
    /// Where it doesn't.
    pub async fn go(&mut self) {
        for _ in 0..TRIES {
            if self.try_go().await {
                return;
            }
            self.gone(Signal::KILL).await;
        }
        panic!("dockerd doesn't start again: {}", self.last_words());
    }

    /// Asks it to end: it ends its containers first.
    pub async fn end(&mut self) {
        self.gone(Signal::TERM).await;
    }

    /// Kills it. Its containers live on, until it comes back and ends them.
    pub async fn crash(&mut self) {
        self.gone(Signal::KILL).await;
    }

    async fn gone(&mut self, signal: Signal) {
        if let Some((mut child, process)) = self.daemon.take() {
            // Its containerd, which the next one would take for its own while it dies.
            let children = processes::children(&process);
            process.signal(signal);
            process.ended(STOP_LIMIT).await;
            let _ = child.wait();
            for child in children {
                child.signal(Signal::KILL);
                child.ended(STOP_LIMIT).await;
            }
        }
    }

    async fn try_go(&mut self) -> bool {
        let mut child = self.command().spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        let answers = async {
            while child.try_wait().unwrap().is_none() {
                if answers(&socket(self.folder.path())).await {
                    return true;
                }
                sleep(LOOK).await;
            }
            false
        };
        let answers = timeout(DEADLINE, answers).await;
        self.daemon = Some((child, process));
        answers.unwrap_or(false)
    }

    fn command(&self) -> Command {
        let mut dockerd = match on_path("setpriv") {
            // Should this process be killed, it isn't left to itself.
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "TERM", "--"]);
                command.arg(&self.dockerd);
                command
            }
            None => Command::new(&self.dockerd),
        };
        let log = self.path("log");
        let log = fs::File::options().create(true).append(true).open(log);
        let log = log.unwrap();
        dockerd.args(["--host", self.docker.host()]);
        for (option, name) in [
            ("--config-file", "config.json"),
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            dockerd.arg(option).arg(self.path(name));
        }
        // Agents have no network, and the machine's own rules are left alone.
        dockerd.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        // Where it shares a containerd that runs already, it shares no container.
        let name = self.folder.path().file_name().unwrap_or_default();
        let name = name.to_string_lossy().to_lowercase();
        dockerd.args(["--containerd-namespace", &format!("{name}-containers")]);
        dockerd.args(["--containerd-plugins-namespace", &format!("{name}-plugins")]);
        dockerd
            .env_remove("DOCKER_HOST")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        // Apart from what a terminal sends to all in front of it.
        std::os::unix::process::CommandExt::process_group(&mut dockerd, 0);
        dockerd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Of its log.
    fn last_words(&self) -> String {
        let log = fs::read(self.path("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// What it has started that lives on without it, the agents in its containers among them.
    fn rest(&self) -> Vec<Process> {
        let mut rest = processes::told_of(self.folder.path());
        rest.extend(processes::below(&rest));
        rest
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some((mut child, process)) = self.daemon.take() {
            process.signal(Signal::TERM);
            if !process.ends_within(STOP_LIMIT) {
                process.signal(Signal::KILL);
            }
            let _ = child.wait();
        }
        let rest = self.rest();
        for process in &rest {
            process.signal(Signal::KILL);
        }
        for process in &rest {
            process.ends_within(LAST_MOMENTS);
        }
        // Those within others last made, first gone.
        for mount in mounts_below(self.folder.path()).iter().rev() {
            let unmounted = Command::new("umount").arg("--lazy").arg(mount).status();
            if !unmounted.is_ok_and(|status| status.success()) {
                println!("{} is still mounted", mount.display());
            }
        }
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("docker.sock")
}

/// Whether an engine answers there.
async fn answers(socket: &Path) -> bool {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let asked = timeout(Duration::from_secs(5), asked).await;
    asked.is_ok_and(|answer| {
        answer.is_ok_and(|answer| answer.starts_with(b"HTTP/1.") && answer.ends_with(b"OK"))
    })
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut all = std::env::split_paths(&path).map(|folder| folder.join(program));
    all.find(|file| file.is_file())
}

/// In the order in which they were made.
fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let below = places
        .map(PathBuf::from)
        .filter(|place| place.starts_with(folder));
    below.collect()
}
