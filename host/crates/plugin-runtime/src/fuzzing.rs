//! The way in for the fuzz target: what happens to the bytes of a file, then each step once,
//! without a folder, an archive or a runtime around it. Nothing of the host calls it.

use crate::compile::Workshop;
use crate::engine::Sandboxes;
use crate::{CallContext, CallLimits, Compiler, Grants, PluginError, admit};
use pipeline::{Digest, StepError};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// An engine and a compiler in this process. Hidden: a folder with its looks, its archive and a
/// runtime around every file would cost a fuzzer more than what it is after.
#[doc(hidden)]
pub struct WayIn {
    sandboxes: Arc<Sandboxes>,
    workshop: Workshop,
}

impl WayIn {
    /// Compiled code goes into `cache_dir`, which may be emptied at any time.
    pub fn open(limits: CallLimits, cache_dir: PathBuf) -> Result<Self, PluginError> {
        let sandboxes = Sandboxes::new(limits, Grants::default())?;
        let workshop =
            Workshop::open(Arc::clone(&sandboxes), Compiler::InProcess, None, cache_dir)?;
        Ok(Self {
            sandboxes,
            workshop,
        })
    }

    /// What a file of these bytes meets. The refusal, or what its steps said where it may serve.
    pub fn take(&self, wasm: &[u8], job: &CallContext) -> Result<Vec<String>, String> {
        let digest = Digest::of(wasm);
        let guest = admit::admit(&self.sandboxes, &self.workshop, wasm, &digest, None)?;
        let said = [
            worded(
                guest
                    .prompt(&self.sandboxes, job.clone(), &mut || {})
                    .result,
            ),
            worded(
                guest
                    .validate(&self.sandboxes, job.clone(), &mut || {})
                    .result,
            ),
            worded(
                guest
                    .deploy(&self.sandboxes, job.clone(), &mut || {})
                    .result,
            ),
        ];
        Ok(said.into_iter().flatten().collect())
    }
}

impl fmt::Debug for WayIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WayIn").finish_non_exhaustive()
    }
}

fn worded<T>(result: Result<Option<T>, StepError>) -> Option<String> {
    match result {
        Ok(None) => None,
        Ok(Some(_)) => Some("answered".to_owned()),
        Err(
            StepError::InvalidJob(why)
            | StepError::Unavailable(why)
            | StepError::Held(why)
            | StepError::Fault(why),
        ) => Some(why),
    }
}
