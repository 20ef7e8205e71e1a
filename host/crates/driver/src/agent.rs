//! One run of an agent: started or adopted, listened to, ended or left running. How an ending
//! counts is `ending`'s matter; what an agent may do is the runner's.

use crate::ending::failure;
use crate::hold::{Done, Holder};
use crate::output::{From, Told, cut};
use crate::run_folder::RunFolder;
use crate::signal::{Signal, told};
use crate::steps::{blocking, broken, contradiction};
use crate::tail::Tail;
use pipeline::{
    Digest, Failure, FailureKind, Input, Job, Level, Outcome, PhaseSpec, PlannedTask, RunKey, Usage,
};
use runner::{Ended, Places, Run, RunSpec, RunnerError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use workspace::{Folder, RelativePath};

/// Bytes of an agent's standard error that are logged where it failed.
const PRINTED: usize = 4 << 10;
/// How often an agent's output is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// What an agent has to end in after it was told to.
const GRACE: Duration = Duration::from_secs(8);
/// Before an engine that was away is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Beyond the agent's own time limit, before the runner steps in.
const BACKSTOP: Duration = Duration::from_secs(15);

/// A run under way.
struct Under {
    run: Box<dyn Run>,
    gate: Option<gateway::Run>,
    tail: Tail,
    task: PlannedTask,
    folder: RunFolder,
}

/// Why the watch over a run ended.
enum Watched {
    Ended(Ended),
    /// It turned out that nothing ran, or that nothing is known of it any more.
    Lost(RunnerError),
    Told(Signal),
}

impl Holder<'_> {
    /// Runs the agent, or adopts what stands under its name. None: the lease is lost.
    pub(crate) async fn run_agent(&mut self, job: &Job, key: RunKey) -> Option<Done> {
        let mut under = match self.start(job, &key).await {
            Ok(under) => under,
            Err(done) => return Some(done),
        };
        match self.watch(&mut under).await {
            Watched::Told(Signal::Cancel) => {
                if let Err(error) = under.run.stop(GRACE).await {
                    tracing::warn!(job.id = %job.id, %error, "a cancelled agent didn't stop");
                }
                self.listen(&mut under, true).await;
                Some(Done {
                    ended: Some(key),
                    ..Done::of(Input::Cancel)
                })
            }
            Watched::Told(told) => {
                self.listen(&mut under, false).await;
                told.as_input().map(Done::of)
            }
            Watched::Lost(error) => Some(used_up(&key, error.failure_kind(), error.to_string())),
            Watched::Ended(ended) => {
                self.listen(&mut under, true).await;
                Some(self.ended(key, under, &ended).await)
            }
        }
    }

    async fn start(&self, job: &Job, key: &RunKey) -> Result<Under, Done> {
        let (spec, task) = self.planned(job).await?;
        let config = &self.driver.config;
        let folder = RunFolder::of(&config.run_dir, key);
        self.lay_ready(&folder, key, &task).await?;
        let gate = self.open_gate(&folder, spec).await?;
        let mut run_spec = self.run_spec(job, key, spec, &task, &folder);
        if gate.is_some() {
            self.add_model(&mut run_spec, &folder)?;
        }
        let run = match self.driver.parts.runner.start(&run_spec).await {
            Ok(run) => run,
            Err(error) => return Err(not_run(key, &error)),
        };
        tracing::info!(job.id = %job.id, run.name = run_spec.name, adopted = run.adopted(), "agent runs");
        let from = From {
            phase: key.phase.clone(),
            attempt: key.attempt,
            task: key.task.clone(),
        };
        let tail = Tail::new(&folder.out(), from, folder.told());
        Ok(Under {
            run,
            gate,
            tail,
            task,
            folder,
        })
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
            .map_err(|error| Done::broken(FailureKind::Internal, format!("kept tasks: {error}")))?;
        tasks
            .into_iter()
            .nth(task)
            .map(|task| (spec, task))
            .ok_or_else(contradiction)
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
            if key.run == 1 && !folder.was_staged() {
                workspace.files()?.write(&task.stage, owner)?;
            }
            folder.set_staged().map_err(io)
        });
        ready.await.map_err(|error| broken(&error))
    }

    async fn open_gate(
        &self,
        folder: &RunFolder,
        spec: &PhaseSpec,
    ) -> Result<Option<gateway::Run>, Done> {
        let Some(gateway) = &self.driver.parts.gateway else {
            return Ok(None);
        };
        let token = token(folder)?;
        let owner = self.workspace.owner();
        let opened = gateway.open(gateway::RunSpec {
            socket_path: folder.run().join("model.sock"),
            token,
            models: vec![spec.model.clone()],
            owner: owner.map(|owner| gateway::Owner {
                uid: owner.uid,
                gid: owner.gid,
            }),
            fence: self.driver.fence.watch(),
        });
        match opened.await {
            Ok(run) => Ok(Some(run)),
            Err(error) => Err(Done::broken(
                FailureKind::Internal,
                format!("gateway: {error}"),
            )),
        }
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
        run.env
            .insert("SESSION_ID".to_owned(), key.session().to_string());
        run
    }

    /// The way to the model, for an agent that needs one.
    fn add_model(&self, run: &mut RunSpec, folder: &RunFolder) -> Result<(), Done> {
        let socket = self.driver.parts.runner.places(run).run.join("model.sock");
        run.env.insert("MODEL_SOCKET".to_owned(), shown(&socket));
        run.env.insert("MODEL_TOKEN".to_owned(), token(folder)?);
        Ok(())
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
            ("RESUME", "0".to_owned()),
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

    /// Listens until the run ends or something is told from outside.
    async fn watch(&mut self, under: &mut Under) -> Watched {
        let mut signal = self.signal.clone();
        let Under {
            run, tail, folder, ..
        } = under;
        let mut wait = run.wait();
        loop {
            tokio::select! {
                biased;
                told = told(&mut signal) => return Watched::Told(told),
                ended = &mut wait => match ended {
                    Ok(ended) => return Watched::Ended(ended),
                    // It says nothing about the run: the engine may be back in a moment.
                    Err(error @ (RunnerError::Engine { .. } | RunnerError::Io { .. })) => {
                        tracing::warn!(job.id = %self.hold.job, %error, "a run can't be watched");
                        drop(wait);
                        tokio::time::sleep(ASK_AGAIN).await;
                        wait = run.wait();
                    }
                    Err(error) => return Watched::Lost(error),
                },
                () = tokio::time::sleep(LOOK) => self.pump(tail, folder, false).await,
            }
        }
    }

    async fn listen(&self, under: &mut Under, to_the_end: bool) {
        self.pump(&mut under.tail, &under.folder, to_the_end).await;
    }

    /// Tells what has been printed since the last time.
    async fn pump(&self, tail: &mut Tail, folder: &RunFolder, to_the_end: bool) {
        loop {
            let mut told = Told::default();
            let more = match tail.pump(&mut told) {
                Ok(more) => more,
                Err(error) => {
                    tracing::debug!(job.id = %self.hold.job, %error, "no output to read");
                    false
                }
            };
            if to_the_end && !more {
                tail.finish(&mut told);
            }
            if !told.is_empty() {
                self.tell(tail, folder, &told).await;
            }
            if !more {
                return;
            }
        }
    }

    async fn tell(&self, tail: &Tail, folder: &RunFolder, told: &Told) {
        let store = &self.driver.parts.store;
        let told = store.append(&self.hold, &told.events, &told.logs).await;
        if let Err(error) = &told {
            tracing::warn!(job.id = %self.hold.job, %error, "an agent's output isn't logged");
        } else if let Err(error) = folder.set_told(tail.offset()) {
            tracing::warn!(job.id = %self.hold.job, %error, "a later holder will log it again");
        }
    }

    /// The outcome of a run that ended.
    async fn ended(&self, key: RunKey, under: Under, ended: &Ended) -> Done {
        let Under {
            tail,
            gate,
            task,
            folder,
            ..
        } = under;
        let mut usage = Usage::default();
        if let Some(gate) = gate {
            let tokens = gate.close().await.tokens();
            usage.input_tokens = tokens.input;
            usage.output_tokens = tokens.output;
            usage.cache_read_tokens = tokens.cache_read;
            usage.cache_write_tokens = tokens.cache_creation;
        }
        let output = tail.output;
        usage.cost_micro_usd = output
            .result
            .as_ref()
            .map_or(0, |result| result.cost_micro_usd);
        let printed = self.printed(&key).await;
        let reason = reason(&folder)
            .await
            .or_else(|| printed.lines().last().map(str::to_owned));
        let failure = failure(ended, &output, reason.as_deref());
        if failure.is_some() {
            self.log_printed(&key, &printed).await;
        }
        let missing = self.missing(&task).await;
        let answer = cut(&output.answer, self.driver.config.limits.answer_bytes);
        let digest = (!answer.is_empty()).then(|| Digest::of(answer.as_bytes()));
        let blobs = digest
            .iter()
            .map(|digest| (digest.clone(), answer.clone().into_bytes()));
        let outcome = Outcome {
            task: key.task.clone(),
            exit_code: ended.exit_code,
            failure,
            answer: digest.clone(),
            missing,
            duration_ms: duration_ms(ended),
            usage,
        };
        let input = Box::new(Input::AgentEnded(outcome));
        Done {
            blobs: blobs.collect(),
            input,
            ended: Some(key),
        }
    }

    /// Of the files that the task expected, those that aren't there.
    async fn missing(&self, task: &PlannedTask) -> Vec<String> {
        let (workspace, expects) = (self.workspace(), task.expects.clone());
        let looked = blocking(move || {
            let files = workspace.files()?;
            let there = |path: &String| {
                RelativePath::new(path)
                    .and_then(|path| files.stat(&path))
                    .is_ok()
            };
            Ok(expects.into_iter().filter(|path| !there(path)).collect())
        });
        looked.await.unwrap_or_else(|_| task.expects.clone())
    }

    /// The end of what the agent wrote for people.
    async fn printed(&self, key: &RunKey) -> String {
        let name = key.name(&self.driver.config.installation);
        self.driver
            .parts
            .runner
            .tail(&name, PRINTED)
            .await
            .unwrap_or_else(|error| {
                tracing::debug!(run.name = name, %error, "no standard error to read");
                String::new()
            })
    }

    async fn log_printed(&self, key: &RunKey, printed: &str) {
        let from = From {
            phase: key.phase.clone(),
            attempt: key.attempt,
            task: key.task.clone(),
        };
        let mut told = Told::default();
        told.log(&from, Level::Warn, printed);
        if let Err(error) = self
            .driver
            .parts
            .store
            .append(&self.hold, &[], &told.logs)
            .await
        {
            tracing::warn!(job.id = %self.hold.job, %error, "an agent's last words aren't logged");
        }
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
        RunnerError::Vanished { .. } => used_up(key, error.failure_kind(), error.to_string()),
        // Nothing ran: the same name may be started again.
        _ => Done::broken(error.failure_kind(), error.to_string()),
    }
}

/// A run that left no outcome of its own. Its name was started once: the next run has another.
fn used_up(key: &RunKey, kind: FailureKind, message: String) -> Done {
    let outcome = Outcome {
        task: key.task.clone(),
        exit_code: None,
        failure: Some(Failure::new(kind, message)),
        answer: None,
        missing: Vec::new(),
        duration_ms: 0,
        usage: Usage::default(),
    };
    Done {
        ended: Some(key.clone()),
        ..Done::of(Input::AgentEnded(outcome))
    }
}

/// What the entrypoint gave as the reason of a failure; the agent could have written it.
async fn reason(folder: &RunFolder) -> Option<String> {
    let out = folder.out();
    let status =
        blocking(move || Folder::open(&out)?.read(&RelativePath::new("status.json")?, 0, 16 << 10));
    let status: Value = serde_json::from_slice(&status.await.ok()?).ok()?;
    status
        .get("reason")
        .and_then(Value::as_str)
        .map(|reason| cut(reason, 1 << 10))
}

fn duration_ms(ended: &Ended) -> u64 {
    let took = ended.finished_at.since(ended.started_at).as_millis();
    u64::try_from(took).unwrap_or(u64::MAX)
}

fn shown(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}
