//! Starting a run: what it is given, laid ready before; or adopting what stands under its name.
//! What an agent may do is the runner's matter.

use super::accounts::RunAccounts;
use super::disk::Disk;
use super::network::SOCKET;
use super::patience::Patience;
use super::{Gate, Under, outcome};
use crate::hold::{Done, Holder};
use crate::listener::Listener;
use crate::output::From;
use crate::run_folder::RunFolder;
use crate::signal::Signal;
use crate::steps::{blocking, broken, contradiction, is_full};
use pipeline::{
    Boundary, FailureKind, Input, Job, Level, PhaseSpec, PlannedTask, Redactor, RunKey, Session,
    WaitReason,
};
use runner::{Places, RunSpec, RunnerError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Beyond the agent's own time limit, before the runner steps in.
const BACKSTOP: Duration = Duration::from_secs(15);

impl Holder<'_> {
    pub(super) async fn start(
        &self,
        job: &Job,
        key: &RunKey,
        folder: RunFolder,
    ) -> Result<Under, Done> {
        let (spec, task) = self.planned(job).await?;
        let session = job.session().ok_or_else(contradiction)?;
        // A host may stand still anywhere, and go on when the run has ended and its folder with
        // the marker is gone: it would make both again.
        self.still_holds()?;
        self.bound_sessions(job, &folder).await?;
        self.lay_ready(&folder, key, &task).await?;
        let mut disk = Disk::of(self.driver, job, spec, &self.workspace, &folder);
        disk.at_start(&folder).await;
        self.driver.at(Boundary::FolderReady);
        let gate = self.open_gate(job, key, &folder, spec).await?;
        let mut run_spec = self.run_spec(job, key, spec, &task, &folder);
        add_session(&mut run_spec, session);
        if gate.is_some() {
            self.add_model(&mut run_spec, &folder)?;
        }
        let way = self.open_way(key, &folder, spec).await?;
        if way.is_some() {
            self.add_network(&mut run_spec);
        }
        let listener = self.listener(key, &run_spec.name, &folder).await?;
        self.still_holds()?;
        let run = match self.driver.parts.runner.start(&run_spec).await {
            Ok(run) => run,
            Err(error) => return Err(not_run(key, &error)),
        };
        if run.adopted() {
            self.driver.at(Boundary::RunAdopted);
        }
        tracing::info!(job.id = %job.id, run.name = run_spec.name, adopted = run.adopted(), "agent runs");
        Ok(Under {
            run,
            gate,
            way,
            listener,
            task,
            folder,
            disk,
            past: None,
            probe: false,
            patience: Patience::new(self.driver.config.idle, Instant::now()),
            overdue: None,
        })
    }

    /// The commit that follows finds out whether the lease is lost.
    fn still_holds(&self) -> Result<(), Done> {
        let lost = *self.signal.borrow() == Signal::Lost;
        if lost || !self.driver.fence.holds(Instant::now()) {
            return Err(Done::broken(FailureKind::Interrupted, "the lease was lost"));
        }
        Ok(())
    }

    async fn listener(
        &self,
        key: &RunKey,
        name: &str,
        folder: &RunFolder,
    ) -> Result<Listener, Done> {
        let from = From::of(key, self.secrets(folder));
        let store = &self.driver.parts.store;
        match Listener::begin(store, &self.hold, name, &folder.out(), from).await {
            Ok(mut listener) => {
                listener.boundaries = self.driver.config.boundaries.clone();
                Ok(listener)
            }
            Err(error) => {
                tracing::warn!(job.id = %self.hold.job, %error, "how far output was told isn't known");
                Err(Done::broken(FailureKind::Interrupted, "the store was away"))
            }
        }
    }

    /// What nobody is told of a run: the host's own secrets, and the run's token.
    pub(super) fn secrets(&self, folder: &RunFolder) -> Redactor {
        let secrets = &self.driver.config.secrets;
        // Where it can't be read, no agent has it either.
        folder
            .token()
            .map_or_else(|_| secrets.clone(), |token| secrets.and(token))
    }

    /// The phase and the task that the cursor is in, as `prompt` planned it.
    async fn planned<'j>(&self, job: &'j Job) -> Result<(&'j PhaseSpec, PlannedTask), Done> {
        let position = (job.phase(), job.attempt(), job.at.map(|at| at.stage));
        let (Some((spec, _)), Some(attempt), Some(pipeline::Stage::Agent { task })) = position
        else {
            return Err(contradiction());
        };
        let Some(kept) = &attempt.kept else {
            return Err(contradiction());
        };
        let bytes = self.blob(kept).await?;
        let tasks: Vec<PlannedTask> = serde_json::from_slice(&bytes)
            .map_err(|error| left_to_others(self.driver.config.limits.held_pause, &error))?;
        tasks
            .into_iter()
            .nth(task)
            .map(|task| (spec, task))
            .ok_or_else(contradiction)
    }

    /// What agents keep as sessions is theirs, and nobody but them says how much it is: where it
    /// is past its limit it goes, before an agent starts and never under one.
    async fn bound_sessions(&self, job: &Job, folder: &RunFolder) -> Result<(), Done> {
        if runner::was_started(&folder.run()) {
            return Ok(());
        }
        let workspace = self.workspace();
        let limits = self.driver.config.sessions.clone();
        let bounded = blocking(move || workspace.bound_session(&limits)).await;
        if let Some(what) = bounded.map_err(|error| broken(&error))? {
            let text = format!(
                "the agent's sessions are dropped, since {what}; what it is asked next begins anew"
            );
            tracing::warn!(job.id = %job.id, "{text}");
            self.log(job, vec![(Level::Warn, text)]).await;
        }
        Ok(())
    }

    /// The run's folder and, before the agent's first start, the staged files.
    async fn lay_ready(
        &self,
        folder: &RunFolder,
        key: &RunKey,
        task: &PlannedTask,
    ) -> Result<(), Done> {
        let (folder, key, task) = (folder.clone(), key.clone(), task.clone());
        let (workspace, owner) = (self.workspace(), self.workspace.owner());
        let ready = blocking(move || {
            workspace.create()?;
            // A later run goes on with what the first one left.
            let io = |source| workspace::WorkspaceError::Io {
                path: "RUN_DIR".to_owned(),
                source,
            };
            folder.prepare(&key, &task.prompt, owner).map_err(io)?;
            if key.run == RunKey::FIRST && !folder.was_staged() {
                workspace.files()?.write(&task.stage, owner)?;
            }
            folder.set_staged().map_err(io)
        });
        ready.await.map_err(|error| broken(&error))
    }

    async fn open_gate(
        &self,
        job: &Job,
        key: &RunKey,
        folder: &RunFolder,
        spec: &PhaseSpec,
    ) -> Result<Option<Gate>, Done> {
        let Some(gateway) = &self.driver.parts.gateway else {
            return Ok(None);
        };
        // What an earlier holder had under way may have been spent.
        if let Err(error) = self.driver.parts.money.book_left(&self.hold).await {
            tracing::warn!(job.id = %job.id, %error, "what was set aside can't be booked");
            return Err(Done::broken(FailureKind::Interrupted, "the store was away"));
        }
        let name = key.name(&self.driver.config.installation);
        let accounts = RunAccounts::of(self.driver, &self.hold, job, spec, &name);
        let accounts = Arc::new(accounts);
        let token = token(folder)?;
        let opened = gateway.open(gateway::RunSpec {
            socket_path: folder.run().join("model.sock"),
            token,
            models: vec![spec.model.clone()],
            owner: self.socket_owner(),
            fence: self.driver.fence.watch(),
            accounts: Arc::clone(&accounts) as _,
        });
        match opened.await {
            Ok(run) => Ok(Some(Gate { run, accounts })),
            Err(gateway::Error::Door(error)) => Err(not_opened("gateway", &error)),
            Err(error) => Err(Done::broken(
                FailureKind::Internal,
                format!("gateway: {error}"),
            )),
        }
    }

    /// Who may use a run's sockets, where that isn't this host's user.
    pub(super) fn socket_owner(&self) -> Option<door::Owner> {
        self.workspace.owner().map(|owner| door::Owner {
            uid: owner.uid,
            gid: owner.gid,
        })
    }

    fn run_spec(
        &self,
        job: &Job,
        key: &RunKey,
        spec: &PhaseSpec,
        task: &PlannedTask,
        folder: &RunFolder,
    ) -> RunSpec {
        let config = &self.driver.config;
        let mut limits = config.run_limits;
        if let Some(bytes) = spec.memory {
            limits.memory_bytes = bytes.min(config.most.memory_bytes);
        }
        if let Some(cpus) = spec.cpus {
            limits.cpus = cpus.min(config.most.cpus);
        }
        let asked = task.options.timeout.map(Duration::from_secs);
        let time_limit = asked.map_or(spec.timeout, |asked| asked.min(spec.timeout));
        let mut run = RunSpec {
            name: key.name(&config.installation),
            key: key.clone(),
            env: BTreeMap::new(),
            workspace: self.workspace.files_path(),
            run_dir: folder.run(),
            out_dir: folder.out(),
            session_dir: self.workspace.session_path(),
            owner: runner::Owner {
                uid: self.owner.uid,
                gid: self.owner.gid,
            },
            limits,
            time_limit: time_limit + BACKSTOP,
        };
        let places = self.driver.parts.runner.places(&run);
        run.env = self.env(job, spec, task, &places, time_limit);
        run
    }

    /// The way to the model, for an agent that needs one.
    fn add_model(&self, run: &mut RunSpec, folder: &RunFolder) -> Result<(), Done> {
        let socket = self.driver.parts.runner.places(run).run.join("model.sock");
        run.env.insert("MODEL_SOCKET".to_owned(), shown(&socket));
        run.env.insert("MODEL_TOKEN".to_owned(), token(folder)?);
        Ok(())
    }

    /// The way to the names that the phase lists.
    fn add_network(&self, run: &mut RunSpec) {
        let socket = self.driver.parts.runner.places(run).run.join(SOCKET);
        run.env.insert("PROXY_SOCKET".to_owned(), shown(&socket));
    }

    /// What the worker's contract promises an agent.
    fn env(
        &self,
        job: &Job,
        spec: &PhaseSpec,
        task: &PlannedTask,
        places: &Places,
        time_limit: Duration,
    ) -> BTreeMap<String, String> {
        let permissions = task.options.permissions.unwrap_or(spec.permissions);
        let mut env = BTreeMap::from([
            ("PHASE", spec.id.clone()),
            ("TASK", task.name.clone()),
            ("JOB_ID", job.id.to_string()),
            ("JOB_NAME", job.name.clone()),
            ("JOB_PARAMS", Value::Object(job.params.clone()).to_string()),
            ("WORKSPACE_DIR", shown(&places.workspace)),
            ("PROMPT_FILE", shown(&places.run.join("prompt.md"))),
            ("OUT_DIR", shown(&places.out)),
            ("SESSION_DIR", shown(&places.session)),
            ("MODEL", spec.model.clone()),
            ("PERMISSIONS", permissions.word().to_owned()),
            ("TIMEOUT_SECONDS", time_limit.as_secs().to_string()),
        ]);
        if let Some(turns) = task.options.max_turns {
            env.insert("MAX_TURNS", turns.to_string());
        }
        let own = env
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        own.chain(self.driver.config.agent_env.iter().cloned())
            .collect()
    }
}

