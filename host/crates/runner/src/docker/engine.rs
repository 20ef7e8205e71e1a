//! The connection to the engine, made when it is first needed, and what its errors mean.
//! It knows nothing of runs.

use super::facts::{Facts, Here};
use crate::RunnerError;
use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;
use bollard::{API_DEFAULT_VERSION, Docker};
use std::fs;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::sleep;

/// Seconds in which the engine must begin to answer.
const TIMEOUT: u64 = 60;

/// Looks for a state that is known, and the time between two of them: five seconds in all.
const LOOKS: u32 = 100;
const LOOK: Duration = Duration::from_millis(50);

const START_ENGINE: &str =
    "Start Docker, or set DOCKER_HOST to where it listens and give this user access to it";
const ENGINE_LOG: &str = "The engine's log says more";

/// The map of who is in no namespace of users.
const ALL_UIDS: [&str; 3] = ["0", "0", "4294967295"];

/// What an engine's answers are written in.
pub(super) struct Interface {
    pub(super) api: Option<String>,
    /// `1` or `2`.
    pub(super) cgroup: Option<String>,
}

#[derive(Debug)]
pub(super) struct Engine {
    host: Option<String>,
    client: OnceCell<Docker>,
    facts: OnceCell<Facts>,
    pub(super) patience: Duration,
}

impl Engine {
    pub(super) fn new(host: Option<String>, patience: Duration) -> Self {
        Self {
            host,
            client: OnceCell::new(),
            facts: OnceCell::new(),
            patience,
        }
    }

    /// The client, in the engine's own version of the interface.
    pub(super) async fn client(&self) -> Result<&Docker, RunnerError> {
        let client = self.client.get_or_try_init(|| async {
            self.connect()?
                .with_timeout(Duration::from_secs(TIMEOUT))
                .negotiate_version()
                .await
        });
        client.await.map_err(failed("connecting to Docker Engine"))
    }

    /// What the engine is and can, by its own account; asked for once.
    pub(super) async fn facts(&self) -> Result<&Facts, RunnerError> {
        self.facts
            .get_or_try_init(|| async { Ok(self.ask().await?.0) })
            .await
    }

    /// The same, asked for again, with the version of its interface and that of its cgroups. An
    /// error where no agent could run in it: it may be another one by the next time.
    pub(super) async fn ask(&self) -> Result<(Facts, Interface), RunnerError> {
        let client = self.client().await?;
        let version = client.version().await;
        let version = version.map_err(failed("asking the engine for its version"))?;
        let info = client.info().await;
        let info = info.map_err(failed("asking the engine what it can"))?;
        let interface = Interface {
            api: version.api_version.clone(),
            cgroup: info.cgroup_version.map(|version| version.to_string()),
        };
        let facts = Facts::of(&version, &info, &self.here());
        match facts.unusable {
            None => Ok((facts, interface)),
            Some((reason, mend)) => Err(RunnerError::Engine {
                doing: "looking at the engine",
                reason: format!("no agent can run in {}: {reason}", facts.name),
                mend,
            }),
        }
    }

    /// What is known of it, once it was asked.
    pub(super) fn known(&self) -> Option<&Facts> {
        self.facts.get()
    }

    fn here(&self) -> Here {
        // A socket of this machine's leads to an engine of this machine's.
        let host = self.host.as_deref().unwrap_or("unix://");
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let machine = match host.starts_with("unix:") || host.starts_with('/') {
            true => read("/etc/machine-id"),
            false => host.to_owned(),
        };
        let uids = read("/proc/self/uid_map");
        Here {
            machine: machine.trim().to_owned(),
            has_own_uids: uids.split_whitespace().eq(ALL_UIDS),
        }
    }

    fn connect(&self) -> Result<Docker, Error> {
        match self.host.as_deref() {
            None => Docker::connect_with_unix("/var/run/docker.sock", TIMEOUT, API_DEFAULT_VERSION),
            Some(host) => Docker::connect_with_host(host),
        }
    }

    /// The container of this name; none where there is none.
    pub(super) async fn inspect(
        &self,
        name: &str,
    ) -> Result<Option<ContainerInspectResponse>, RunnerError> {
        let client = self.client().await?;
        match settled(|| client.inspect_container(name, None)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(failed("looking at a container")(error)),
        }
    }
}

/// The status that the engine answered with; none where it gave no answer.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Asks again for as long as a container is in a state that is Podman's own: its process is gone,
/// and what is left of it isn't cleared away yet.
pub(super) async fn settled<T, F: Future<Output = Result<T, Error>>>(
    ask: impl Fn() -> F,
) -> Result<T, Error> {
    for _ in 0..LOOKS {
        match ask().await {
            Err(error) if error.to_string().contains("unknown variant `stopped`") => {
                sleep(LOOK).await;
            }
            answered => return answered,
        }
    }
    ask().await
}

/// Whether the program that the container was to start isn't there, as Podman says it.
pub(super) fn is_no_command(error: &Error) -> bool {
    let said = error.to_string();
    status(error) == Some(500) && said.contains("attempted to invoke a command that was not found")
}

/// Whether a container of that name is there, or about to be.
pub(super) fn is_taken(error: &Error) -> bool {
    let said = || error.to_string().contains("that name is already in use");
    status(error) == Some(409) || status(error) == Some(500) && said()
}

/// Whether there was nothing to signal, as Podman says it.
pub(super) fn is_not_running(error: &Error) -> bool {
    status(error) == Some(500)
        && error
            .to_string()
            .contains("can only kill running containers")
}

/// Whether the engine can't ever start this container: it died in the middle of its start, and
/// itself or the containerd under it has something of that left which neither clears away.
pub(super) fn is_half_started(error: &Error) -> bool {
    let said = error.to_string();
    let is_left = said.contains("id already in use")
        || said.contains("task") && said.contains("already exists");
    status(error) == Some(500) && is_left
}

/// For `map_err`: what was asked of the engine.
pub(super) fn failed(doing: &'static str) -> impl FnOnce(Error) -> RunnerError {
    move |error| {
        let mend = match status(&error) {
            Some(_) => ENGINE_LOG,
            None => START_ENGINE,
        };
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            let said = error.to_string();
            if !reason.contains(&said) {
                reason = format!("{reason}: {said}");
            }
            cause = error.source();
        }
        RunnerError::Engine {
            doing,
            reason,
            mend,
        }
    }
}
