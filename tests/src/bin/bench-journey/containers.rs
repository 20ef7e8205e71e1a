//! What Gantry takes longer to an agent's first line in a container than a bare `docker run` of
//! the same image, in turns. It leaves the image of the agent as it is: its own is made on it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tests::bench::{Row, Times, place, say};
use tests::harness::{Host, Setup};

use crate::agent::{self, since_1970, time_in};
use crate::submit::with_pipeline;

const RUNS: usize = 30;
const WARM_UP: usize = 2;
const ID: &str = "line-docker";
const WHAT: &str = "submit to the agent's first line in a container, over a bare docker run, p50";

/// What Gantry's own containers have, but for its seccomp profile and its binds.
const RESTRICTIONS: &[&str] = &[
    "--network=none",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=65534:65534",
    "--memory=2g",
    "--memory-swap=2g",
    "--cpus=1",
    "--pids-limit=512",
    "--ulimit=nofile=16384",
    "--ulimit=core=0",
    "--tmpfs=/tmp:rw,exec,nosuid,nodev,size=256m",
    "--tmpfs=/home/agent:rw,exec,nosuid,nodev,size=256m",
];

/// An image with the script for its entrypoint; removed when dropped.
struct Image(String);

impl Image {
    fn build(worker: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dockerfile = format!(
            "FROM {worker}\nCOPY agent /bench-agent\nENTRYPOINT [\"/bench-agent\"]\nCMD []\n"
        );
        let script = folder.path().join("agent");
        fs::write(&script, agent::SCRIPT).unwrap();
        // Engines without BuildKit can't do it while they copy.
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
        let image = Self(format!("gantry-bench-agent:{}", std::process::id()));
        let folder = folder.path().display().to_string();
        docker(&["build", "--quiet", "--tag", &image.0, &folder]);
        image
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["image", "rm", "--force", &self.0]);
    }
}

pub(crate) async fn over_bare_run() -> Vec<Row> {
    let (Some(_), Some(worker)) = (place("DOCKER_HOST"), place("GANTRY_TEST_WORKER_IMAGE")) else {
        let why = "no engine, or no image of the agent";
        return vec![Row::missing(ID, WHAT, "ms", why).at_most(100.0)];
    };
    let image = Image::build(&worker);
    let setup = with_pipeline(Setup::docker("http://127.0.0.1:9", "not-used"));
    let host = Host::start(setup.set("WORKER_IMAGE", image.0.clone())).await;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for run in 0..WARM_UP + RUNS {
        let written = agent::first_line(host.client()).await.written;
        let peer = bare_run(&image.0);
        if run >= WARM_UP {
            ours.push(written);
            bare.push(peer);
        }
    }
    let (ours, bare) = (Times::new(ours), Times::new(bare));
    say(format_args!("in a container: {ours}"));
    say(format_args!("bare docker run: {bare}"));
    let whole = format!("submit to the agent's first line in a container, p50 of {RUNS}");
    vec![
        Row::new(ID, WHAT, "ms", ours.ms(50) - bare.ms(50)).at_most(100.0),
        Row::new("line-docker-whole", whole, "ms", ours.ms(50))
            .against("bare docker run, same limits", bare.ms(50)),
        Row::new("line-docker-p99", "the same, p99", "ms", ours.ms(99))
            .against("bare docker run, same limits", bare.ms(99)),
    ]
}

/// From before `docker run` starts to the time that the first line says.
fn bare_run(image: &str) -> Duration {
    let args = [&["run", "--rm"], RESTRICTIONS, &[image]].concat();
    let begin = since_1970(SystemTime::now());
    let said = docker(&args);
    let line: Value = serde_json::from_str(said.lines().next().unwrap_or_default()).unwrap();
    let text = line["message"]["content"][0]["text"].as_str().unwrap();
    time_in(text).saturating_sub(begin)
}

/// `DOCKER_HOST` is in the environment.
fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        panic!("docker {args:?}: {}", text(&output.stderr));
    }
    text(&output.stdout)
}
