//! Every limit on one call of a plugin and on its file, in one type with its defaults.
//! What a guest may answer is `pipeline::Limits`; this file enforces neither.

use std::time::Duration;

/// Limits on one call, and on what may become a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Bytes of all linear memories of one call together.
    pub memory_bytes: usize,
    /// Elements of all tables of one call together.
    pub table_elements: usize,
    /// Wall-clock time of one call, host calls included.
    pub call_time: Duration,
    /// Bytes of the stack that wasm may use.
    pub stack_bytes: usize,
    /// Calls that run at once on this host; more wait for their turn.
    pub concurrent_calls: u32,
    /// Bytes that one call may hand to the host: answers, log lines, paths.
    pub handed_bytes: usize,
    /// Handles of resources that one call may hold.
    pub handles: usize,
    /// Bytes of files that one call may read.
    pub read_bytes: u64,
    /// Bytes of one `read`.
    pub read_once_bytes: u32,
    /// Entries that one `files` answers at most.
    pub list_entries: u32,
    /// Lines that one call may log; the rest is counted and dropped.
    pub log_lines: usize,
    /// Bytes of one line of the log; the rest is cut.
    pub log_line_bytes: usize,
    /// Bytes of a plugin's file.
    pub file_bytes: u64,
    /// Wall-clock time of compiling one file.
    pub compile_time: Duration,
    /// Bytes of address space of the process that compiles one file.
    pub compile_memory_bytes: u64,
    /// What a guest may answer.
    pub answers: pipeline::Limits,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            call_time: Duration::from_secs(2),
            stack_bytes: 512 << 10,
            concurrent_calls: 64,
            handed_bytes: 64 << 20,
            handles: 1_000,
            read_bytes: 64 << 20,
            read_once_bytes: 8 << 20,
            list_entries: 1_000,
            log_lines: 200,
            log_line_bytes: 4 << 10,
            file_bytes: 64 << 20,
            compile_time: Duration::from_secs(60),
            compile_memory_bytes: 2 << 30,
            answers: pipeline::Limits::default(),
        }
    }
}
