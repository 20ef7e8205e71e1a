//! Containers as the engine sees them, asked with its own program. It starts none.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

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

    /// What `DOCKER_HOST` takes.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What the engine says of every container that has a file of `folder` bound in, running or
    /// ended.
    #[must_use]
    pub fn containers(&self, folder: &Path) -> Vec<Value> {
        let ids = self.run(&["ps", "--all", "--quiet", "--no-trunc"]);
        let mut found = Vec::new();
        // One by one: another test's may be gone by the time it is looked at.
        for id in ids.lines() {
            let inspected = self.try_run(&["inspect", id]).unwrap_or_default();
            let inspected: Value = serde_json::from_str(&inspected).unwrap_or_default();
            let mounts = inspected[0]["Mounts"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let ours = |mount: &Value| {
                mount["Source"]
                    .as_str()
                    .is_some_and(|path| Path::new(path).starts_with(folder))
            };
            if mounts.iter().any(ours) {
                found.push(inspected[0].clone());
            }
        }
        found
    }

    /// Ends and removes containers.
    pub(super) fn remove(&self, containers: &[Value]) {
        for container in containers {
            let id = container["Id"].as_str().unwrap_or_default();
            let _ = self.try_run(&["rm", "--force", "--volumes", id]);
        }
    }

    fn run(&self, args: &[&str]) -> String {
        self.try_run(args)
            .unwrap_or_else(|| panic!("docker {args:?} failed"))
    }

    fn try_run(&self, args: &[&str]) -> Option<String> {
        let output = Command::new("docker")
            .env("DOCKER_HOST", &self.host)
            .args(args)
            .output();
        let output = output.expect("docker is on PATH where an engine is");
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
