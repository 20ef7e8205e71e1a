//! A job that is only in memory, for a plugin's native tests. It keeps the interface's rules
//! about paths, paging and lengths, but knows no links and no folders without files.

use super::{Job, Source};
use crate::{File, Level, Outcome, ReadError};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Few and short, so that a test sees more than one page and more than one read.
const MOST_FILES: usize = 2;
const MOST_BYTES: u32 = 1 << 10;

/// Builds a [`Job`] for a test: what isn't set is as in a first attempt.
pub struct JobInMemory {
    answers: Answers,
}

/// What the interface's functions answer.
pub(super) struct Answers {
    name: String,
    phase: String,
    attempt: u32,
    revision: u32,
    params: String,
    settings: String,
    group: Option<String>,
    feedback: Option<String>,
    now: u64,
    seed: u64,
    workspace: BTreeMap<String, Vec<u8>>,
    outcomes: Vec<Outcome>,
    lines: RefCell<Vec<(Level, String)>>,
}

impl JobInMemory {
    /// A first attempt, without files, params and settings.
    pub fn new(name: &str) -> Self {
        let answers = Answers {
            name: name.to_owned(),
            phase: "test".to_owned(),
            attempt: 1,
            revision: 1,
            params: "{}".to_owned(),
            settings: "{}".to_owned(),
            group: None,
            feedback: None,
            now: 0,
            seed: 0,
            workspace: BTreeMap::new(),
            outcomes: Vec::new(),
            lines: RefCell::default(),
        };
        Self { answers }
    }

    /// The phase's id.
    pub fn phase(mut self, phase: &str) -> Self {
        self.answers.phase = phase.to_owned();
        self
    }

    /// The attempt, from 1.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.answers.attempt = attempt;
        self
    }

    /// The revision, from 1.
    pub fn revision(mut self, revision: u32) -> Self {
        self.answers.revision = revision;
        self
    }

    /// The job's params, as JSON.
    pub fn params(mut self, json: &str) -> Self {
        self.answers.params = json.to_owned();
        self
    }

    /// The phase's settings, as JSON.
    pub fn settings(mut self, json: &str) -> Self {
        self.answers.settings = json.to_owned();
        self
    }

    /// The group that it was submitted with.
    pub fn group(mut self, group: &str) -> Self {
        self.answers.group = Some(group.to_owned());
        self
    }

    /// Why the last attempt was sent back.
    pub fn feedback(mut self, feedback: &str) -> Self {
        self.answers.feedback = Some(feedback.to_owned());
        self
    }

    /// The time, in milliseconds since 1970.
    pub fn now_ms(mut self, now: u64) -> Self {
        self.answers.now = now;
        self
    }

    /// The random bits.
    pub fn seed(mut self, seed: u64) -> Self {
        self.answers.seed = seed;
        self
    }

    /// A file of the workspace.
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.answers
            .workspace
            .insert(path.to_owned(), content.into());
        self
    }

    /// What one more task left.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.answers.outcomes.push(outcome);
        self
    }

    /// The job.
    pub fn job(self) -> Job {
        Job {
            source: Source::Memory(Box::new(self.answers)),
        }
    }
}

impl Job {
    /// What a job in memory was told to log so far; nothing for a host's.
    pub fn logged(&self) -> Vec<(Level, String)> {
        match &self.source {
            Source::Host => Vec::new(),
            Source::Memory(memory) => memory.lines.borrow().clone(),
        }
    }
}

/// The interface's functions, under its own names.
impl Answers {
    pub(super) fn id(&self) -> String {
        "00000000-0000-7000-8000-000000000000".to_owned()
    }

    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    pub(super) fn pipeline(&self) -> String {
        "test".to_owned()
    }

    pub(super) fn phase(&self) -> String {
        self.phase.clone()
    }

    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(super) fn revision(&self) -> u32 {
        self.revision
    }

    pub(super) fn params(&self) -> String {
        self.params.clone()
    }

    pub(super) fn settings(&self) -> String {
        self.settings.clone()
    }

    pub(super) fn group(&self) -> Option<String> {
        self.group.clone()
    }

    pub(super) fn feedback(&self) -> Option<String> {
        self.feedback.clone()
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.clone()
    }

    pub(super) fn files(
        &self,
        dir: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<File>, ReadError> {
        if !dir.is_empty() {
            path(dir)?;
            if self.workspace.contains_key(dir) {
                return Err(ReadError::NotAFile);
            }
        }
        let below = |name: &str| {
            dir.is_empty()
                || name
                    .strip_prefix(dir)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let mut all = self
            .workspace
            .iter()
            .filter(|(name, _)| below(name))
            .peekable();
        if !dir.is_empty() && all.peek().is_none() {
            return Err(ReadError::NotFound);
        }
        Ok(all
            .filter(|(name, _)| after.is_none_or(|after| name.as_str() > after))
            .take(MOST_FILES.min(limit as usize))
            .map(|(path, content)| File {
                path: path.clone(),
                size: content.len() as u64,
            })
            .collect())
    }

    pub(super) fn stat(&self, name: &str) -> Result<File, ReadError> {
        let size = self.content(name)?.len() as u64;
        Ok(File {
            path: name.to_owned(),
            size,
        })
    }

    pub(super) fn read(&self, name: &str, offset: u64, length: u32) -> Result<Vec<u8>, ReadError> {
        let content = self.content(name)?;
        if length > MOST_BYTES {
            return Err(ReadError::TooLarge(MOST_BYTES.into()));
        }
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.len());
        let end = start.saturating_add(length as usize).min(content.len());
        Ok(content[start..end].to_vec())
    }

    fn content(&self, name: &str) -> Result<&Vec<u8>, ReadError> {
        path(name)?;
        let folder = format!("{name}/");
        match self.workspace.get(name) {
            Some(content) => Ok(content),
            None if self.workspace.keys().any(|file| file.starts_with(&folder)) => {
                Err(ReadError::NotAFile)
            }
            None => Err(ReadError::NotFound),
        }
    }

    pub(super) fn log(&self, level: Level, message: &str) {
        self.lines.borrow_mut().push((level, message.to_owned()));
    }
}

fn path(name: &str) -> Result<(), ReadError> {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if name.split('/').all(plain) {
        return Ok(());
    }
    Err(ReadError::InvalidPath(format!(
        "`{name}` isn't a plain relative path"
    )))
}
