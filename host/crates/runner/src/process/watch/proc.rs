//! What `/proc` says of other processes, and how those are ended that nobody else will end.
//! Identities are a process id with its start time: an id alone is used again.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// In which descendants that were killed must be gone; one that hangs in the kernel isn't
/// waited for longer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::process) struct Identity {
    pid: i32,
    /// In clock ticks since the boot.
    start: u64,
}

impl Identity {
    pub(in crate::process) fn own() -> io::Result<Self> {
        let pid = getpid().as_raw_pid();
        let stat = Stat::of(pid).ok_or(ErrorKind::NotFound)?;
        Ok(Self {
            pid,
            start: stat.start,
        })
    }
}

/// Of the machine's current boot.
pub(in crate::process) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

pub(in crate::process) fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// Kills this session's leader and all that is in it, and waits until it is gone.
pub(in crate::process) fn kill_session(leader: &Identity) {
    let until = Instant::now() + PATIENCE;
    let reused = Stat::of(leader.pid).is_some_and(|stat| stat.start != leader.start);
    // More than once: a process may have forked while the list was read, though none does
    // once it was killed.
    while !reused && Instant::now() < until {
        let members = all().filter(|(_, stat)| stat.is_of(leader) && !stat.ended);
        if members.map(|(pid, _)| kill(pid)).count() == 0 {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Kills and reaps every descendant of this process, which must be a subreaper.
pub(in crate::process) fn kill_descendants() {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return,
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => {
                let own = getpid().as_raw_pid();
                for (pid, _) in all().filter(|(_, stat)| stat.parent == own) {
                    kill(pid);
                }
                // Between a kill and the death there is nothing to wait on: a grandchild may
                // become a child at any time.
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // Gone already is fine.
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn all() -> impl Iterator<Item = (i32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, Stat::of(pid)?)))
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// A zombie: it only waits to be reaped.
    ended: bool,
    parent: i32,
    session: i32,
    start: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn is_of(&self, leader: &Identity) -> bool {
        self.session == leader.pid && self.start >= leader.start
    }

    /// proc_pid_stat(5). The second field is in brackets, and may itself hold any.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let third = 3;
        Some(Self {
            ended: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(4 - third)?.parse().ok()?,
            session: fields.get(6 - third)?.parse().ok()?,
            start: fields.get(22 - third)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_past_a_name_with_brackets() {
        let line = "42 (a) b (c)) S 7 42 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2";
        let stat = Stat {
            ended: false,
            parent: 7,
            session: 41,
            start: 98765,
        };
        assert_eq!(Stat::parse(line), Some(stat));
        assert_eq!(Stat::parse("42 (cut off"), None);
        assert!(Stat::parse(&line.replace(" S ", " Z ")).unwrap().ended);
    }

    #[test]
    fn an_identity_is_this_process_only() {
        let own = Identity::own().unwrap();
        assert_eq!(own.start, Stat::of(own.pid).unwrap().start);
    }
}
