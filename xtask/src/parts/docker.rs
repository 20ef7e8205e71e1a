//! A Docker Engine and the images that the tests need. One that answers is used and left
//! alone; one that was started here stops with this value. It knows nothing of containers.

mod compose;
mod host;
mod images;

pub(crate) use compose::{Compose, HOST_IMAGE as COMPOSE_HOST_IMAGE};

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{Missing, Part, apt};
use crate::clone;
use crate::process::{Running, capture, check, on_path, tied};
use crate::term::say;

const NAME: &str = "Docker Engine";
const PACKAGES: [&str; 2] = ["docker.io", "iptables"];
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const READY_LIMIT: Duration = Duration::from_secs(60);
/// It stops its containers first, for which it gives each ten seconds.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// The name of the agent's image.
pub(crate) const WORKER_IMAGE: &str = "gantry-worker";
/// The image that the others are made on.
pub(crate) const BASE_IMAGE: &str = "debian:bookworm-slim";

/// An engine that answers.
pub(crate) struct Docker {
    /// Its line in the table.
    pub(crate) part: Part,
    /// For `DOCKER_HOST`.
    pub(crate) host: String,
    _daemon: Option<Daemon>,
}

/// An engine of our own. In this order: it stops, its folder goes, the next run may start one.
struct Daemon {
    _process: Running,
    _folder: TempDir,
    _lock: File,
}

impl Docker {
    /// Finds an engine that answers, or starts one.
    pub(crate) fn find() -> Result<Self, Missing> {
        let found = find_or_start();
        found.map_err(|why| Missing::new(NAME, format!("{why:#}"), apt::by_hand(&PACKAGES)))
    }

    /// `docker`, speaking to this engine.
    pub(crate) fn command(&self) -> Command {
        command(&self.host)
    }
}

fn find_or_start() -> Result<Docker> {
    if let Some(docker) = answering(&usual_host(), "was running", None) {
        return Ok(docker);
    }
    check()?;
    let mut origin = "installed, started here";
    if on_path(&["docker"]).is_none() || on_path(&["dockerd"]).is_none() {
        apt::install(&PACKAGES)?;
        origin = "apt-get install docker.io, started here";
        // Where there is a service manager the package has started one.
        if let Some(docker) = answering(&usual_host(), "apt-get install docker.io", None) {
            return Ok(docker);
        }
    }
    if !apt::is_root() {
        anyhow::bail!(
            "no engine answers at {}, and only root may start one",
            usual_host()
        );
    }
    let lock = clone::lock(
        Path::new("/run/gantry-xtask-docker.lock"),
        "the Docker Engine that it started",
    )?;
    let (daemon, host) = start(lock)?;
    answering(&host, origin, Some(daemon)).context("the engine started and doesn't answer")
}

fn usual_host() -> String {
    env::var("DOCKER_HOST")
        .ok()
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

fn command(host: &str) -> Command {
    let mut docker = Command::new("docker");
    docker.env("DOCKER_HOST", host);
    docker
}

fn answering(host: &str, origin: &str, daemon: Option<Daemon>) -> Option<Docker> {
    on_path(&["docker"])?;
    let format = "{{.Server.Version}} (API {{.Server.APIVersion}})";
    let said = capture(
        command(host).args(["version", "--format", format]),
        ANSWER_LIMIT,
    )
    .ok()?;
    let part = Part {
        name: NAME,
        version: said.trim().to_owned(),
        origin: origin.to_owned(),
    };
    Some(Docker {
        part,
        host: host.to_owned(),
        _daemon: daemon,
    })
}

/// Starts an engine on a socket of its own, so that nobody takes it for one that stays.
fn start(lock: File) -> Result<(Daemon, String)> {
    let folder = tempfile::Builder::new()
        .prefix("gantry-docker-")
        .tempdir_in("/run")?;
    let host = format!("unix://{}/docker.sock", folder.path().display());
    let dockerd = on_path(&["dockerd"]).context("there is no dockerd on PATH")?;
    let mut command = match tied("TERM") {
        Some(mut setpriv) => {
            setpriv.arg("--").arg(dockerd);
            setpriv
        }
        None => Command::new(dockerd),
    };
    command.env_remove("DOCKER_HOST").args(["-H", &host]);
    command
        .arg("--pidfile")
        .arg(folder.path().join("docker.pid"));
    command.arg("--exec-root").arg(folder.path().join("exec"));
    command.arg("--data-root").arg(data_root()?);
    say("starting dockerd");
    let log = clone::kept()?.join("dockerd.log");
    let mut process = Running::start("dockerd", &mut command, &log, (Signal::TERM, STOP_LIMIT))?;
    process.until(READY_LIMIT, |said| {
        said.contains("API listen on").then_some(())
    })?;
    Ok((
        Daemon {
            _process: process,
            _folder: folder,
            _lock: lock,
        },
        host,
    ))
}

/// Where images are kept: the usual folder, unless it can't be written or another engine,
/// which didn't answer us, may have it.
fn data_root() -> Result<PathBuf> {
    let usual = Path::new("/var/lib/docker");
    let writable = fs::create_dir_all(usual).is_ok() && tempfile::tempfile_in(usual).is_ok();
    if writable && !another_dockerd() {
        return Ok(usual.to_owned());
    }
    Ok(clone::kept()?.join("docker"))
}

fn another_dockerd() -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| {
        fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name.trim() == "dockerd")
    })
}
