//! Containers as the engine sees them, asked with its own program. It starts none.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::host::gantry;
use super::parts::Part;

/// The test's engine.
#[derive(Clone, Debug)]
pub struct Docker {
    host: String,
}

impl Docker {
    /// The engine that the environment names; none where there is none.
    #[must_use]
    pub fn find() -> Option<Self> {
        Part::Docker.place().map(|host| Self { host })
    }

    /// The engine at this address.
    #[must_use]
    pub fn at(host: &str) -> Self {
        let host = host.to_owned();
        Self { host }
    }

    /// What `DOCKER_HOST` takes.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What the engine says of every container that has a file of `folder` bound in, running or
    /// ended.
    #[must_use]
    pub fn containers(&self, folder: &Path) -> Vec<Value> {
        let is_below = |mount: &Value| {
            mount["Source"]
                .as_str()
                .is_some_and(|path| Path::new(path).starts_with(folder))
        };
        let mut all = self.all_containers();
        all.retain(|container| {
            let mounts = container["Mounts"].as_array();
            mounts.is_some_and(|mounts| mounts.iter().any(is_below))
        });
        all
    }

    /// What the engine says of every container, running or ended.
    #[must_use]
    pub fn all_containers(&self) -> Vec<Value> {
        let ids = ["ps", "--all", "--quiet", "--no-trunc"];
        let ids = match self.try_run(&ids) {
            // What has failed already says more than that the engine went first.
            None if std::thread::panicking() => return Vec::new(),
            ids => ids.expect("the engine lists its containers"),
        };
        let mut found = Vec::new();
        // One by one: another test's may be gone by the time it is looked at.
        for id in ids.lines() {
            let inspected = self.try_run(&["inspect", id]).unwrap_or_default();
            let mut inspected: Value = serde_json::from_str(&inspected).unwrap_or_default();
            if inspected[0].is_object() {
                found.push(inspected[0].take());
            }
        }
        found
    }

    /// Gives another engine an image of this one.
    ///
    /// # Panics
    /// Where it can't.
    pub fn give(&self, image: &str, to: &Self) {
        let mut save = self.command(&["save", image]);
        let mut save = save.stdout(Stdio::piped()).spawn().unwrap();
        let mut load = to.command(&["load", "--quiet"]);
        load.stdin(save.stdout.take().unwrap());
        let loaded = load.output().unwrap();
        let saved = save.wait().unwrap();
        let said = String::from_utf8_lossy(&loaded.stderr);
        assert!(
            saved.success() && loaded.status.success(),
            "{image}: {said}"
        );
    }

    /// An image with the demo agent on top of the agent's own, and a page to publish.
    ///
    /// # Panics
    /// Where it can't be built.
    #[must_use]
    pub fn demo_image(&self) -> String {
        const IMAGE: &str = "gantry-demo-agent:test";
        let base = Part::WorkerImage.place().expect("an image");
        let folder = tempfile::tempdir().unwrap();
        let agent = gantry().with_file_name("demo-agent");
        std::fs::copy(&agent, folder.path().join("demo-agent")).unwrap();
        // The first process of a container ends by a signal only where it says how.
        let page = "#!/bin/sh\ntrap 'exit 143' TERM\nmkdir -p \"$WORKSPACE_DIR/site\"\n\
                    echo here >\"$WORKSPACE_DIR/site/index.html\"\n\
                    /usr/bin/demo-agent &\nwait $!\n";
        std::fs::write(folder.path().join("agent"), page).unwrap();
        let file = format!(
            "FROM {base}\nCOPY demo-agent agent /usr/bin/\nENTRYPOINT [\"/bin/sh\", \"/usr/bin/agent\"]\n"
        );
        std::fs::write(folder.path().join("Dockerfile"), file).unwrap();
        self.build(IMAGE, folder.path());
        IMAGE.to_owned()
    }

    /// An image of this name, by a file that copies nothing.
    ///
    /// # Panics
    /// Where it can't be built.
    #[must_use]
    pub fn image(&self, name: &str, file: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), file).unwrap();
        let at = folder.path().display().to_string();
        self.run(&["build", "--quiet", "--tag", name, &at]);
        name.to_owned()
    }

    /// What a program of an image prints in a container without the locks of an agent's: as root,
    /// on a root that can be written to, with the engine's capabilities and a few more, without a
    /// list of system calls and without limits; `folder` is at `/run/gantry`. It has no network
    /// either.
    ///
    /// # Panics
    /// Where it can't be run, or fails.
    #[must_use]
    pub fn unlocked(&self, image: &str, folder: &Path, program: &[&str]) -> String {
        let bound = format!("type=bind,src={},dst=/run/gantry", folder.display());
        let mut args = vec!["run", "--rm", "--network", "none", "--user", "0:0"];
        args.extend(["--security-opt", "seccomp=unconfined"]);
        args.extend(["--security-opt", "apparmor=unconfined"]);
        for capability in ["SYS_ADMIN", "DAC_READ_SEARCH", "SYSLOG"] {
            args.extend(["--cap-add", capability]);
        }
        args.extend(["--mount", &bound, "--workdir", "/tmp"]);
        args.extend(["--entrypoint", program[0], image]);
        args.extend(&program[1..]);
        self.run(&args)
    }

    /// Builds an image of a folder with a Dockerfile.
    ///
    /// # Panics
    /// Where it can't be built.
    pub fn build(&self, image: &str, folder: &Path) {
        let folder = folder.display().to_string();
        self.run(&["build", "--quiet", "--tag", image, &folder]);
    }

    /// What has started and ended on the engine since then, as [`crate::once::runs`] reads it,
    /// of containers with `part` in their names. The engine keeps the last few hundred.
    #[must_use]
    pub fn book(&self, since: u64, part: &str) -> Vec<String> {
        let format = "{{.Status}} {{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}";
        let since = since.to_string();
        let args = [
            "events",
            "--since",
            &since,
            "--until",
            "0s",
            "--filter",
            "type=container",
            "--filter",
            "event=start",
            "--filter",
            "event=die",
            "--format",
            format,
        ];
        let lines = self.run(&args);
        let lines = lines.lines().filter(|line| line.contains(part));
        lines.filter_map(booked).collect()
    }

    /// Kills containers that run.
    pub(super) fn kill(&self, containers: &[Value]) {
        for container in containers {
            let id = container["Id"].as_str().unwrap_or_default();
            let _ = self.try_run(&["kill", id]);
        }
    }

    /// Ends and removes containers.
    pub(super) fn remove(&self, containers: &[Value]) {
        for container in containers {
            let id = container["Id"].as_str().unwrap_or_default();
            let _ = self.try_run(&["rm", "--force", "--volumes", id]);
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut docker = Command::new("docker");
        docker.env("DOCKER_HOST", &self.host).args(args);
        docker
    }

    fn run(&self, args: &[&str]) -> String {
        self.try_run(args)
            .unwrap_or_else(|| panic!("docker {args:?} failed"))
    }

    fn try_run(&self, args: &[&str]) -> Option<String> {
        let output = self.command(args).output();
        let output = output.expect("docker is on PATH where an engine is");
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A line of the engine's events, as agents write it into their own book.
fn booked(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (what, run) = (words.next()?, words.next()?);
    let (task, _) = run.rsplit_once('-')?;
    match what {
        "start" => Some(format!("start {task} {run}")),
        _ => Some(format!("end {task} {run} {}", words.next()?)),
    }
}
