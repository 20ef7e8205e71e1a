//! Every limit on untrusted work that more than one crate keeps, in one type with its defaults.
//! It enforces none of them.

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
    /// Passing failures of one attempt before it counts as failed.
    pub pauses: u32,
    /// Times that a job may be taken over from a host that died.
    pub rescues: u32,
    /// The first pause after a passing failure; each later one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
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
            pauses: 12,
            rescues: 20,
            first_pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(600),
            held_pause: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// How long to wait after the `n`th passing failure in a row (from 1).
    pub fn pause(&self, n: u32) -> Duration {
        self.first_pause
            .saturating_mul(1 << n.saturating_sub(1).min(20))
            .min(self.longest_pause)
    }
}