/// The conversation that the agent's CLI begins, or goes on with.
fn add_session(run: &mut RunSpec, session: Session) {
    let Session { id, resume, from } = session;
    let resume = u8::from(resume).to_string();
    run.env.insert("SESSION_ID".to_owned(), id.to_string());
    run.env.insert("RESUME".to_owned(), resume);
    if let Some(from) = from {
        run.env.insert("SESSION_FROM".to_owned(), from.to_string());
    }
}

/// Tasks that say what this version doesn't know: a later one planned them, and can run them.
fn left_to_others(pause: Duration, error: &serde_json::Error) -> Done {
    let message = format!(
        "its tasks were planned by a later version of Gantry, and wait for a host of it ({error})"
    );
    Done::of(Input::HeldBack {
        reason: WaitReason::Host,
        message,
        pause,
    })
}

/// What it means that a socket of a run couldn't be opened.
pub(super) fn not_opened(what: &str, error: &door::Error) -> Done {
    match error {
        // The last holder hasn't noticed yet that it is none.
        door::Error::InUse { .. } => {
            Done::broken(FailureKind::Interrupted, format!("{what}: {error}"))
        }
        door::Error::Listen { source, .. } if is_full(source) => {
            Done::broken(FailureKind::Engine, format!("{what}: {source}"))
        }
        _ => Done::broken(FailureKind::Internal, format!("{what}: {error}")),
    }
}

/// The run's token, which the agent holds and the gateway knows.
fn token(folder: &RunFolder) -> Result<String, Done> {
    let broken = |error| Done::broken(FailureKind::Internal, format!("run token: {error}"));
    folder.token().map_err(broken)
}

/// What it means that a run couldn't be started, adopted or waited for.
fn not_run(key: &RunKey, error: &RunnerError) -> Done {
    match error {
        RunnerError::Vanished { .. } => {
            outcome::used_up(key, error.failure_kind(), error.to_string())
        }
        // Nothing ran: the same name may be started again.
        _ => Done::broken(error.failure_kind(), error.to_string()),
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
