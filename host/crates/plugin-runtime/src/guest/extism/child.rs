//! One child process, from this side: frames over its two pipes with a deadline on each, and its
//! end. What is said in them isn't looked at here.

use crate::wire::{self, ChildLimits, FromChild, ToChild};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long an idle child may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running child. It is killed when this is dropped.
pub(super) struct Child {
    process: process::Child,
    input: ChildStdin,
    output: ChildStdout,
    /// Calls that it has served.
    pub(super) calls: u32,
    /// Since when it has nothing to do.
    pub(super) idle_since: Instant,
    /// What it was told to keep to, for as long as it lives; none before.
    pub(super) limits: Option<ChildLimits>,
}

/// Why a child can't be talked to any more.
#[derive(Debug)]
pub(super) enum Broken {
    Time,
    TooMuch,
    Gone,
    Nonsense(String),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut => Self::Time,
            ErrorKind::FileTooLarge => Self::TooMuch,
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => Self::Gone,
            _ => Self::Nonsense(error.to_string()),
        }
    }
}

impl Child {
    /// Starts one that has no environment, no folder and no descriptors but its two pipes.
    pub(super) fn spawn(exe: &Path, args: &[OsString]) -> io::Result<Self> {
        let mut process = Command::new(exe)
            .args(args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("a child without its pipes"));
        };
        let child = Self {
            process,
            input,
            output,
            calls: 0,
            idle_since: Instant::now(),
            limits: None,
        };
        for pipe in [child.input.as_fd(), child.output.as_fd()] {
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
        }
        Ok(child)
    }

    pub(super) fn send(
        &mut self,
        head: &ToChild,
        body: &[u8],
        until: Instant,
    ) -> Result<(), Broken> {
        let mut pipe = Timed {
            pipe: self.input.as_fd(),
            until,
        };
        Ok(wire::write(&mut pipe, head, body)?)
    }

    /// The next frame, with a body of at most that many bytes.
    pub(super) fn receive(
        &mut self,
        body_bytes: usize,
        until: Instant,
    ) -> Result<(FromChild, Vec<u8>), Broken> {
        let mut pipe = Timed {
            pipe: self.output.as_fd(),
            until,
        };
        Ok(wire::read(&mut pipe, body_bytes)?)
    }

    /// Whether it is still there. It is asked, since one that is being killed at this moment still
    /// looks alive, and a call would be blamed for it.
    pub(super) fn is_there(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        let pong = self
            .send(&ToChild::Ping, &[], until)
            .and_then(|()| self.receive(0, until));
        matches!(pong, Ok((FromChild::Pong, _)))
    }

    /// Ends it, and says how it ended where it had already.
    pub(super) fn ended(&mut self) -> String {
        // Without effect on one that is on its way out already.
        let _ = self.process.kill();
        match self.process.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.ended();
    }
}

/// A pipe that doesn't block beyond a moment.
struct Timed<'a> {
    pipe: BorrowedFd<'a>,
    until: Instant,
}

impl Timed<'_> {
    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(
            &mut [PollFd::from_borrowed_fd(self.pipe, flags)],
            Some(&left),
        ) {
            Ok(0) => Err(ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait(PollFlags::IN)?;
            match rustix::io::read(self.pipe, &mut *into) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                read => return Ok(read?),
            }
        }
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        loop {
            self.wait(PollFlags::OUT)?;
            match rustix::io::write(self.pipe, from) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
