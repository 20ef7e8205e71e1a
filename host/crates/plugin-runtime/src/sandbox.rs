//! What stands around one call: the store's state, with every limit, and the functions that a
//! guest may call. It doesn't decide what follows from a broken limit; `fault` words it.

mod limiter;
mod wasi;

use crate::bindings::base::gantry::phase::{job, types};
use crate::{CallContext, CallLimits, ReadError};
use limiter::Limiter;
use pipeline::{FileEntry, Level, Outcome};
use std::time::Instant;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Engine, Result, Store, UpdateDeadline};

pub(crate) use limiter::Broke;

/// The state of one store: one call, then gone.
pub(crate) struct State {
    limiter: Limiter,
    /// None in `describe` and `self-test`.
    job: Option<CallContext>,
    step: &'static str,
    logs: Vec<(Level, String)>,
    dropped_lines: usize,
    read_left: u64,
    deadline: Instant,
    limits: Limits,
    wasi: Option<wasi::Wasi>,
}

/// Those limits that host functions look at.
#[derive(Clone, Copy)]
struct Limits {
    read_bytes: u64,
    read_once_bytes: u32,
    list_entries: u32,
    log_lines: usize,
    log_line_bytes: usize,
    handles: usize,
}

/// The functions that every guest may import, linked once.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    types::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    job::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// A store for one call, under all limits.
pub(crate) fn store(
    engine: &Engine,
    limits: &CallLimits,
    step: &'static str,
    job: Option<CallContext>,
    ticks: u64,
) -> Store<State> {
    let deadline = Instant::now() + limits.call_time;
    let state = State {
        limiter: Limiter::new(limits.memory_bytes, limits.table_elements),
        job,
        step,
        logs: Vec::new(),
        dropped_lines: 0,
        read_left: limits.read_bytes,
        deadline,
        limits: Limits {
            read_bytes: limits.read_bytes,
            read_once_bytes: limits.read_once_bytes,
            list_entries: limits.list_entries,
            log_lines: limits.log_lines,
            log_line_bytes: limits.log_line_bytes,
            handles: limits.handles,
        },
        wasi: None,
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits.handed_bytes);
    store.set_max_component_handles(limits.handles);
    store.set_epoch_deadline(ticks);
    // Ticks can be late on a busy machine, so a clock decides; they only say when to look.
    store.epoch_deadline_callback(move |_| {
        if Instant::now() >= deadline {
            return Err(Broke::Time.into());
        }
        Ok(UpdateDeadline::Continue(1))
    });
    store
}

impl State {
    /// What was logged, with a last line for what was dropped.
    pub(crate) fn into_logs(mut self) -> Vec<(Level, String)> {
        if self.dropped_lines > 0 {
            let (dropped, most) = (self.dropped_lines, self.limits.log_lines);
            let line = format!("{dropped} more lines were dropped: one call may log {most}");
            self.logs.push((Level::Warn, line));
        }
        self.logs
    }

    /// Which limit was broken, also where the guest's own error hides it.
    pub(crate) fn broke(&self) -> Option<Broke> {
        self.limiter.broke
    }

    fn job(&self, function: &'static str) -> Result<&CallContext> {
        let step = self.step;
        Ok(self.job.as_ref().ok_or(Broke::NoJob { function, step })?)
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
}

impl types::Host for State {}

impl job::Host for State {
    fn id(&mut self) -> Result<String> {
        Ok(self.job("id")?.job.to_string())
    }

    fn name(&mut self) -> Result<String> {
        Ok(self.job("name")?.name.clone())
    }

    fn pipeline(&mut self) -> Result<String> {
        Ok(self.job("pipeline")?.pipeline.clone())
    }

    fn phase(&mut self) -> Result<String> {
        Ok(self.job("phase")?.phase.clone())
    }

    fn attempt(&mut self) -> Result<u32> {
        Ok(self.job("attempt")?.attempt)
    }

