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

    /// The time that processors have spent on it, in hundredths of a second.
    #[must_use]
    pub fn busy(&self) -> u64 {
        let stat = stat(self.pid).unwrap_or_default();
        let times = stat.split_whitespace().skip(11).take(2);
        times.filter_map(|time| time.parse::<u64>().ok()).sum()
    }

    /// Whether it was stopped, and not let go on.
    pub(super) fn stands_still(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.trim_start().starts_with('T'))
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
    let named = |pid: u32| {
        ["cmdline", "environ"]
            .iter()
            .any(|it| names(pid, it, needle))
    };
    numbers()
        .filter(|pid| *pid != own)
        .filter(|pid| named(*pid) || works_below(*pid, folder))
        .filter_map(Process::of)
        .collect()
}

/// Every process that names `folder` in its command line.
pub(super) fn told_of(folder: &Path) -> Vec<Process> {
    let needle = folder.as_os_str().as_encoded_bytes();
    numbers()
        .filter(|pid| names(*pid, "cmdline", needle))
        .filter_map(Process::of)
        .collect()
}

/// Every process that this one has started.
pub(super) fn children(process: &Process) -> Vec<Process> {
    numbers()
        .filter(|pid| parent(*pid) == Some(process.pid))
        .filter_map(Process::of)
        .collect()
}

/// Every process that one of these has started, and what those have started.
pub(super) fn below(processes: &[Process]) -> Vec<Process> {
    let mut below: Vec<Process> = processes.iter().flat_map(children).collect();
    let mut looked = 0;
    while looked < below.len() {
        let next = children(&below[looked]);
        below.extend(next);
        looked += 1;
    }
    below
}

/// Their command lines.
pub(super) fn shown(processes: &[Process]) -> String {
    processes
        .iter()
        .map(Process::shown)
        .collect::<Vec<_>>()
        .join("\n")
}

fn numbers() -> impl Iterator<Item = u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Who started it, or has it now that that one is gone.
fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.split_whitespace().nth(1)?.parse().ok()
}

/// What stands in `stat` behind the name: that is in parentheses, and may hold some.
fn stat(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.to_owned())
}

fn names(pid: u32, file: &str, needle: &[u8]) -> bool {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn works_below(pid: u32, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
}
