//! Agents as processes of this machine, each owned by a small shim that outlives the host,
//! so that an exit status is never lost. It isolates nothing: `About` says so.

mod folder;
mod shim;
mod standing;
mod watch;

use crate::{About, Checked, Found, Owner, Places, Run, RunSpec, Runner, RunnerError, marker};
use async_trait::async_trait;
use folder::{Folder, Order, Record};
use pipeline::{Boundaries, Boundary};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
use standing::Standing;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{self, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

pub use shim::shim_main;

const SET_COMMAND: &str = "set WORKER_COMMAND to a program that is there and may be executed";

/// How long a start waits for another host's start of the same run.
const GUARD_WITHIN: Duration = Duration::from_secs(2);
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// How agents run as processes.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// The command line that ends in [`shim_main`]; the run's folder is added to it.
    pub shim: Vec<OsString>,
    /// The agent's command line.
    pub command: Vec<OsString>,
    /// `list` shows no other installation's runs.
    pub installation: String,
    /// Where each run has a folder of its own, from its start until `remove`. Made if it
    /// isn't there.
    pub state: PathBuf,
    /// Who is told how far a start has got.
    pub boundaries: Boundaries,
}

/// Agents as processes.
#[derive(Clone, Debug)]
pub struct Process {
    config: ProcessConfig,
}

/// The lock on a run's folder. Who has it is done in a moment, unless it stands still: then the
/// start is tried again later, and nobody waits here for ever.
fn guarded(run_dir: &Path) -> Result<File, RunnerError> {
    let guard = File::open(run_dir).map_err(RunnerError::io("opening", run_dir))?;
    let until = Instant::now() + GUARD_WITHIN;
    loop {
        match flock(&guard, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(guard),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(ASK_AGAIN),
            Err(Errno::WOULDBLOCK) => {
                return Err(RunnerError::Engine {
                    doing: "starting the agent",
                    reason: format!("another host is at {} and stands still", run_dir.display()),
                    mend: "It is tried again; end or wake that host",
                });
            }
            Err(error) => return Err(RunnerError::io("locking", run_dir)(error.into())),
        }
    }
}

impl Process {
    /// Starts nothing, and looks at nothing.
    pub fn new(config: ProcessConfig) -> Self {
        Self { config }
    }

    fn folder(&self, name: &str) -> Folder {
        Folder::of(&self.config.state, name)
    }

    /// The agent's command line with an absolute program.
    fn command(&self) -> Result<Vec<OsString>, RunnerError> {
        resolve(&self.config.command, SET_COMMAND)
    }

    fn start_now(&self, spec: &RunSpec) -> Result<Standing, RunnerError> {
        // One start at a time of one name, over all hosts that see the folder.
        let _guard = guarded(&spec.run_dir)?;
        let folder = self.folder(&spec.name);
        if folder.alive()? || folder.exit()?.is_some() {
            return Standing::new(folder, &spec.name, true, None);
        }
        if marker::is_set(spec)? {
            folder.sweep();
            return Err(RunnerError::Vanished {
                name: spec.name.clone(),
            });
        }
        let child = self.spawn(spec, &folder)?;
        self.config.boundaries.at(Boundary::RunStarted);
        Standing::new(folder, &spec.name, false, Some(child))
    }

