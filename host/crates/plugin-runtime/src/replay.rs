//! A plugin tried on a recorded call: it is given what the recorded one was given, and its answer
//! is laid beside the recorded one. It judges by form alone: whether a different prompt is a
//! better one is for people.

use crate::record::{Answer, Bytes, Given, Look, Recording};
use crate::{CallContext, Called, Files, ReadError, Served, Step};
use pipeline::{FileEntry, StepError};
use std::sync::{Arc, Mutex, PoisonError};

/// What came of trying a plugin on one recorded call.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// How its answer stands to the recorded one.
    pub outcome: TrialOutcome,
    /// What it answered.
    pub answer: Answer,
    /// How long it took, µs.
    pub took_us: u64,
    /// Bytes of all its memories together.
    pub memory_bytes: u64,
}

/// How an answer stands to the recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialOutcome {
    /// The same, to the letter.
    Same,
    /// Another one.
    Differs,
    /// None, where the recorded call had one, or a worse reason for none: why.
    Worse(String),
    /// It asked for what wasn't recorded: what.
    Inconclusive(String),
}

impl Served {
    /// Tries this plugin on a recorded call, under the limits of any call; it counts for nothing.
    pub async fn replay(&self, recording: &Recording) -> Trial {
        let files = Arc::new(Recorded::of(recording));
        let context = context(&recording.given, Arc::clone(&files) as Arc<dyn Files>);
        let (answer, took_us, memory_bytes) = match recording.step {
            Step::Prompt => parts(self.prompt(context).await, Answer::Tasks),
            Step::Validate => parts(self.validate(context).await, Answer::Verdict),
            Step::Deploy => parts(self.deploy(context).await, Answer::Sites),
        };
        Trial {
            outcome: compare(&recording.answer, &answer, files.missed()),
            answer,
            took_us,
            memory_bytes,
        }
    }
}

fn parts<T>(called: Called<Option<T>>, as_answer: fn(T) -> Answer) -> (Answer, u64, u64) {
    let answer = Answer::of(called.result, as_answer);
    let took_us = u64::try_from(called.took.as_micros()).unwrap_or(u64::MAX);
    (answer, took_us, called.memory_bytes as u64)
}

impl Answer {
    pub(crate) fn of<T>(result: Result<Option<T>, StepError>, as_answer: fn(T) -> Self) -> Self {
        match result {
            Ok(Some(answer)) => as_answer(answer),
            Ok(None) => Self::NoStep,
            Err(error) => Self::Failed(error),
        }
    }
}

fn compare(old: &Answer, new: &Answer, missed: Option<String>) -> TrialOutcome {
    if old == new {
        return TrialOutcome::Same;
    }
    // What it would have done with what isn't there, nobody knows.
    if let Some(what) = missed {
        return TrialOutcome::Inconclusive(what);
    }
    match (old, new) {
        (Answer::Failed(was), Answer::Failed(is)) if badness(is) <= badness(was) => {
            TrialOutcome::Differs
        }
        (_, Answer::Failed(why)) => TrialOutcome::Worse(why.to_string()),
        _ => TrialOutcome::Differs,
    }
}

/// Faults of the plugin are worse than what a step says in words.
fn badness(error: &StepError) -> u8 {
    match error {
        StepError::InvalidJob(_) | StepError::Unavailable(_) | StepError::Held(_) => 0,
        StepError::Fault(_) => 1,
    }
}

fn context(given: &Given, files: Arc<dyn Files>) -> CallContext {
    let Given {
        job,
        name,
        pipeline,
        group,
        phase,
        attempt,
        revision,
        params,
        settings,
        feedback,
        now_ms,
        seed,
        outcomes,
        limits,
    } = given.clone();
    CallContext {
        job,
        name,
        pipeline,
        group,
        phase,
        attempt,
        revision,
        params,
        settings,
        feedback,
        now_ms,
        seed,
        outcomes,
        files,
        limits,
        record: false,
    }
}

/// The workspace, as far as a recording has it.
struct Recorded {
    looks: Vec<Look>,
    missed: Mutex<Option<String>>,
}

