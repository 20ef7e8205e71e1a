//! Agents in containers of a Docker Engine. The engine keeps what stands; nothing is kept
//! here between two calls, so a host that comes back finds what the last one left.

mod create;
mod engine;
mod facts;
mod standing;

use crate::{About, Checked, Found, Places, Run, RunSpec, Runner, RunnerError, marker};
use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::{ContainerStateStatusEnum as State, ContainerSummaryStateEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use engine::{Engine, failed, is_half_started, is_no_command, is_taken, settled, status};
use futures_util::StreamExt;
use pipeline::{Boundaries, Boundary, Timestamp};
use standing::Standing;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const BUILD_IMAGE: &str =
    "build it with `cargo xtask image worker`, or set WORKER_IMAGE to one that is there";

/// Looks for a container whose name is taken, and the time between two of them.
const LOOKS: u32 = 200;
const LOOK: Duration = Duration::from_millis(50);

/// How agents run in containers.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// The engine's address, as in `DOCKER_HOST` (`unix://`, `tcp://`, `http://`); the default
    /// socket where there is none.
    pub host: Option<String>,
    /// The agent's image.
    pub image: String,
    /// What this runner starts in the image in place of its own entrypoint.
    pub command: Option<Vec<String>>,
    /// Which store this is. With the engine's id it is kept as a label: `list` shows no other
    /// installation's containers.
    pub installation: String,
    /// For each folder that the engine sees elsewhere: its path here, and its path there.
    pub path_map: Vec<(PathBuf, PathBuf)>,
    /// How long `wait` bears an engine that is away before it says so.
    pub patience: Duration,
    /// Who is told how far a start has got.
    pub boundaries: Boundaries,
}

impl DockerConfig {
    /// With the image's own entrypoint, on an engine that sees the same paths.
    pub fn new(image: impl Into<String>, installation: impl Into<String>) -> Self {
        Self {
            host: None,
            image: image.into(),
            command: None,
            installation: installation.into(),
            path_map: Vec::new(),
            patience: Duration::from_secs(60),
            boundaries: Boundaries::default(),
        }
    }
}

/// Agents in containers: no network, no capabilities, a read-only root.
#[derive(Debug)]
pub struct Docker {
    config: DockerConfig,
    engine: Arc<Engine>,
}

impl Docker {
    /// Connects at the first call, so that an engine that is away is an error that passes.
    pub fn new(config: DockerConfig) -> Self {
        let engine = Arc::new(Engine::new(config.host.clone(), config.patience));
        Self { config, engine }
    }

    /// The engine's own id: a part of what tells installations apart.
    pub async fn engine_id(&self) -> Result<String, RunnerError> {
        Ok(self.engine.facts().await?.id.clone())
    }

    /// The label of this installation's containers: store and engine, so that a copy of the
    /// store that works on another engine takes none of these for its own.
    async fn installation(&self) -> Result<String, RunnerError> {
        let store = &self.config.installation;
        Ok(format!("{store}.{}", self.engine.facts().await?.id))
    }

    /// What stands under the name is started where it never was, and taken over.
    async fn adopt(&self, spec: &RunSpec) -> Result<Box<dyn Run>, RunnerError> {
        let Some(found) = self.engine.inspect(&spec.name).await? else {
            return Err(RunnerError::Vanished {
                name: spec.name.clone(),
            });
        };
        let labels = found.config.and_then(|config| config.labels);
        let installation = labels.and_then(|mut labels| labels.remove(create::INSTALLATION));
        if installation != Some(self.installation().await?) {
            return Err(RunnerError::BadSpec {
                name: spec.name.clone(),
                reason: "a container that isn't this installation's has its name; remove it with \
                         `docker rm`"
                    .to_owned(),
            });
        }
        on_disk(spec, marker::set).await?;
        let state = found.state.and_then(|state| state.status);
        if matches!(state, Some(State::CREATED | State::EMPTY)) {
            self.begin(spec).await?;
        }
        Ok(self.standing(spec, true))
    }

