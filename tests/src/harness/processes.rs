//! Processes, looked at through /proc and waited for through their file descriptors. It ends
//! only those that it is handed.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process, held so that its number can't become another's.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    fd: OwnedFd,
}

impl Process {
    /// The process of this number; none where there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let number = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let fd = pidfd_open(number, PidfdFlags::empty()).ok()?;
        Some(Self { pid, fd })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends it a signal; gone already is fine.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.fd, signal);
    }

    /// Whether it ended within `limit`.
    pub(super) fn ends_within(&self, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).unwrap();
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        poll(&mut fds, Some(&limit)).unwrap() > 0
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// After `deadline`.
    pub async fn ended(&self, deadline: Duration) {
        let copy = Self {
            pid: self.pid,
            fd: self.fd.try_clone().unwrap(),
        };
        let ended = tokio::task::spawn_blocking(move || copy.ends_within(deadline))
            .await
            .unwrap();
        assert!(ended, "process {} ends within {deadline:?}", self.shown());
    }

    /// Its command line, for people.
    fn shown(&self) -> String {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        format!(
            "{} {}",
            self.pid,
            String::from_utf8_lossy(&line).replace('\0', " ")
        )
    }
}

/// Every process but this one that names `folder` in its command line or its environment, or
/// works below it.
pub(super) fn that_name(folder: &Path) -> Vec<Process> {
    let needle = folder.as_os_str().as_encoded_bytes();
    let own = std::process::id();
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| *pid != own)
        .filter(|pid| names(*pid, needle) || works_below(*pid, folder))
        .filter_map(Process::of)
        .collect()
}

/// Their command lines.
pub(super) fn shown(processes: &[Process]) -> String {
    processes
        .iter()
        .map(Process::shown)
        .collect::<Vec<_>>()
        .join("\n")
}

fn names(pid: u32, needle: &[u8]) -> bool {
    ["cmdline", "environ"].iter().any(|file| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

fn works_below(pid: u32, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
}
