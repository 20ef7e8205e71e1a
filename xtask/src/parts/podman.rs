//! Podman's service for root: the other engine that agents are tried in, with images of the Docker
//! Engine at hand. It has a socket and a store of its own, and ends with this value; containers
//! that stand elsewhere are left alone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use super::docker::Docker;
use super::{Missing, Part, apt, version_of};
use crate::clone;
use crate::process::{Running, capture, on_path, quiet, tied};
use crate::term::say;

const NAME: &str = "Podman";
const PACKAGES: [&str; 1] = ["podman"];
const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const INSPECT_LIMIT: Duration = Duration::from_secs(20);
const LOAD_LIMIT: Duration = Duration::from_secs(300);

/// A service that answers. In this order: it stops, its store is let go of, the next run may
/// start one.
pub(crate) struct Podman {
    /// Its line in the table.
    pub(crate) part: Part,
    /// For `DOCKER_HOST`.
    pub(crate) host: String,
    _service: Running,
    _store: Store,
    _folder: TempDir,
    _lock: File,
}

/// A folder in which it keeps images, and mounts them.
struct Store(PathBuf);

impl Podman {
    /// Starts one, with these images of the other engine.
    pub(crate) fn start(docker: &Docker, images: &[&str]) -> Result<Self, Missing> {
        start(docker, images)
            .map_err(|why| Missing::new(NAME, format!("{why:#}"), apt::by_hand(&PACKAGES)))
    }
}

fn start(docker: &Docker, images: &[&str]) -> Result<Podman> {
    if !apt::is_root() {
        bail!("only root may start its service");
    }
    let (program, origin) = match on_path(&["podman"]) {
        Some(program) => (program, "installed, started here"),
        None => {
            apt::install(&PACKAGES)?;
            let program = on_path(&["podman"]).context("the package podman brought none")?;
            (program, "apt-get install podman, started here")
        }
    };
    let store = clone::kept()?.join("podman");
    fs::create_dir_all(&store)?;
    let lock = clone::lock(&store.join("lock"), "the Podman that it started")?;
    // Short, since a socket's path is.
    let folder = tempfile::Builder::new()
        .prefix("gantry-podman-")
        .tempdir_in("/run")?;
    let host = format!("unix://{}/podman.sock", folder.path().display());
    say("starting podman's service");
    let mut service = Running::start(
        "podman",
        &mut command(&program, &store, &host),
        &clone::kept()?.join("podman.log"),
        (Signal::TERM, STOP_LIMIT),
    )?;
    let mounted = Store(store);
    service.until(READY_LIMIT, |said| {
        said.contains("API service listening on").then_some(())
    })?;
    for image in images {
        give(docker, &host, image).with_context(|| format!("the image {image}"))?;
    }
    Ok(Podman {
        part: Part {
            name: NAME,
            version: version_of(&program)?,
            origin: origin.to_owned(),
        },
        host,
        _service: service,
        _store: mounted,
        _folder: folder,
        _lock: lock,
    })
}

fn command(program: &Path, store: &Path, host: &str) -> Command {
    let mut command = match tied("TERM") {
        Some(mut setpriv) => {
            setpriv.arg("--").arg(program);
            setpriv
        }
        None => Command::new(program),
    };
    // Its monitors leave a file where they were started, once a container runs out of memory.
    command.current_dir(store);
    // Each is kept with the store, which remembers where they were.
    for (option, name) in [
        ("--root", "root"),
        ("--runroot", "run"),
        ("--tmpdir", "tmp"),
    ] {
        command.arg(option).arg(store.join(name));
    }
    command
        .args(["--cgroup-manager", "cgroupfs", "--events-backend", "file"])
        .args(["--log-level", "info", "system", "service", "--time", "0"])
        .arg(host);
    command
}

/// Gives it an image, unless it has it.
fn give(docker: &Docker, host: &str, image: &str) -> Result<()> {
    let id = |command: &mut Command| {
        let format = ["image", "inspect", "--format", "{{.Id}}", image];
        let said = capture(command.args(format), INSPECT_LIMIT).ok()?;
        Some(said.trim().trim_start_matches("sha256:").to_owned())
    };
    let there = id(&mut docker.command()).context("the Docker Engine hasn't it")?;
    let podman = || {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", host);
        command
    };
    if id(&mut podman()).is_some_and(|here| here == there) {
        return Ok(());
    }
    // By a file: whoever loads need not read a pipe to its end, and `docker save` fails of that.
    let folder = tempfile::tempdir_in(clone::kept()?)?;
    let file = folder.path().join("image.tar");
    let mut save = docker.command();
    quiet(
        save.args(["save", "--output"]).arg(&file).arg(image),
        LOAD_LIMIT,
    )?;
    let mut load = podman();
    let load = load.args(["load", "--quiet", "--input"]).arg(&file);
    quiet(load, LOAD_LIMIT)
}

impl Drop for Store {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let below: Vec<&str> = places
            .filter(|place| Path::new(place).starts_with(&self.0))
            .collect();
        // Those within others last made, first gone.
        for place in below.iter().rev() {
            let mut umount = Command::new("umount");
            if let Err(why) = quiet(umount.arg("--lazy").arg(place), INSPECT_LIMIT) {
                say(format_args!("{place} is still mounted: {why:#}"));
            }
        }
    }
}
