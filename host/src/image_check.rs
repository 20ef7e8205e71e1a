//! An image, tried against the worker's contract (`worker/README.md`): a handful of runs with the
//! locks of a real one, each seen from outside. What a row wants is `rows`' matter.

mod model;
mod place;
mod rows;

use anyhow::{Context, Result};
use door::Door;
use model::{Asked, Model};
use pipeline::{JobId, RunKey};
use place::{Folders, Place};
use rows::{Said, Seen, Stopped};
use runner::{Docker, Owner, Run, RunLimits, RunSpec, Runner};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

/// Whose the containers are: no host takes them for its own.
pub(crate) const INSTALLATION: &str = "check";
/// One that is older was left by a check that was killed.
const LEFT_OVER: Duration = Duration::from_secs(600);

const PHASE: &str = "check";
const TIME: Duration = Duration::from_secs(60);
/// Beyond the agent's own time, before the runner steps in.
const BACKSTOP: Duration = Duration::from_secs(15);
/// How long an agent that is to be stopped may take until it asks its model.
const UNTIL_ASKED: Duration = Duration::from_secs(15);
/// Of what an agent printed.
const PRINTED: usize = 4 << 10;
/// More than one argument of a program may have.
const LARGE: usize = 600_000;
const PROMPT: &str = "Say that you are there. There is nothing else to do.\n";
/// Users without an entry anywhere.
const USERS: [u32; 2] = [64_321, 64_322];
const REFUSED: &[u8] = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A row of the contract, and what came of it.
pub(crate) type Row = (&'static str, Said);

/// An image under trial.
pub(crate) struct Trial {
    runner: Docker,
    limits: RunLimits,
    place: Place,
    job: JobId,
    /// The names of the containers so far.
    begun: Mutex<Vec<String>>,
}

/// One run of it.
struct Ask<'a> {
    task: &'static str,
    user: usize,
    prompt: &'a str,
    /// A variable that is left out, or is there and empty.
    lacks: Option<(&'static str, Option<&'static str>)>,
    /// The folders and the session of an earlier run.
    goes_on: Option<(&'a Folders, Uuid)>,
    proxy: bool,
    /// Whether its model holds the answer back.
    held: bool,
}

/// A run that stands, and its ways out.
struct Under {
    run: Box<dyn Run>,
    name: String,
    session: Uuid,
    folders: Folders,
    model: Model,
    _proxy: Option<Door>,
}

impl Trial {
    /// Of the image that `runner` starts, with folders below `run_dir`.
    pub(crate) fn new(runner: Docker, limits: RunLimits, run_dir: &Path) -> Result<Self> {
        Ok(Self {
            runner,
            limits,
            place: Place::new(run_dir)?,
            job: JobId(Uuid::now_v7()),
            begun: Mutex::default(),
        })
    }

    /// Every row. Where the plain run fails, what builds on it isn't tried.
    ///
    /// # Errors
    /// Where the engine or this machine can't do what a run needs: that isn't the image's fault.
    pub(crate) async fn rows(&self) -> Result<Vec<Row>> {
        self.remove_left_over().await;
        let mut rows = Vec::new();
        let absent = self.run(Ask::lacking("absent", "OUT_DIR", None)).await?;
        rows.push(("variable missing", rows::refuses(&absent.0, "OUT_DIR")));
        let lacking = Ask::lacking("empty", "WORKSPACE_DIR", Some(""));
        let empty = self.run(lacking).await?;
        rows.push(("variable empty", rows::refuses(&empty.0, "WORKSPACE_DIR")));

        let (plain, folders, session) = self.run(Ask::plain("plain")).await?;
        let ended = rows::ends_well(&plain);
        let fine = ended.is_ok();
        rows.push(("run", ended));
        rows.push(("agent.jsonl", rows::output(&plain)));
        rows.push(("status.json", rows::status(&plain, [PHASE, "plain"])));
        rows.push(("model", rows::model(plain.asked)));
        let not_tried = || Err("not tried, since the plain run failed".to_owned());

        let large = PROMPT.repeat(LARGE.div_ceil(PROMPT.len()));
        for (what, ask) in [
            (
                "large prompt",
                Ask {
                    prompt: &large,
                    ..Ask::plain("large")
                },
            ),
            (
                "RESUME=1",
                Ask {
                    goes_on: Some((&folders, session)),
                    ..Ask::plain("resumed")
                },
            ),
            (
                "another user",
                Ask {
                    user: 1,
                    ..Ask::plain("user")
                },
            ),
            (
                "PROXY_SOCKET",
                Ask {
                    proxy: true,
                    ..Ask::plain("proxy")
                },
            ),
        ] {
            let said = match fine {
                true => rows::ends_well(&self.run(ask).await?.0),
                false => not_tried(),
            };
            rows.push((what, said));
        }
        if !fine {
            rows.extend(["SIGTERM", "rename"].map(|what| (what, not_tried())));
            return Ok(rows);
        }
        let stopped = self.stopped().await?;
        rows.push(("SIGTERM", rows::stops(&stopped, [PHASE, "stopped"])));
        rows.push(("rename", rows::renames(&stopped, [PHASE, "stopped"])));
        Ok(rows)
    }

    /// Removes every container of it; also one that is still at work.
    pub(crate) async fn clear(&self) {
        let begun = std::mem::take(&mut *self.names());
        for name in begun {
            if let Err(error) = self.runner.remove(&name).await {
                tracing::warn!(run.name = name, %error, "a container is left");
            }
        }
    }

    async fn remove_left_over(&self) {
        let now = SystemTime::now().into();
        for found in self.runner.list().await.unwrap_or_default() {
            if found.created_at.after(LEFT_OVER) < now {
                let _ = self.runner.remove(&found.name).await;
            }
        }
    }

    fn names(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self, ask: Ask<'_>) -> Result<(Seen, Folders, Uuid)> {
        let mut under = self.start(ask).await?;
        let ended = under.run.wait().await?;
        let (folders, session) = (under.folders.clone(), under.session);
        Ok((self.seen(under, ended).await?, folders, session))
    }

    /// A run that waits for its model, and is told to end.
    async fn stopped(&self) -> Result<Stopped> {
        let mut under = self
            .start(Ask {
                held: true,
                ..Ask::plain("stopped")
            })
            .await?;
        let by_itself = tokio::select! {
            ended = under.run.wait() => Some(ended?),
            () = under.model.was_asked() => None,
            () = tokio::time::sleep(UNTIL_ASKED) => None,
        };
        let folders = under.folders.clone();
        let before = folders.read("status.json");
        let begun = Instant::now();
        let (ended, took) = match by_itself {
            Some(ended) => (ended, None),
            None => {
                under.run.stop(rows::STOP_LIMIT).await?;
                let took = begun.elapsed();
                (under.run.wait().await?, Some(took))
            }
        };
        let seen = self.seen(under, ended).await?;
        Ok(Stopped {
            after: folders.read("status.json").map(|(_, file)| file),
            seen,
            took,
            before,
        })
    }

    async fn seen(&self, under: Under, ended: runner::Ended) -> Result<Seen> {
        let asked: Asked = under.model.close().await;
        let read = |name| under.folders.read(name).map(|(bytes, _)| bytes);
        Ok(Seen {
            how: ended.how,
            output: read("agent.jsonl"),
            status: read("status.json"),
            printed: self.runner.tail(&under.name, PRINTED).await?,
            asked,
        })
    }

    async fn start(&self, ask: Ask<'_>) -> Result<Under> {
        let owner = self.owner(ask.user);
        let number = self.names().len();
        let earlier = ask.goes_on.map(|(folders, _)| folders);
        let folders = self.place.folders(number, owner, ask.prompt, earlier)?;
        let session = ask
            .goes_on
            .map_or_else(Uuid::new_v4, |(_, session)| session);
        let token = Uuid::new_v4().simple().to_string();
        let socket = folders.run.join("model.sock");
        let socket_owner = self.place.socket_owner(owner);
        let model = Model::open(&socket, socket_owner, &token, ask.held).await?;
        let proxy = match ask.proxy {
            true => Some(refusing(&folders.run.join("proxy.sock"), socket_owner).await?),
            false => None,
        };
        let key = RunKey {
            job: self.job,
            revision: 1,
            phase: PHASE.to_owned(),
            attempt: 1,
            task: ask.task.to_owned(),
            run: RunKey::FIRST,
        };
        let mut spec = RunSpec {
            name: key.name(INSTALLATION),
            key,
            env: BTreeMap::new(),
            workspace: folders.workspace.clone(),
            run_dir: folders.run.clone(),
            out_dir: folders.out.clone(),
            session_dir: folders.session.clone(),
            owner,
            limits: self.limits,
            time_limit: TIME + BACKSTOP,
        };
        spec.env = self.env(&ask, &spec, session, &token);
        let name = spec.name.clone();
        self.names().push(name.clone());
        let run = self.runner.start(&spec).await?;
        Ok(Under {
            run,
            name,
            session,
            folders,
            model,
            _proxy: proxy,
        })
    }

    /// What the contract promises.
    fn env(
        &self,
        ask: &Ask<'_>,
        spec: &RunSpec,
        session: Uuid,
        token: &str,
    ) -> BTreeMap<String, String> {
        let places = self.runner.places(spec);
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let mut env = BTreeMap::from([
            ("PHASE", PHASE.to_owned()),
            ("TASK", ask.task.to_owned()),
            ("JOB_ID", self.job.to_string()),
            ("JOB_NAME", "a check of the agent's image".to_owned()),
            ("JOB_PARAMS", "{}".to_owned()),
            ("WORKSPACE_DIR", shown(&places.workspace)),
            ("PROMPT_FILE", shown(&places.run.join("prompt.md"))),
            ("OUT_DIR", shown(&places.out)),
            ("SESSION_DIR", shown(&places.session)),
            ("MODEL_SOCKET", shown(&places.run.join("model.sock"))),
            ("MODEL_TOKEN", token.to_owned()),
            ("MODEL", "claude-opus-4-8".to_owned()),
            ("PERMISSIONS", "edit".to_owned()),
            ("SESSION_ID", session.to_string()),
            ("RESUME", u8::from(ask.goes_on.is_some()).to_string()),
            ("TIMEOUT_SECONDS", TIME.as_secs().to_string()),
        ]);
        if ask.goes_on.is_some() {
            // Nothing is left of that one: the agent's own goes first, and else it begins anew.
            env.insert("SESSION_FROM", Uuid::new_v4().to_string());
        }
        if ask.proxy {
            env.insert("PROXY_SOCKET", shown(&places.run.join("proxy.sock")));
        }
        if let Some((name, instead)) = ask.lacks {
            env.remove(name);
            env.extend(instead.map(|value| (name, value.to_owned())));
        }
        env.into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Only root can run an agent as somebody else.
    fn owner(&self, user: usize) -> Owner {
        let own = Owner {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        };
        match self.place.socket_owner(own) {
            None => own,
            Some(_) => Owner {
                uid: USERS[user],
                gid: USERS[user],
            },
        }
    }
}

impl Ask<'static> {
    fn plain(task: &'static str) -> Self {
        Self {
            task,
            user: 0,
            prompt: PROMPT,
            lacks: None,
            goes_on: None,
            proxy: false,
            held: false,
        }
    }

    fn lacking(task: &'static str, name: &'static str, instead: Option<&'static str>) -> Self {
        Self {
            lacks: Some((name, instead)),
            ..Self::plain(task)
        }
    }
}

/// A proxy that lets nobody anywhere.
async fn refusing(path: &Path, owner: Option<door::Owner>) -> Result<Door> {
    let refuse = |mut stream: tokio::net::UnixStream| async move {
        // Who has gone already needs no answer.
        let _ = stream.write_all(REFUSED).await;
        let _ = stream.shutdown().await;
    };
    let door = Door::open(path, owner, 16, refuse).await;
    door.context("the proxy's socket")
}
