//! `job` as `gantry:phase@0.10` has it: the functions of 0.9, whose types are the same. It adds
//! nothing to them; what changes there comes here as code of its own.

use super::State;
use crate::bindings::v0_9::base::gantry::phase::{job as v0_9, types};
use crate::bindings::v0_10::base::gantry::phase::job;
use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker};

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    job::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl job::Host for State {
    fn id(&mut self) -> Result<String> {
        v0_9::Host::id(self)
    }

    fn name(&mut self) -> Result<String> {
        v0_9::Host::name(self)
    }

    fn pipeline(&mut self) -> Result<String> {
        v0_9::Host::pipeline(self)
    }

    fn phase(&mut self) -> Result<String> {
        v0_9::Host::phase(self)
    }

    fn attempt(&mut self) -> Result<u32> {
        v0_9::Host::attempt(self)
    }

    fn revision(&mut self) -> Result<u32> {
        v0_9::Host::revision(self)
    }

    fn params(&mut self) -> Result<String> {
        v0_9::Host::params(self)
    }

    fn settings(&mut self) -> Result<String> {
        v0_9::Host::settings(self)
    }

    fn feedback(&mut self) -> Result<Option<String>> {
        v0_9::Host::feedback(self)
    }

    fn group(&mut self) -> Result<Option<String>> {
        v0_9::Host::group(self)
    }

    fn now(&mut self) -> Result<u64> {
        v0_9::Host::now(self)
    }

    fn seed(&mut self) -> Result<u64> {
        v0_9::Host::seed(self)
    }

    fn files(
        &mut self,
        dir: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<std::result::Result<Vec<types::File>, types::ReadError>> {
        v0_9::Host::files(self, dir, after, limit)
    }

    fn stat(&mut self, path: String) -> Result<std::result::Result<types::File, types::ReadError>> {
        v0_9::Host::stat(self, path)
    }

    fn read(
        &mut self,
        path: String,
        offset: u64,
        length: u32,
    ) -> Result<std::result::Result<Vec<u8>, types::ReadError>> {
        v0_9::Host::read(self, path, offset, length)
    }

    fn outcomes(&mut self) -> Result<Vec<types::Outcome>> {
        v0_9::Host::outcomes(self)
    }

    fn log(&mut self, level: types::Level, message: String) -> Result<()> {
        v0_9::Host::log(self, level, message)
    }
}
