//! The folder of one run: what the host and the shim tell each other, and the lock that the
//! shim holds for its life, so that liveness is never guessed from a process id.
//! It starts and waits for nothing.

use super::watch::proc;
use crate::{Owner, RunLimits, RunnerError};
use pipeline::{Digest, RunKey, Timestamp};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, mkfifoat, open};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For `list`: whose run it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) installation: String,
    pub(super) key: RunKey,
    pub(super) created_at: Timestamp,
}

/// From the host to the shim, which deletes it: it holds the run's token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) command: Vec<OsString>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) workspace: PathBuf,
    /// Whom the agent becomes, where that isn't the shim's own user.
    pub(super) owner: Option<Owner>,
    pub(super) limits: RunLimits,
    pub(super) time_limit: Duration,
}

impl Order {
    /// For people.
    pub(super) fn program(&self) -> String {
        let program = self.command.first();
        program.map_or_else(String::new, |program| program.display().to_string())
    }
}

/// From the shim, once the agent runs: what to sweep up should the shim be killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Started {
    pub(super) shim: proc::Identity,
    /// Process ids and start times begin anew at each boot.
    pub(super) boot: String,
    pub(super) started_at: Timestamp,
}

/// From the shim, the last thing it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exit {
    /// The exit status, 128 and the signal where one ended it; none only where it never ran.
    pub(super) code: Option<i32>,
    pub(super) timed_out: bool,
    /// Set where the agent couldn't be started.
    pub(super) refused: Option<Refused>,
    pub(super) started_at: Timestamp,
    pub(super) finished_at: Timestamp,
}

/// Why the agent couldn't be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) program: String,
    pub(super) reason: String,
}

/// Of the name of a folder that is being removed.
const GONE: &str = "gone";