    /// Starts a container that was created. Where the engine says that it can't be, nothing
    /// ran: container and marker go, and the same name may be started again.
    async fn begin(&self, spec: &RunSpec) -> Result<(), RunnerError> {
        let client = self.engine.client().await?;
        let Err(error) = client.start_container(&spec.name, None).await else {
            return Ok(());
        };
        match status(&error) {
            Some(304) => Ok(()),
            Some(404) if error.to_string().contains("No such container") => {
                Err(RunnerError::Vanished {
                    name: spec.name.clone(),
                })
            }
            code if matches!(code, Some(400 | 404)) || is_no_command(&error) => {
                self.remove(&spec.name).await?;
                on_disk(spec, marker::clear).await?;
                Err(RunnerError::BadCommand {
                    command: match &self.config.command {
                        Some(command) => command.join(" "),
                        None => format!("the entrypoint of {}", self.config.image),
                    },
                    reason: error.to_string(),
                    mend: "build the image anew with `cargo xtask image worker`",
                })
            }
            // Nobody knows how far it got: the run counts as cut off.
            _ if is_half_started(&error) => {
                self.remove(&spec.name).await?;
                Err(RunnerError::Vanished {
                    name: spec.name.clone(),
                })
            }
            _ => Err(failed("starting a container")(error)),
        }
    }

    fn standing(&self, spec: &RunSpec, adopted: bool) -> Box<dyn Run> {
        let engine = Arc::clone(&self.engine);
        let name = spec.name.clone();
        Box::new(Standing::new(engine, name, spec.time_limit, adopted))
    }
}

#[async_trait]
impl Runner for Docker {
    fn about(&self) -> About {
        About {
            name: "docker",
            isolates: true,
            note: "Each agent runs in a container of its own: no network, no capabilities, a \
                   read-only root, limits on memory, processors and processes."
                .to_owned(),
        }
    }

    async fn check(&self) -> Result<Checked, RunnerError> {
        let (facts, interface) = self.engine.ask().await?;
        let client = self.engine.client().await?;
        let image = match client.inspect_image(&self.config.image).await {
            Err(error) if status(&error) == Some(404) => return Err(self.missing_image()),
            found => found.map_err(failed("looking for the agent's image"))?,
        };
        let volumes = image.config.and_then(|config| config.volumes);
        let mut warnings = facts.unenforced;
        for volume in volumes.unwrap_or_default() {
            warnings.push(format!(
                "an agent may fill the engine's disk: `{volume}` is a VOLUME of the image {}, which nothing limits. Take it out of the image",
                self.config.image
            ));
        }
        Ok(Checked {
            engine: facts.name,
            api: interface.api,
            cgroup: interface.cgroup,
            warnings,
        })
    }

    fn unenforced(&self) -> Vec<String> {
        let known = self.engine.known();
        known.map_or_else(Vec::new, |facts| facts.unenforced.clone())
    }

    fn places(&self, _: &RunSpec) -> Places {
        Places {
            workspace: create::WORKSPACE.into(),
            run: create::RUN.into(),
            out: create::OUT.into(),
            session: create::SESSION.into(),
        }
    }

    async fn start(&self, spec: &RunSpec) -> Result<Box<dyn Run>, RunnerError> {
        let facts = self.engine.facts().await?;
        let body = create::body(&self.config, facts, self.installation().await?, spec)?;
        let kind = facts.kind;
        let client = self.engine.client().await?;
        for _ in 0..LOOKS {
            // A container that ran always has its marker: looked at before each create.
            if on_disk(spec, marker::is_set).await? {
                return self.adopt(spec).await;
            }
            on_disk(spec, move |spec| create::lay_ready(kind, spec)).await?;
            let options = CreateContainerOptionsBuilder::new().name(&spec.name);
            let created = client.create_container(Some(options.build()), body.clone());
            match created.await {
                Ok(made) => {
                    for warning in made.warnings {
                        tracing::warn!(run.name = spec.name, warning, "the engine warns");
                    }
                    self.config.boundaries.at(Boundary::RunMade);
                    on_disk(spec, marker::set).await?;
                    self.config.boundaries.at(Boundary::RunMarked);
                    self.begin(spec).await?;
                    self.config.boundaries.at(Boundary::RunStarted);
                    return Ok(self.standing(spec, false));
                }
                Err(error) if !is_taken(&error) => return Err(self.refused(spec, error)),
                Err(_) if self.engine.inspect(&spec.name).await?.is_some() => {
                    return self.adopt(spec).await;
                }
                // The engine takes the name before it shows the container: somebody else's
                // create is under way.
                Err(_) => sleep(LOOK).await,
            }
        }
        Err(RunnerError::Engine {
            doing: "creating a container",
            reason: format!("the name `{}` is taken by one that isn't shown", spec.name),
            mend: "Restart Docker",
        })
    }

