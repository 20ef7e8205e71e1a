//! The processes of one host, found by an argument of their own in `/proc`. It starts none.

use rustix::process::{Pid, Signal};
use std::fs;

#[derive(Clone)]
pub(crate) struct Processes {
    pub(crate) tag: String,
}

impl Processes {
    pub(crate) fn new() -> Self {
        Self {
            tag: format!("of-{}", uuid::Uuid::new_v4()),
        }
    }

    /// Those that run; not one that has ended and is only remembered.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(|pid: &i32| self.is_one(*pid)).collect()
    }

    fn is_one(&self, pid: i32) -> bool {
        // Gone between the listing and this, or ended: then there is no argument.
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|argument| argument == self.tag.as_bytes())
    }

    /// Kills all of them.
    pub(crate) fn kill(&self) {
        for pid in self.pids() {
            rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        }
    }
}