impl Recorded {
    fn of(recording: &Recording) -> Self {
        Self {
            looks: recording.looks.clone(),
            missed: Mutex::default(),
        }
    }

    /// The first thing that was asked for and isn't there.
    fn missed(&self) -> Option<String> {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        missed.clone()
    }

    fn miss(&self, what: String) -> ReadError {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        missed.get_or_insert(what);
        ReadError::Denied("it wasn't recorded".to_owned())
    }
}

impl Files for Recorded {
    fn list(
        &self,
        dir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<FileEntry>, ReadError> {
        let found = self.looks.iter().find_map(|look| match look {
            Look::List {
                dir: of,
                after: from,
                limit: most,
                found,
            } if of == dir && from.as_deref() == after && *most == limit => Some(found.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| Err(self.miss(format!("the list of `{dir}` after {after:?}"))))
    }

    fn stat(&self, path: &str) -> Result<FileEntry, ReadError> {
        let found = self.looks.iter().find_map(|look| match look {
            Look::Stat { path: of, found } if of == path => Some(found.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| Err(self.miss(format!("`{path}`"))))
    }

    fn read(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, ReadError> {
        let found = self.looks.iter().find_map(|look| match look {
            Look::Read {
                path: of,
                offset: from,
                length: most,
                found,
            } if of == path => within(*from, *most, found, offset, length),
            _ => None,
        });
        found.unwrap_or_else(|| {
            Err(self.miss(format!("{length} bytes of `{path}` from byte {offset}")))
        })
    }
}

/// The wanted range, where it lies in a recorded read; a read that came out short was at the
/// file's end.
fn within(
    from: u64,
    most: u32,
    found: &Result<Bytes, ReadError>,
    offset: u64,
    length: u32,
) -> Option<Result<Vec<u8>, ReadError>> {
    let bytes = match found {
        Ok(Bytes(bytes)) => bytes,
        Err(error) if (from, most) == (offset, length) => return Some(Err(error.clone())),
        Err(_) => return None,
    };
    let begin = usize::try_from(offset.checked_sub(from)?).ok()?;
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    let ended = bytes.len() < usize::try_from(most).ok()?;
    match bytes.get(begin..end) {
        Some(range) => Some(Ok(range.to_vec())),
        None if ended => Some(Ok(bytes.get(begin..).unwrap_or_default().to_vec())),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], most: u32) -> Result<Bytes, ReadError> {
        assert!(bytes.len() <= most as usize);
        Ok(Bytes(bytes.to_vec()))
    }

    #[test]
    fn a_range_is_answered_from_a_recorded_one_that_holds_it() {
        let whole = read(b"hello", 8);
        assert_eq!(within(0, 8, &whole, 1, 3), Some(Ok(b"ell".to_vec())));
        assert_eq!(within(0, 8, &whole, 3, 100), Some(Ok(b"lo".to_vec())));
        assert_eq!(within(0, 8, &whole, 9, 1), Some(Ok(Vec::new())));
        let part = read(b"hello", 5);
        assert_eq!(within(0, 5, &part, 3, 100), None);
        assert_eq!(within(2, 5, &part, 1, 1), None);
        let missing = Err(ReadError::NotFound);
        let same = Some(Err(ReadError::NotFound));
        assert_eq!(within(0, 5, &missing, 0, 5), same);
        assert_eq!(within(0, 5, &missing, 0, 6), None);
    }

    #[test]
    fn only_what_is_worse_is_worse() {
        let fault = || Answer::Failed(StepError::Fault("trap".to_owned()));
        let later = || Answer::Failed(StepError::Unavailable("later".to_owned()));
        let tasks = || Answer::Tasks(Vec::new());
        let worse = |old, new| matches!(compare(&old, &new, None), TrialOutcome::Worse(_));
        assert!(worse(tasks(), fault()) && worse(later(), fault()) && worse(tasks(), later()));
        assert!(!worse(fault(), later()) && !worse(fault(), tasks()));
        let missed = compare(&tasks(), &fault(), Some("`a`".to_owned()));
        assert_eq!(missed, TrialOutcome::Inconclusive("`a`".to_owned()));
        assert_eq!(compare(&tasks(), &tasks(), None), TrialOutcome::Same);
    }
}