    fn revision(&mut self) -> Result<u32> {
        Ok(self.job("revision")?.revision)
    }

    fn params(&mut self) -> Result<String> {
        Ok(self.job("params")?.params.clone())
    }

    fn settings(&mut self) -> Result<String> {
        Ok(self.job("settings")?.settings.clone())
    }

    fn feedback(&mut self) -> Result<Option<String>> {
        Ok(self.job("feedback")?.feedback.clone())
    }

    fn now(&mut self) -> Result<u64> {
        Ok(self.job("now")?.now_ms)
    }

    fn seed(&mut self) -> Result<u64> {
        Ok(self.job("seed")?.seed)
    }

    fn files(
        &mut self,
        dir: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<std::result::Result<Vec<types::File>, types::ReadError>> {
        let limit = limit.min(self.limits.list_entries);
        let files = &self.job("files")?.files;
        let found = files.list(&dir, after.as_deref(), limit);
        Ok(found
            .map(|entries| entries.into_iter().map(file).collect())
            .map_err(read_error))
    }

    fn stat(&mut self, path: String) -> Result<std::result::Result<types::File, types::ReadError>> {
        let found = self.job("stat")?.files.stat(&path);
        Ok(found.map(file).map_err(read_error))
    }

    fn read(
        &mut self,
        path: String,
        offset: u64,
        length: u32,
    ) -> Result<std::result::Result<Vec<u8>, types::ReadError>> {
        let limits = self.limits;
        let files = &self.job("read")?.files;
        if length > limits.read_once_bytes {
            let most = limits.read_once_bytes.into();
            return Ok(Err(types::ReadError::TooLarge(most)));
        }
        let bytes = match files.read(&path, offset, length) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(read_error(error))),
        };
        match self.read_left.checked_sub(bytes.len() as u64) {
            Some(left) => self.read_left = left,
            None => return Ok(Err(types::ReadError::TooLarge(limits.read_bytes))),
        }
        Ok(Ok(bytes))
    }

    fn outcomes(&mut self) -> Result<Vec<types::Outcome>> {
        Ok(self.job("outcomes")?.outcomes.iter().map(outcome).collect())
    }

    fn log(&mut self, level: types::Level, message: String) -> Result<()> {
        self.job("log")?;
        let level = match level {
            types::Level::Debug => Level::Debug,
            types::Level::Info => Level::Info,
            types::Level::Warn => Level::Warn,
            types::Level::Error => Level::Error,
        };
        for line in message.lines() {
            self.log_line(level, line);
        }
        Ok(())
    }
}

fn file(entry: FileEntry) -> types::File {
    types::File {
        path: entry.path,
        size: entry.size,
    }
}

fn read_error(error: ReadError) -> types::ReadError {
    match error {
        ReadError::NotFound => types::ReadError::NotFound,
        ReadError::NotAFile => types::ReadError::NotAFile,
        ReadError::InvalidPath(why) => types::ReadError::InvalidPath(why),
        ReadError::Denied(why) => types::ReadError::Denied(why),
        ReadError::TooLarge(most) => types::ReadError::TooLarge(most),
    }
}

fn outcome((outcome, answer): &(Outcome, String)) -> types::Outcome {
    let kind = outcome.failure.as_ref().map(|failure| failure.kind.word());
    types::Outcome {
        task: outcome.task.clone(),
        exit_code: outcome.exit_code,
        failure: kind.map(str::to_owned),
        answer: answer.clone(),
        missing: outcome.missing.clone(),
        duration_ms: outcome.duration_ms,
        cost_micro_usd: outcome.usage.cost_micro_usd,
        input_tokens: outcome.usage.input_tokens,
        cache_read_tokens: outcome.usage.cache_read_tokens,
        cache_write_tokens: outcome.usage.cache_write_tokens,
        output_tokens: outcome.usage.output_tokens,
        extra: None,
    }
}
