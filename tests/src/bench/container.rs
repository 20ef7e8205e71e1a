//! A bare `docker run` of the image that a host runs its agents in, under the same limits: what
//! a benchmark of containers is measured beside.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

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

/// An image with a script for its entrypoint; removed when dropped.
pub struct Image(String);

impl Image {
    /// On top of the agent's own image, which stays as it is.
    ///
    /// # Panics
    /// Where it can't be built.
    #[must_use]
    pub fn build(worker: &str, entrypoint: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dockerfile = format!(
            "FROM {worker}\nCOPY agent /bench-agent\nENTRYPOINT [\"/bench-agent\"]\nCMD []\n"
        );
        let script = folder.path().join("agent");
        fs::write(&script, entrypoint).unwrap();
        // Engines without BuildKit can't do it while they copy.
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
        let image = Self(format!("gantry-bench-agent:{}", std::process::id()));
        let folder = folder.path().display().to_string();
        docker(&["build", "--quiet", "--tag", &image.0, &folder]);
        image
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Runs it to its end without a host; what it printed.
    ///
    /// # Panics
    /// Where it fails.
    #[must_use]
    pub fn bare_run(&self) -> String {
        docker(&[&["run", "--rm"], RESTRICTIONS, &[&self.0]].concat())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["image", "rm", "--force", &self.0]);
    }
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
