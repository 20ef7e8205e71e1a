//! The shim's one loop: the agent's end, its output, its time, and the host's wish to stop it.
//! It starts nothing and writes nothing but the capped log.

pub(super) mod proc;

use crate::run::TIME_UP_GRACE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How the agent ended, and what may still be in its output.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) code: i32,
    pub(super) timed_out: bool,
    output: Output,
}

impl Watched {
    /// Takes what is left of the output, once nobody writes to it any more.
    pub(super) fn drain(&mut self) {
        while self.output.is_open() && matches!(self.output.take(), Ok(true)) {}
    }
}

/// Watches the agent until it has ended. Its descendants may still run.
pub(super) fn until_exit(
    mut agent: Child,
    output: PipeReader,
    mut control: File,
    log: CappedLog,
    time_limit: Duration,
) -> io::Result<Watched> {
    let group = proc::pid(&agent).ok_or(ErrorKind::InvalidData)?;
    let pidfd = pidfd_open(group, PidfdFlags::empty())?;
    rustix::io::ioctl_fionbio(&output, true)?;
    let mut output = Output {
        pipe: Some(output),
        log,
    };
    let mut end = End::new(group, time_limit);
    loop {
        let [ended, asked, written] = ready(&pidfd, &control, &output, end.next())?;
        if asked && let Some(grace) = read_grace(&mut control) {
            end.ask(grace);
        }
        if written {
            output.take()?;
        }
        end.keep();
        if ended {
            return Ok(Watched {
                code: code(agent.wait()?),
                timed_out: end.timed_out,
                output,
            });
        }
    }
}

/// Which of the three are ready, at the latest at `until`.
fn ready(
    pidfd: &impl std::os::fd::AsFd,
    control: &File,
    output: &Output,
    until: Option<Instant>,
) -> io::Result<[bool; 3]> {
    let left = until.map(|at| at.saturating_duration_since(Instant::now()));
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    let mut fds = vec![
        PollFd::new(pidfd, PollFlags::IN),
        PollFd::new(control, PollFlags::IN),
    ];
    fds.extend(
        output
            .pipe
            .iter()
            .map(|pipe| PollFd::new(pipe, PollFlags::IN)),
    );
    rustix::io::retry_on_intr(|| poll(&mut fds, left.as_ref()))?;
    let is_ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
    Ok([is_ready(0), is_ready(1), is_ready(2)])
}

/// The latest wish in the pipe: `stop MILLISECONDS`.
fn read_grace(control: &mut File) -> Option<Duration> {
    let mut bytes = [0; 256];
    let length = control.read(&mut bytes).ok()?;
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    let graces = text
        .lines()
        .filter_map(|line| line.strip_prefix("stop ")?.parse().ok());
    graces.min().map(Duration::from_millis)
}

/// TERM, then KILL: to the agent's whole group.
struct End {
    group: Pid,
    term_at: Option<Instant>,
    kill_at: Option<Instant>,
    timed_out: bool,
}

impl End {
    fn new(group: Pid, time_limit: Duration) -> Self {
        Self {
            group,
            term_at: Instant::now().checked_add(time_limit),
            kill_at: None,
            timed_out: false,
        }
    }

    fn next(&self) -> Option<Instant> {
        self.kill_at.or(self.term_at)
    }

    /// A second wish can only shorten the first.
    fn ask(&mut self, grace: Duration) {
        let kill_at = Instant::now() + grace;
        match self.kill_at {
            Some(at) => self.kill_at = Some(at.min(kill_at)),
            None => {
                self.signal(Signal::TERM);
                self.term_at = None;
                self.kill_at = Some(kill_at);
            }
        }
    }

    /// Does what is due.
    fn keep(&mut self) {
        let now = Instant::now();
        if self.term_at.is_some_and(|at| at <= now) {
            self.timed_out = true;
            self.ask(TIME_UP_GRACE);
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.signal(Signal::KILL);
            self.kill_at = None;
        }
    }

    fn signal(&self, signal: Signal) {
        // Gone already is fine.
        let _ = kill_process_group(self.group, signal);
    }
}

#[derive(Debug)]
struct Output {
    pipe: Option<PipeReader>,
    log: CappedLog,
}

impl Output {
    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// What is there now; whether there may be more.
    fn take(&mut self) -> io::Result<bool> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(false);
        };
        let mut bytes = [0; 64 << 10];
        match pipe.read(&mut bytes) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                self.log.put(&bytes[..length]);
                return Ok(true);
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(false)
    }
}

/// The agent's output as people see it: up to a limit, the rest is dropped.
#[derive(Debug)]
pub(super) struct CappedLog {
    file: File,
    left: u64,
}

impl CappedLog {
    pub(super) fn create(path: &Path, limit: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self { file, left: limit })
    }

    fn put(&mut self, bytes: &[u8]) {
        let kept = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        // A log that can't be written, as on a full disk, must not end the agent.
        let _ = self.file.write_all(&bytes[..kept]);
        self.left -= kept as u64;
    }
}

fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_limit_and_not_a_byte_less() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = CappedLog::create(&path, 10).unwrap();
        log.put(b"0123456");
        assert_eq!(std::fs::read(&path).unwrap(), b"0123456");
        log.put(b"789and more");
        log.put(b"and more");
        assert_eq!(std::fs::read(&path).unwrap(), b"0123456789");
    }
}