    fn engine(&self) -> Option<String> {
        self.engine.known().map(|facts| facts.id.clone())
    }

    async fn list(&self) -> Result<Vec<Found>, RunnerError> {
        let label = format!("{}={}", create::INSTALLATION, self.installation().await?);
        let filters = HashMap::from([("label", vec![label.as_str()])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters);
        let client = self.engine.client().await?;
        let options = options.build();
        let listed = settled(|| client.list_containers(Some(options.clone()))).await;
        let listed = listed.map_err(failed("listing containers"))?;
        let found = listed.into_iter().filter_map(|container| {
            let name = container.names?.first()?.trim_start_matches('/').to_owned();
            let Some(key) = create::key(&container.labels.unwrap_or_default()) else {
                tracing::warn!(
                    run.name = name,
                    "a container's labels make no sense: left alone"
                );
                return None;
            };
            let state = container.state;
            Some(Found {
                job: key.job,
                key,
                running: matches!(
                    state,
                    Some(ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::PAUSED)
                ),
                created_at: Timestamp::from_millis(container.created.unwrap_or(0) * 1000),
                name,
            })
        });
        Ok(found.collect())
    }

    async fn remove(&self, name: &str) -> Result<(), RunnerError> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        let client = self.engine.client().await?;
        match client.remove_container(name, Some(options)).await {
            // Gone, or somebody else's removal is under way.
            Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
            removed => removed.map_err(failed("removing a container")),
        }
    }

    async fn tail(&self, name: &str, bytes: usize) -> Result<String, RunnerError> {
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail("200");
        let client = self.engine.client().await?;
        let mut lines = std::pin::pin!(client.logs(name, Some(options.build())));
        let mut log = Vec::new();
        while let Some(line) = lines.next().await {
            match line {
                Err(error) if status(&error) == Some(404) => break,
                line => log.extend(line.map_err(failed("reading a log"))?.into_bytes()),
            }
            log.drain(..log.len().saturating_sub(bytes));
        }
        Ok(String::from_utf8_lossy(&log).into_owned())
    }
}

impl Docker {
    /// What the engine's refusal to create a container means.
    fn refused(&self, spec: &RunSpec, error: Error) -> RunnerError {
        match status(&error) {
            Some(404) => self.missing_image(),
            Some(400) => RunnerError::BadSpec {
                name: spec.name.clone(),
                reason: format!(
                    "{error}; where the engine sees other paths than this host, \
                     HOST_WORKSPACE_PATH and HOST_RUN_DIR say which"
                ),
            },
            _ => failed("creating a container")(error),
        }
    }

    fn missing_image(&self) -> RunnerError {
        RunnerError::MissingImage {
            image: self.config.image.clone(),
            mend: BUILD_IMAGE,
        }
    }
}

/// The marker's disk is waited for where it holds up nobody else.
async fn on_disk<T: Send + 'static>(
    spec: &RunSpec,
    what: impl FnOnce(&RunSpec) -> Result<T, RunnerError> + Send + 'static,
) -> Result<T, RunnerError> {
    let spec = spec.clone();
    let path = spec.run_dir.clone();
    let done = tokio::task::spawn_blocking(move || what(&spec)).await;
    done.map_err(|gone| RunnerError::io("keeping the marker in", path)(gone.into()))?
}
