//! An agent that can be held: a script around the demo agent that says when it has come and
//! waits to be let on, over named pipes, and writes down each start and end. It changes nothing
//! of the agent's work.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use super::client::DEADLINE;
use super::host::gantry;
use super::processes::Process;

/// A command for `WORKER_COMMAND`, and what its runs wrote down.
pub struct Agents {
    folder: TempDir,
}

/// A task whose agent waits.
pub struct Held {
    arrived: BufReader<pipe::Receiver>,
    gate: pipe::Sender,
}

impl Agents {
    /// An agent that isn't held anywhere.
    #[must_use]
    pub fn new() -> Self {
        Self::running(&format!("{} __demo-agent", gantry().display()))
    }

    /// An agent that does this, in the shell.
    #[must_use]
    pub fn running(work: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("ga-")
            .tempdir_in("/tmp")
            .unwrap();
        let here = folder.path().display();
        let script = format!(
            "#!/bin/sh\n\
             at=$PHASE-$TASK\n\
             run=${{OUT_DIR%/out}}; run=${{run##*/}}\n\
             echo \"start $at\" >>{here}/runs\n\
             echo \"start $JOB_ID/$PHASE/$TASK $run\" >>{here}/book\n\
             echo \"$at $SESSION_ID $RESUME ${{SESSION_FROM:--}}\" >>{here}/sessions\n\
             if [ -p {here}/arrived-$at ]; then\n\
             echo $$ >{here}/arrived-$at\n\
             read -r _ <{here}/gate-$at\n\
             fi\n\
             {work}\n\
             status=$?\n\
             echo \"end $at\" >>{here}/runs\n\
             echo \"end $JOB_ID/$PHASE/$TASK $run $status\" >>{here}/book\n\
             exit $status\n"
        );
        let path = folder.path().join("agent");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    /// What `WORKER_COMMAND` takes.
    #[must_use]
    pub fn command(&self) -> String {
        // By the shell, since a file that another thread has open for writing can't be executed.
        format!("/bin/sh {}", self.folder.path().join("agent").display())
    }

    /// Holds the agent of a task, from its next start on.
    #[must_use]
    pub fn hold(&self, phase: &str, task: &str) -> Held {
        let path = |what: &str| self.folder.path().join(format!("{what}-{phase}-{task}"));
        let open = |path: &PathBuf| {
            mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
            let mut options = pipe::OpenOptions::new();
            // Both ways, so that neither side waits for the other to open it.
            options.read_write(true).clone()
        };
        let (gate, arrived) = (path("gate"), path("arrived"));
        // The gate first: who sees that it has to say so finds a gate as well.
        let gate = open(&gate).open_sender(&gate).unwrap();
        let arrived = open(&arrived).open_receiver(&arrived).unwrap();
        Held {
            arrived: BufReader::new(arrived),
            gate,
        }
    }

    /// Holds that task's agent no more.
    pub fn free(&self, phase: &str, task: &str) {
        for what in ["gate", "arrived"] {
            let _ = fs::remove_file(self.folder.path().join(format!("{what}-{phase}-{task}")));
        }
    }

    /// What the runs wrote down: `start PHASE-TASK`, `end PHASE-TASK`, in order.
    #[must_use]
    pub fn runs(&self) -> Vec<String> {
        self.lines("runs")
    }

    /// The same with job and run: `start JOB/PHASE/TASK RUN`, `end JOB/PHASE/TASK RUN STATUS`.
    #[must_use]
    pub fn book(&self) -> Vec<String> {
        self.lines("book")
    }

    /// The session of each run, in the order in which they started: `PHASE-TASK SESSION_ID
    /// RESUME SESSION_FROM`, with a hyphen where there is none.
    #[must_use]
    pub fn sessions(&self) -> Vec<String> {
        self.lines("sessions")
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A folder that its runs may write to.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self::new()
    }
}

impl Held {
    /// Waits until the agent has come to where it is held.
    ///
    /// # Panics
    /// After [`DEADLINE`].
    pub async fn arrived(&mut self) -> Process {
        let mut line = String::new();
        let read = timeout(DEADLINE, self.arrived.read_line(&mut line)).await;
        read.expect("the agent comes in time").unwrap();
        Process::of(line.trim().parse().unwrap()).expect("the agent waits")
    }

    /// Lets it on.
    pub async fn let_on(&mut self) {
        self.gate.write_all(b"\n").await.unwrap();
    }
}
