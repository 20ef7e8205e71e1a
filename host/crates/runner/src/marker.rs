//! The marker beside a run: this name was started once. It outlives whatever was started, so
//! that a run that is gone is never started again. It doesn't say whether the run has ended.

use crate::{RunSpec, RunnerError};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// In `run_dir`, with the run's name as its content.
const FILE: &str = "created";

/// Of the next file that is to become a marker.
static NUMBER: AtomicU32 = AtomicU32::new(0);

fn path(spec: &RunSpec) -> PathBuf {
    spec.run_dir.join(FILE)
}

/// Whether a run with this `run_dir` was started: starting it again adopts what stands there.
pub fn was_started(run_dir: &Path) -> bool {
    run_dir.join(FILE).exists()
}

/// Whether this name was started.
pub(crate) fn is_set(spec: &RunSpec) -> Result<bool, RunnerError> {
    match fs::read(path(spec)) {
        Ok(name) => Ok(name == spec.name.as_bytes()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(RunnerError::io("reading", path(spec))(error)),
    }
}

/// On the disk when this returns: call it before anything runs.
pub(crate) fn set(spec: &RunSpec) -> Result<(), RunnerError> {
    let write = || {
        // Of its own, since two hosts may start the same run at the same time.
        let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let staged = spec.run_dir.join(format!("{FILE}.{process}.{number}"));
        let mut file = File::create(&staged)?;
        file.write_all(spec.name.as_bytes())?;
        file.sync_all()?;
        fs::rename(&staged, path(spec))?;
        File::open(&spec.run_dir)?.sync_all()
    };
    write().map_err(RunnerError::io("writing", path(spec)))
}

/// For a start of which it is certain that nothing ran.
pub(crate) fn clear(spec: &RunSpec) -> Result<(), RunnerError> {
    match fs::remove_file(path(spec)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(RunnerError::io("removing", path(spec))(error))
        }
        _ => Ok(()),
    }
}
