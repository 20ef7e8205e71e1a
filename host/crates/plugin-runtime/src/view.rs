//! The job as one call of a guest may see it, whatever kind of guest it is: `job`'s functions
//! under their limits, and what was logged. How a guest reaches it is its kind's matter.

use crate::grants::Granted;
use crate::sandbox::Broke;
use crate::{CallContext, CallLimits, ReadError};
use pipeline::{FileEntry, Level};
use std::time::{Duration, Instant};

/// `job`'s functions for one call.
pub(crate) struct View {
    /// None in `describe` and `self-test`.
    job: Option<CallContext>,
    step: &'static str,
    granted: Granted,
    /// The host's, with what the pipeline says in their place.
    limits: CallLimits,
    logs: Vec<(Level, String)>,
    dropped_lines: usize,
    read_left: u64,
    given_left: usize,
    host_time_left: Duration,
}

impl View {
    /// Nothing is granted in it.
    pub(crate) fn new(job: Option<CallContext>, step: &'static str, limits: &CallLimits) -> Self {
        let limits = match &job {
            Some(job) => limits.for_call(&job.limits),
            None => limits.clone(),
        };
        Self {
            job,
            step,
            granted: Granted::default(),
            logs: Vec::new(),
            dropped_lines: 0,
            read_left: limits.read_bytes,
            given_left: limits.given_bytes,
            host_time_left: limits.host_time,
            limits,
        }
    }

    pub(crate) fn with(mut self, granted: Granted) -> Self {
        self.granted = granted;
        self
    }

    /// The limits of this call.
    pub(crate) fn limits(&self) -> &CallLimits {
        &self.limits
    }

    pub(crate) fn granted(&self) -> Granted {
        self.granted
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

    /// A text of the job's.
    pub(crate) fn text(
        &mut self,
        function: &'static str,
        text: impl FnOnce(&CallContext) -> &str,
    ) -> Result<String, Broke> {
        let text = text(self.job(function)?).to_owned();
        self.give(text.len())?;
        Ok(text)
    }

    /// A text of the job's that may be missing.
    pub(crate) fn optional(
        &mut self,
        function: &'static str,
        text: impl FnOnce(&CallContext) -> Option<&String>,
    ) -> Result<Option<String>, Broke> {
        let text = text(self.job(function)?).cloned();
        self.give(text.as_ref().map_or(0, String::len))?;
        Ok(text)
    }

    /// Counts what a guest is handed.
    pub(crate) fn give(&mut self, bytes: usize) -> Result<(), Broke> {
        self.given_left = self.given_left.checked_sub(bytes).ok_or(Broke::Given)?;
        Ok(())
    }

    pub(crate) fn files(
        &mut self,
        dir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Result<Vec<FileEntry>, ReadError>, Broke> {
        let limit = limit.min(self.limits.list_entries);
        let found = self.timed("files", |job| job.files.list(dir, after, limit))?;
        let entries = found.iter().flatten();
        self.give(
            entries
                .map(|entry| size_of::<FileEntry>() + entry.path.len())
                .sum(),
        )?;
        Ok(found)
    }

    pub(crate) fn stat(&mut self, path: &str) -> Result<Result<FileEntry, ReadError>, Broke> {
        self.timed("stat", |job| job.files.stat(path))
    }

    pub(crate) fn read(
        &mut self,
        path: &str,
        offset: u64,
        length: u32,
    ) -> Result<Result<Vec<u8>, ReadError>, Broke> {
        let most = self.limits.read_once_bytes;
        if length > most {
            self.job("read")?;
            return Ok(Err(ReadError::TooLarge(most.into())));
        }
        let bytes = match self.timed("read", |job| job.files.read(path, offset, length))? {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        match self.read_left.checked_sub(bytes.len() as u64) {
            Some(left) => self.read_left = left,
            None => return Ok(Err(ReadError::TooLarge(self.limits.read_bytes))),
        }
        self.give(bytes.len())?;
        Ok(Ok(bytes))
    }

    fn timed<T>(
        &mut self,
        function: &'static str,
        call: impl FnOnce(&CallContext) -> T,
    ) -> Result<T, Broke> {
        let job = self.job(function)?;
        let begin = Instant::now();
        let answer = call(job);
        self.took(begin.elapsed())?;
        Ok(answer)
    }

    /// Counts time in a function of the host.
    pub(crate) fn took(&mut self, time: Duration) -> Result<(), Broke> {
        let left = self.host_time_left.checked_sub(time);
        self.host_time_left = left.unwrap_or_default();
        left.map(drop).ok_or(Broke::HostTime)
    }

    pub(crate) fn host_time_left(&self) -> Duration {
        self.host_time_left
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_functions_of_the_host_adds_up_to_its_limit() {
        let limits = CallLimits {
            host_time: Duration::from_millis(50),
            ..CallLimits::default()
        };
        let mut view = View::new(None, "prompt", &limits);
        assert_eq!(view.took(Duration::from_millis(30)), Ok(()));
        assert_eq!(view.host_time_left(), Duration::from_millis(20));
        assert_eq!(view.took(Duration::from_millis(20)), Ok(()));
        assert_eq!(view.took(Duration::from_nanos(1)), Err(Broke::HostTime));
    }

    #[test]
    fn what_is_handed_to_a_guest_adds_up_to_its_limit() {
        let limits = CallLimits {
            given_bytes: 10,
            ..CallLimits::default()
        };
        let mut view = View::new(None, "prompt", &limits);
        assert_eq!(view.give(4), Ok(()));
        assert_eq!(view.give(6), Ok(()));
        assert_eq!(view.give(1), Err(Broke::Given));
    }
}