    fn spawn(&self, spec: &RunSpec, folder: &Folder) -> Result<Child, RunnerError> {
        let shim = resolve(&self.config.shim, "reinstall `gantry`: its shim is itself")?;
        let order = Order {
            command: self.command()?,
            env: spec.env.clone(),
            workspace: absolute(&spec.workspace)?,
            owner: other_owner(spec.owner),
            limits: spec.limits,
            time_limit: spec.time_limit,
        };
        let record = Record {
            name: spec.name.clone(),
            installation: self.config.installation.clone(),
            key: spec.key.clone(),
            created_at: SystemTime::now().into(),
        };
        let lock = folder.make(&record, &order)?;
        self.config.boundaries.at(Boundary::RunMade);
        marker::set(spec)?;
        self.config.boundaries.at(Boundary::RunMarked);
        let log = File::create(folder.shim_log());
        let log = log.map_err(RunnerError::io("making", folder.shim_log()))?;
        let (program, args) = shim.split_first().ok_or_else(|| empty(SET_COMMAND))?;
        let spawned = Command::new(program)
            .args(args)
            .arg(folder.path())
            // The host's environment may hold a provider's key.
            .env_clear()
            .envs(
                ["PATH", "LANG"]
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            // The lock passes from the host to the shim without a gap, as its standard input.
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn();
        spawned.map_err(|error| {
            folder.discard();
            match marker::clear(spec) {
                Err(error) => error,
                Ok(()) => RunnerError::BadCommand {
                    command: program.display().to_string(),
                    reason: error.to_string(),
                    mend: "reinstall `gantry`: its shim is itself",
                },
            }
        })
    }

    /// The folders of this installation's runs.
    fn records(&self) -> Result<Vec<(Folder, Record)>, RunnerError> {
        let state = &self.config.state;
        let entries = match fs::read_dir(state) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(RunnerError::io("reading", state))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(RunnerError::io("reading", state))?;
            let folder = Folder::at(entry.path());
            if folder.is_gone() {
                folder.finish();
            } else if let Some(record) = folder.record()?
                && record.installation == self.config.installation
            {
                found.push((folder, record));
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Runner for Process {
    fn about(&self) -> About {
        About {
            name: "process",
            isolates: false,
            note: "Agents run as processes of this machine and are not isolated: they can read \
                   and change what their user can, and reach the network. Limits on memory, \
                   processors and processes don't hold; those on time, output and file sizes do."
                .to_owned(),
        }
    }

    async fn check(&self) -> Result<Checked, RunnerError> {
        let command = self.command()?;
        resolve(&self.config.shim, "reinstall `gantry`: its shim is itself")?;
        let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
        Ok(Checked {
            engine: words.join(" "),
            api: None,
            cgroup: None,
            warnings: vec![self.about().note],
        })
    }

    fn places(&self, spec: &RunSpec) -> Places {
        Places {
            workspace: spec.workspace.clone(),
            run: spec.run_dir.clone(),
            out: spec.out_dir.clone(),
            session: spec.session_dir.clone(),
        }
    }

    async fn start(&self, spec: &RunSpec) -> Result<Box<dyn Run>, RunnerError> {
        let (runner, spec) = (self.clone(), spec.clone());
        let path = self.config.state.clone();
        let started = tokio::task::spawn_blocking(move || runner.start_now(&spec)).await;
        let standing = started.map_err(|gone| RunnerError::io("using", path)(gone.into()))??;
        Ok(Box::new(standing))
    }

    async fn list(&self) -> Result<Vec<Found>, RunnerError> {
        let mut found = Vec::new();
        for (folder, record) in self.records()? {
            found.push(Found {
                name: record.name,
                job: record.key.job,
                key: record.key,
                running: folder.alive()?,
                created_at: record.created_at,
            });
        }
        Ok(found)
    }

    async fn remove(&self, name: &str) -> Result<(), RunnerError> {
        let folder = self.folder(name);
        if folder.record()?.is_none() {
            folder.discard();
            return Ok(());
        }
        if folder.alive()? {
            let standing = Standing::new(folder.clone(), name, true, None)?;
            standing.kill().await?;
        }
        standing::swept(folder.clone()).await;
        folder.discard();
        Ok(())
    }

    async fn tail(&self, name: &str, bytes: usize) -> Result<String, RunnerError> {
        self.folder(name).tail(bytes)
    }
}

/// Whom the agent becomes; only root can become somebody else.
fn other_owner(owner: Owner) -> Option<Owner> {
    (geteuid().is_root() && owner.uid != 0).then_some(owner)
}

fn absolute(path: &Path) -> Result<PathBuf, RunnerError> {
    path::absolute(path).map_err(RunnerError::io("finding", path))
}

fn empty(mend: &'static str) -> RunnerError {
    RunnerError::BadCommand {
        command: String::new(),
        reason: "it is empty".to_owned(),
        mend,
    }
}

/// The command line with its program as an absolute path, looked for on PATH as a shell would.
fn resolve(command: &[OsString], mend: &'static str) -> Result<Vec<OsString>, RunnerError> {
    let (program, args) = command.split_first().ok_or_else(|| empty(mend))?;
    let candidates: Vec<PathBuf> = if program.as_encoded_bytes().contains(&b'/') {
        vec![absolute(Path::new(program))?]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .collect()
    };
    let found = candidates.into_iter().find(|path| is_program(path));
    let found = found.ok_or_else(|| RunnerError::BadCommand {
        command: OsStr::display(program).to_string(),
        reason: "no such program".to_owned(),
        mend,
    })?;
    Ok(std::iter::once(found.into_os_string())
        .chain(args.iter().cloned())
        .collect())
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a host that was killed in the middle of it leaves.
    #[tokio::test]
    async fn a_making_or_a_removal_that_was_cut_short_leaves_nothing() {
        let state = tempfile::tempdir().unwrap();
        let runner = Process::new(ProcessConfig {
            shim: vec!["shim".into()],
            command: vec!["agent".into()],
            installation: "here".to_owned(),
            state: state.path().to_owned(),
            boundaries: Boundaries::default(),
        });
        let folder = runner.folder("a-run");
        for rest in ["new", "gone"] {
            fs::create_dir_all(folder.path().with_extension(rest).join("home")).unwrap();
        }
        let entries = || fs::read_dir(state.path()).unwrap().count();
        assert!(runner.list().await.unwrap().is_empty());
        assert_eq!(entries(), 1, "a list finishes removals: nobody else would");
        runner.remove("a-run").await.unwrap();
        assert_eq!(entries(), 0);
    }
}
