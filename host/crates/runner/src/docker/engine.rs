//! The connection to the engine, made when it is first needed, and what its errors mean.
//! It knows nothing of runs.

use crate::RunnerError;
use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;
use bollard::{API_DEFAULT_VERSION, Docker};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Seconds in which the engine must begin to answer.
const TIMEOUT: u64 = 60;

const START_ENGINE: &str =
    "Start Docker, or set DOCKER_HOST to where it listens and give this user access to it";
const ENGINE_LOG: &str = "The engine's log says more";

#[derive(Debug)]
pub(super) struct Engine {
    host: Option<String>,
    client: OnceCell<Docker>,
    id: OnceCell<String>,
    pub(super) patience: Duration,
}

impl Engine {
    pub(super) fn new(host: Option<String>, patience: Duration) -> Self {
        Self {
            host,
            client: OnceCell::new(),
            id: OnceCell::new(),
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

    /// Which engine this is, by its own account; asked for once, since it keeps it.
    pub(super) async fn id(&self) -> Result<&str, RunnerError> {
        let id = self.id.get_or_try_init(|| async {
            let info = self.client().await?.info().await;
            let info = info.map_err(failed("asking the engine for its id"))?;
            Ok(info.id.unwrap_or_default())
        });
        Ok(id.await?)
    }

    /// Its id, once it was asked for.
    pub(super) fn known_id(&self) -> Option<&str> {
        self.id.get().map(String::as_str)
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
        match self.client().await?.inspect_container(name, None).await {
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
