//! `job` as `gantry:phase@0.9` has it: types go over to the call's view and back. It looks at no
//! limit itself.

use super::State;
use crate::ReadError;
use crate::bindings::v0_9::base::gantry::phase::{job, types};
use pipeline::{FileEntry, Level, Outcome};
use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker};

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    job::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl types::Host for State {}

impl job::Host for State {
    fn id(&mut self) -> Result<String> {
        Ok(self.view.job("id")?.job.to_string())
    }

    fn name(&mut self) -> Result<String> {
        Ok(self.view.text("name", |job| &job.name)?)
    }

    fn pipeline(&mut self) -> Result<String> {
        Ok(self.view.text("pipeline", |job| &job.pipeline)?)
    }

    fn phase(&mut self) -> Result<String> {
        Ok(self.view.text("phase", |job| &job.phase)?)
    }

    fn attempt(&mut self) -> Result<u32> {
        Ok(self.view.job("attempt")?.attempt)
    }

    fn revision(&mut self) -> Result<u32> {
        Ok(self.view.job("revision")?.revision)
    }

    fn params(&mut self) -> Result<String> {
        Ok(self.view.text("params", |job| &job.params)?)
    }

    fn settings(&mut self) -> Result<String> {
        Ok(self.view.text("settings", |job| &job.settings)?)
    }

    fn feedback(&mut self) -> Result<Option<String>> {
        Ok(self
            .view
            .optional("feedback", |job| job.feedback.as_ref())?)
    }

    fn group(&mut self) -> Result<Option<String>> {
        Ok(self.view.optional("group", |job| job.group.as_ref())?)
    }

    fn now(&mut self) -> Result<u64> {
        Ok(self.view.job("now")?.now_ms)
    }

    fn seed(&mut self) -> Result<u64> {
        Ok(self.view.job("seed")?.seed)
    }

    fn files(
        &mut self,
        dir: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<std::result::Result<Vec<types::File>, types::ReadError>> {
        let found = self.view.files(&dir, after.as_deref(), limit)?;
        Ok(found
            .map(|entries| entries.into_iter().map(file).collect())
            .map_err(read_error))
    }

    fn stat(&mut self, path: String) -> Result<std::result::Result<types::File, types::ReadError>> {
        let found = self.view.stat(&path)?;
        Ok(found.map(file).map_err(read_error))
    }

    fn read(
        &mut self,
        path: String,
        offset: u64,
        length: u32,
    ) -> Result<std::result::Result<Vec<u8>, types::ReadError>> {
        Ok(self.view.read(&path, offset, length)?.map_err(read_error))
    }

    fn outcomes(&mut self) -> Result<Vec<types::Outcome>> {
        let outcomes = &self.view.job("outcomes")?.outcomes;
        let outcomes: Vec<types::Outcome> = outcomes.iter().map(outcome).collect();
        self.view.give(outcomes.iter().map(bytes).sum())?;
        Ok(outcomes)
    }

    fn log(&mut self, level: types::Level, message: String) -> Result<()> {
        let level = match level {
            types::Level::Debug => Level::Debug,
            types::Level::Info => Level::Info,
            types::Level::Warn => Level::Warn,
            types::Level::Error => Level::Error,
        };
        Ok(self.view.log(level, &message)?)
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

fn bytes(outcome: &types::Outcome) -> usize {
    let missing: usize = outcome.missing.iter().map(String::len).sum();
    size_of::<types::Outcome>() + outcome.task.len() + outcome.answer.len() + missing
}
