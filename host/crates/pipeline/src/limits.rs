//! Every limit on untrusted work that more than one crate keeps, in one type with its defaults.
//! It enforces none of them.

use crate::BackOffs;
use std::time::Duration;

/// Limits on what people, plugins and agents may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a job's name.
    pub name_bytes: usize,
    /// Bytes of a group's name.
    pub group_bytes: usize,
    /// Bytes of a job's params as JSON.
    pub params_bytes: usize,
    /// Tasks that one `prompt` may give.
    pub tasks: usize,
    /// Bytes of one task's prompt.
    pub prompt_bytes: usize,
    /// Bytes of all files that one attempt stages.
    pub staged_bytes: usize,
    /// Files that one attempt stages.
    pub staged_files: usize,
    /// Bytes that are kept of a verdict's or an error's message.
    pub message_bytes: usize,
    /// Bytes that are kept of an agent's last message.
    pub answer_bytes: usize,
    /// Sites that one plan may hold.
    pub sites: usize,
    /// Files of one site.
    pub site_files: usize,
    /// Bytes of one site.
    pub site_bytes: u64,
    /// Times that a job may be taken over from a host that died.
    pub rescues: u32,
    /// How a job rests after failures that pass, by kind.
    pub back_off: BackOffs,
    /// How long a job whose plugin may not answer rests before it looks again. It doesn't count.
    pub held_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            name_bytes: 500,
            group_bytes: 100,
            params_bytes: 64 << 10,
            tasks: 32,
            prompt_bytes: 1 << 20,
            staged_bytes: 16 << 20,
            staged_files: 256,
            message_bytes: 16 << 10,
            answer_bytes: 64 << 10,
            sites: 8,
            site_files: 2_000,
            site_bytes: 256 << 20,
            rescues: 20,
            back_off: BackOffs::default(),
            held_pause: Duration::from_secs(30),
        }
    }
}