#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Of the run of this name. The name may be longer than a file's may be.
    pub(super) fn of(state: &Path, name: &str) -> Self {
        let digest = Digest::of(name.as_bytes()).0;
        Self(state.join(digest.get(..32).unwrap_or(&digest)))
    }

    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.0.join("tmp")
    }

    pub(super) fn agent_log(&self) -> PathBuf {
        self.0.join("agent.log")
    }

    pub(super) fn shim_log(&self) -> PathBuf {
        self.0.join("shim.log")
    }

    fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    fn control(&self) -> PathBuf {
        self.0.join("control")
    }

    /// Makes it anew; the answer is the lock, held.
    pub(super) fn make(&self, record: &Record, order: &Order) -> Result<File, RunnerError> {
        // What a start left that got no further than this.
        self.discard();
        // Elsewhere first, so that it is there as a whole or not at all.
        let half = Self(self.half());
        let make = || {
            // Others may pass through: the agent may be somebody else than the host.
            DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(&half.0)?;
            fs::set_permissions(&half.0, Permissions::from_mode(0o711))?;
            for own in [half.home(), half.tmp()] {
                DirBuilder::new().mode(0o700).create(&own)?;
                if let Some(owner) = order.owner {
                    chown(&own, Some(owner.uid), Some(owner.gid))?;
                }
            }
            mkfifoat(CWD, half.control(), Mode::RUSR | Mode::WUSR)?;
            let lock = private().create(true).truncate(false).open(half.lock())?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            half.write("run.json", record, false)?;
            half.write("order.json", order, false)?;
            fs::rename(&half.0, &self.0)?;
            Ok(lock)
        };
        make().map_err(RunnerError::io("making", &self.0))
    }

    /// Where it is while it is made.
    fn half(&self) -> PathBuf {
        self.0.with_extension("new")
    }

    /// Where it is while it is removed.
    fn gone(&self) -> PathBuf {
        self.0.with_extension(GONE)
    }

    /// Whether a removal was cut short here: nobody asks for it by name any more.
    pub(super) fn is_gone(&self) -> bool {
        self.0.extension().is_some_and(|it| it == GONE)
    }

    /// Whether a shim holds the lock, or a host that is about to hand it to one.
    pub(super) fn alive(&self) -> Result<bool, RunnerError> {
        let look = || match File::open(self.lock()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            file => match flock(file?, FlockOperation::NonBlockingLockShared) {
                Ok(()) => Ok(false),
                Err(Errno::WOULDBLOCK) => Ok(true),
                Err(error) => Err(error.into()),
            },
        };
        look().map_err(RunnerError::io("looking at the lock", self.lock()))
    }

    /// Blocks until the lock is free.
    pub(super) fn until_free(&self) -> io::Result<()> {
        match File::open(self.lock()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            file => {
                let file = file?;
                Ok(rustix::io::retry_on_intr(|| {
                    flock(&file, FlockOperation::LockShared)
                })?)
            }
        }
    }

    /// The end of the control pipe. It never blocks, and what is written to it stays while
    /// either side has it open, so that a shim that has only just started reads it too.
    pub(super) fn open_control(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(open(self.control(), flags, Mode::empty())?))
    }

    pub(super) fn record(&self) -> Result<Option<Record>, RunnerError> {
        self.read("run.json")
    }

    pub(super) fn started(&self) -> Result<Option<Started>, RunnerError> {
        self.read("shim.json")
    }

    pub(super) fn exit(&self) -> Result<Option<Exit>, RunnerError> {
        self.read("exit.json")
    }

    /// For the shim, once.
    pub(super) fn take_order(&self) -> io::Result<Order> {
        let path = self.0.join("order.json");
        let order = serde_json::from_slice(&fs::read(&path)?)?;
        fs::remove_file(path)?;
        Ok(order)
    }

    pub(super) fn put_started(&self, started: &Started) -> io::Result<()> {
        self.write("shim.json", started, false)
    }

    /// On the disk when this returns.
    pub(super) fn put_exit(&self, exit: &Exit) -> io::Result<()> {
        self.write("exit.json", exit, true)
    }

    pub(super) fn tail(&self, bytes: usize) -> Result<String, RunnerError> {
        let read = || {
            let mut file = match File::open(self.agent_log()) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
                file => file?,
            };
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let start = file.metadata()?.len().saturating_sub(bytes);
            file.seek(SeekFrom::Start(start))?;
            let mut tail = Vec::new();
            file.take(bytes).read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).into_owned())
        };
        read().map_err(RunnerError::io("reading", self.agent_log()))
    }

    /// Kills what a shim left that was itself killed: it started a session, and all of the
    /// agent's is in it that didn't leave it.
    pub(super) fn sweep(&self) {
        if let Ok(Some(started)) = self.started()
            && proc::boot_id().is_ok_and(|boot| boot == started.boot)
        {
            proc::kill_session(&started.shim);
        }
    }

    /// Removes it, or what a making or a removal of it left that was cut short. What can't be
    /// removed was made unreadable by the agent, and is left.
    pub(super) fn discard(&self) {
        // Moved first, so that no list shows half a folder, and the next one finds its rest.
        let moved = fs::rename(&self.0, self.gone());
        for rest in [self.gone(), self.half()] {
            remove(&rest);
        }
        if moved.is_err() {
            // Not there; or another rest stood in the way.
            remove(&self.0);
        }
    }

    /// Removes the rest of one that is gone.
    pub(super) fn finish(&self) {
        remove(&self.0);
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, RunnerError> {
        let path = self.0.join(file);
        let read = || match fs::read(&path) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            bytes => Ok(Some(serde_json::from_slice(&bytes?)?)),
        };
        read().map_err(RunnerError::io("reading", &path))
    }

    /// By rename, so that no reader sees half a file.
    fn write(&self, file: &str, value: &impl Serialize, durable: bool) -> io::Result<()> {
        let staged = self.0.join(format!("{file}.new"));
        let mut to = private().create(true).truncate(true).open(&staged)?;
        to.write_all(&serde_json::to_vec(value)?)?;
        if durable {
            to.sync_all()?;
        }
        fs::rename(staged, self.0.join(file))?;
        if durable {
            File::open(&self.0)?.sync_all()?;
        }
        Ok(())
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(run.folder = %path.display(), %error, "a run's folder stays behind");
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}
