//! Every limit on one call of a plugin and on its file, in one type with its defaults, and what a
//! pipeline puts in their place. What a guest may answer is `pipeline::Limits`; this file enforces
//! neither.

use pipeline::PluginLimits;
use std::time::Duration;

/// Limits on one call, and on what may become a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Bytes of all linear memories of one call together.
    pub memory_bytes: usize,
    /// Elements of all tables of one call together.
    pub table_elements: usize,
    /// Wall-clock time of one call, functions of the host included.
    pub call_time: Duration,
    /// Of that, time in functions of the host that can take a while: reading and waiting.
    pub host_time: Duration,
    /// Bytes of the stack that wasm may use.
    pub stack_bytes: usize,
    /// Calls that run at once on this host; more wait for their turn.
    pub concurrent_calls: u32,
    /// Bytes that one call may hand to the host: answers, log lines, paths.
    pub handed_bytes: usize,
    /// Bytes that one call may be handed by functions of `job`, files included.
    pub given_bytes: usize,
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
    /// Processor time of compiling one file, over all threads; in whole seconds, at least one.
    /// By the clock it may take [`Self::compile_wall_time`].
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
            host_time: Duration::from_secs(1),
            stack_bytes: 512 << 10,
            concurrent_calls: 64,
            handed_bytes: 64 << 20,
            given_bytes: 128 << 20,
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

impl CallLimits {
    /// The limits of a call for a pipeline: what it says, and else these.
    pub fn for_call(&self, asked: &PluginLimits) -> Self {
        let bytes = |asked: Option<u64>, else_: usize| match asked {
            Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
            None => else_,
        };
        let count = |asked: Option<u32>, else_: usize| bytes(asked.map(u64::from), else_);
        let answers = &self.answers;
        Self {
            memory_bytes: bytes(asked.memory, self.memory_bytes),
            table_elements: count(asked.table_elements, self.table_elements),
            call_time: asked.call_time.unwrap_or(self.call_time),
            host_time: asked.host_time.unwrap_or(self.host_time),
            read_bytes: asked.read.unwrap_or(self.read_bytes),
            log_lines: count(asked.log_lines, self.log_lines),
            answers: pipeline::Limits {
                tasks: count(asked.tasks, answers.tasks),
                prompt_bytes: bytes(asked.prompt, answers.prompt_bytes),
                staged_bytes: bytes(asked.staged, answers.staged_bytes),
                ..answers.clone()
            },
            ..self.clone()
        }
    }

    /// Wall-clock time of compiling one file: more than its processor time, since whoever compiles
    /// comes last on a busy machine.
    pub fn compile_wall_time(&self) -> Duration {
        self.compile_time.saturating_mul(4)
    }

    /// What one call's memories may have at most, whatever its pipeline asks for.
    pub(crate) fn memory_bytes_most(&self) -> usize {
        let asked = usize::try_from(PluginLimits::MEMORY_MOST).unwrap_or(usize::MAX);
        self.memory_bytes.max(asked)
    }

    /// What one call's tables may have at most, whatever its pipeline asks for.
    pub(crate) fn table_elements_most(&self) -> usize {
        let asked = usize::try_from(PluginLimits::TABLE_ELEMENTS_MOST).unwrap_or(usize::MAX);
        self.table_elements.max(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_that_says_nothing_changes_nothing() {
        let limits = CallLimits::default();
        assert_eq!(limits.for_call(&PluginLimits::default()), limits);
    }

    #[test]
    fn what_a_pipeline_says_stands_in_place_of_the_hosts() {
        let limits = CallLimits::default();
        let asked = PluginLimits {
            call_time: Some(Duration::from_secs(9)),
            host_time: Some(Duration::from_secs(8)),
            memory: Some(7),
            table_elements: Some(6),
            read: Some(5),
            log_lines: Some(4),
            prompt: Some(3),
            staged: Some(2),
            tasks: Some(1),
        };
        let mut expected = limits.clone();
        expected.call_time = Duration::from_secs(9);
        expected.host_time = Duration::from_secs(8);
        expected.memory_bytes = 7;
        expected.table_elements = 6;
        expected.read_bytes = 5;
        expected.log_lines = 4;
        expected.answers.prompt_bytes = 3;
        expected.answers.staged_bytes = 2;
        expected.answers.tasks = 1;
        let merged = limits.for_call(&asked);
        assert_eq!(merged, expected);
        assert_eq!(merged.for_call(&asked), expected, "again changes nothing");
    }
}
