//! The job as one call of a guest may see it, whatever kind of guest it is: `job`'s functions
//! under their limits, and what was logged. How a guest reaches it is its kind's matter.

use crate::sandbox::Broke;
use crate::{CallContext, CallLimits, ReadError};
use pipeline::{FileEntry, Level};

/// `job`'s functions for one call.
pub(crate) struct View {
    /// None in `describe` and `self-test`.
    job: Option<CallContext>,
    step: &'static str,
    logs: Vec<(Level, String)>,
    dropped_lines: usize,
    read_left: u64,
    limits: Limits,
}

/// Those limits that `job`'s functions look at.
#[derive(Clone, Copy)]
struct Limits {
    read_bytes: u64,
    read_once_bytes: u32,
    list_entries: u32,
    log_lines: usize,
    log_line_bytes: usize,
}

impl View {
    pub(crate) fn new(job: Option<CallContext>, step: &'static str, limits: &CallLimits) -> Self {
        Self {
            job,
            step,
            logs: Vec::new(),
            dropped_lines: 0,
            read_left: limits.read_bytes,
            limits: Limits {
                read_bytes: limits.read_bytes,
                read_once_bytes: limits.read_once_bytes,
                list_entries: limits.list_entries,
                log_lines: limits.log_lines,
                log_line_bytes: limits.log_line_bytes,
            },
        }
    }

    /// The job; [`Broke::NoJob`] names the function that asked where there is none.
    pub(crate) fn job(&self, function: &'static str) -> Result<&CallContext, Broke> {
        let step = self.step;
        self.job.as_ref().ok_or(Broke::NoJob { function, step })
    }

    /// What a guest's clocks and random say: the call's own moment and seed.
    pub(crate) fn moment(&self) -> (u64, u64) {
        let job = self.job.as_ref();
        job.map_or((0, 0), |job| (job.now_ms, job.seed))
    }

    pub(crate) fn files(
        &mut self,
        dir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Result<Vec<FileEntry>, ReadError>, Broke> {
        let limit = limit.min(self.limits.list_entries);
        Ok(self.job("files")?.files.list(dir, after, limit))
    }

    pub(crate) fn stat(&mut self, path: &str) -> Result<Result<FileEntry, ReadError>, Broke> {
        Ok(self.job("stat")?.files.stat(path))
    }

    pub(crate) fn read(
        &mut self,
        path: &str,
        offset: u64,
        length: u32,
    ) -> Result<Result<Vec<u8>, ReadError>, Broke> {
        let limits = self.limits;
        let files = &self.job("read")?.files;
        if length > limits.read_once_bytes {
            return Ok(Err(ReadError::TooLarge(limits.read_once_bytes.into())));
        }
        let bytes = match files.read(path, offset, length) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        match self.read_left.checked_sub(bytes.len() as u64) {
            Some(left) => self.read_left = left,
            None => return Ok(Err(ReadError::TooLarge(limits.read_bytes))),
        }
        Ok(Ok(bytes))
    }

    pub(crate) fn log(&mut self, level: Level, message: &str) -> Result<(), Broke> {
        self.job("log")?;
        for line in message.lines() {
            self.log_line(level, line);
        }
        Ok(())
    }

    fn log_line(&mut self, level: Level, line: &str) {
        if self.logs.len() >= self.limits.log_lines {
            self.dropped_lines = self.dropped_lines.saturating_add(1);
            return;
        }
        let cut = &line[..line.floor_char_boundary(self.limits.log_line_bytes)];
        let clean = |c: char| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        };
        self.logs.push((level, cut.chars().map(clean).collect()));
    }

    /// What was logged, with a last line for what was dropped.
    pub(crate) fn into_logs(mut self) -> Vec<(Level, String)> {
        if self.dropped_lines > 0 {
            let (dropped, most) = (self.dropped_lines, self.limits.log_lines);
            let line = format!("{dropped} more lines were dropped: one call may log {most}");
            self.logs.push((Level::Warn, line));
        }
        self.logs
    }
}
