//! The job that a step works on: what it is called, what was asked, and the files of its
//! workspace. It writes nothing; a step answers with data, and the host acts on it.

#[cfg(not(target_arch = "wasm32"))]
mod memory;

#[cfg(not(target_arch = "wasm32"))]
pub use memory::JobInMemory;

use crate::bindings::describe::gantry::phase::job as host;
use crate::{Error, File, Level, Outcome, ReadError, clip};
use serde::de::DeserializeOwned;
use std::fmt::Write;

/// The most that [`Job::read_json`] reads.
pub const JSON_BYTES: u64 = 1 << 20;

const CHUNK: u32 = 256 << 10;
const PAGE: u32 = 500;
const WISHES_BYTES: usize = 4 << 10;
const FEEDBACK_BYTES: usize = 12 << 10;

/// Why a file could not be used. As an [`Error`] it is `invalid-job`: a step that can go on
/// without the file looks at it before `?`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Nothing has this name.
    #[error("{0} is missing")]
    Missing(String),
    /// A folder, a link or something else.
    #[error("{0} isn't a regular file")]
    NotAFile(String),
    /// The name or the file is refused by the host.
    #[error("{path} can't be read: {why}")]
    Refused {
        /// The file.
        path: String,
        /// The host's words.
        why: String,
    },
    /// Larger than the step wants to read.
    #[error("{path} is too large: {size} bytes; at most {limit} are allowed")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Not text.
    #[error("{path} isn't UTF-8 text: byte {at} is wrong")]
    NotText {
        /// The file.
        path: String,
        /// The first wrong byte, from 0.
        at: usize,
    },
    /// Not JSON, or not of the wanted form.
    #[error("{path} isn't the JSON it should be: {error}")]
    NotJson {
        /// The file.
        path: String,
        /// What is wrong, with line and column.
        error: serde_json::Error,
    },
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::InvalidJob(error.to_string())
    }
}

/// The job of one call.
///
/// In a component it is the host's; in a native test it is a [`JobInMemory`]:
///
/// ```
/// use gantry_sdk::JobInMemory;
/// let job = JobInMemory::new("Fog").file("idea.json", r#"{"title": "Fog"}"#).job();
/// let idea: serde_json::Value = job.read_json("idea.json")?;
/// assert_eq!(idea["title"], "Fog");
/// assert_eq!(job.read_text("plan.json", 1000).unwrap_err().to_string(), "plan.json is missing");
/// # Ok::<(), gantry_sdk::FileError>(())
/// ```
pub struct Job {
    source: Source,
}

enum Source {
    Host,
    #[cfg(not(target_arch = "wasm32"))]
    Memory(Box<memory::Answers>),
}

/// Asks the host, or the job in memory where there is one.
macro_rules! ask {
    ($self:expr, $call:ident($($argument:expr),*)) => {
        match &$self.source {
            Source::Host => host::$call($($argument),*),
            #[cfg(not(target_arch = "wasm32"))]
            Source::Memory(memory) => memory.$call($($argument),*),
        }
    };
}

impl Job {
    #[doc(hidden)]
    pub fn __from_host() -> Self {
        std::panic::set_hook(Box::new(|panic| {
            host::log(Level::Error, &panic.to_string())
        }));
        Self {
            source: Source::Host,
        }
    }

    /// A UUID; the same through all phases, attempts and revisions.
    pub fn id(&self) -> String {
        ask!(self, id())
    }

    /// What the job was called when it was submitted.
    pub fn name(&self) -> String {
        ask!(self, name())
    }

    /// The name of its pipeline.
    pub fn pipeline(&self) -> String {
        ask!(self, pipeline())
    }

    /// The id of this phase in the pipeline.
    pub fn phase(&self) -> String {
        ask!(self, phase())
    }

    /// 1 for the first run of this phase in this revision.
    pub fn attempt(&self) -> u32 {
        ask!(self, attempt())
    }

    /// 1 at first; raised when a person sends the finished job back.
    pub fn revision(&self) -> u32 {
        ask!(self, revision())
    }

    /// The group given when the job was submitted. A host that serves the interface only up to
    /// 0.9.0 refuses a plugin that calls this.
    pub fn group(&self) -> Option<String> {
        ask!(self, group())
    }

    /// Why the last attempt was sent back, or what a person asked for.
    pub fn feedback(&self) -> Option<String> {
        ask!(self, feedback())
    }

    /// Milliseconds since 1970, UTC: when this call began. The same on replay.
    pub fn now_ms(&self) -> u64 {
        ask!(self, now())
    }

    /// Random bits, the same on replay.
    pub fn seed(&self) -> u64 {
        ask!(self, seed())
    }

    /// The object that was given when the job was submitted, as the plugin's own type. People
    /// send what they like: unknown keys should be ignored.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, Error> {
        from_json("params", &ask!(self, params()))
    }

    /// The object that the pipeline gives this phase, as the plugin's own type. A pipeline's
    /// author wants to know of a wrong key: `#[serde(deny_unknown_fields)]`.
    ///
    /// ```
    /// use gantry_sdk::{Error, JobInMemory};
    ///
    /// #[derive(Debug, serde::Deserialize)]
    /// #[serde(deny_unknown_fields, default)]
    /// struct Settings {
    ///     max_words: u32,
    /// }
    /// impl Default for Settings {
    ///     fn default() -> Self {
    ///         Self { max_words: 300 }
    ///     }
    /// }
    ///
    /// assert_eq!(JobInMemory::new("Fog").job().settings::<Settings>()?.max_words, 300);
    /// let job = JobInMemory::new("Fog").settings(r#"{"max_wrods": 5}"#).job();
    /// let Err(Error::InvalidJob(why)) = job.settings::<Settings>() else { panic!() };
    /// assert!(why.starts_with("settings: unknown field `max_wrods`, expected `max_words`"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T, Error> {
        from_json("settings", &ask!(self, settings()))
    }

    /// Regular files at and below `dir` (empty: all), sorted by path, asked for page by page.
    pub fn files<'a>(&'a self, dir: &'a str) -> Files<'a> {
        Files {
            job: self,
            dir,
            page: Vec::new().into_iter(),
            after: None,
            done: false,
        }
    }

    /// One regular file's size.
    pub fn stat(&self, path: &str) -> Result<File, FileError> {
        ask!(self, stat(path)).map_err(|error| file_error(path, error))
    }

    /// Whether there is a regular file of this name.
    pub fn has(&self, path: &str) -> bool {
        self.stat(path).is_ok()
    }

    /// The whole of a file of at most `max` bytes.
    pub fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, FileError> {
        let size = self.stat(path)?.size;
        if size > max {
            return Err(FileError::TooLarge {
                path: path.to_owned(),
                size,
                limit: max,
            });
        }
        let mut content = Vec::new();
        let mut chunk = CHUNK;
        while (content.len() as u64) < size {
            match ask!(self, read(path, content.len() as u64, chunk)) {
                Ok(part) if part.is_empty() => break,
                Ok(part) => content.extend(part),
                // The host reads less at once than we asked for, and says how much.
                Err(ReadError::TooLarge(most)) if most > 0 && most < u64::from(chunk) => {
                    chunk = most as u32;
                }
                Err(error) => return Err(file_error(path, error)),
            }
        }
        Ok(content)
    }

    /// The whole of a text file of at most `max` bytes.
    pub fn read_text(&self, path: &str, max: u64) -> Result<String, FileError> {
        String::from_utf8(self.read(path, max)?).map_err(|error| FileError::NotText {
            path: path.to_owned(),
            at: error.utf8_error().valid_up_to(),
        })
    }

    /// A JSON file of at most [`JSON_BYTES`]. With [`serde_json::Value`] any JSON will do, and
    /// [`Problems`](crate::Problems) can then say all that is wrong with it.
    pub fn read_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, FileError> {
        let text = self.read_text(path, JSON_BYTES)?;
        serde_json::from_str(&text).map_err(|error| FileError::NotJson {
            path: path.to_owned(),
            error,
        })
    }

    /// What this attempt's tasks left, in order; empty before they ran.
    pub fn outcomes(&self) -> Vec<Outcome> {
        ask!(self, outcomes())
    }

    /// A line in the job's log.
    pub fn log(&self, level: Level, message: &str) {
        ask!(self, log(level, message));
    }

    /// The end of a prompt: what the job is called, what the person wished, and why the last
    /// attempt was sent back. Wishes and feedback are cut where they are long.
    ///
    /// ```
    /// use gantry_sdk::JobInMemory;
    /// let job = JobInMemory::new("Fog").attempt(2).feedback("idea.json is missing").job();
    /// assert_eq!(
    ///     job.briefing(),
    ///     "The job is called \"Fog\".\n\n\
    ///      The last attempt was sent back:\n\nidea.json is missing\n\n\
    ///      Mend all of that, and keep what was right.\n"
    /// );
    /// ```
    pub fn briefing(&self) -> String {
        let mut text = format!("The job is called {:?}.\n", self.name());
        let params = ask!(self, params());
        if !matches!(params.trim(), "" | "{}") {
            let wishes = clip(&params, WISHES_BYTES);
            // Writing to a String can't fail.
            let _ = writeln!(
                text,
                "The person who submitted it wishes, as JSON: {wishes}"
            );
        }
        if let Some(feedback) = self.feedback() {
            let why = match (self.attempt(), self.revision()) {
                (1, 2..) => "A person looked at the result and asks for changes:",
                _ => "The last attempt was sent back:",
            };
            let feedback = clip(feedback.trim(), FEEDBACK_BYTES);
            let end = "Mend all of that, and keep what was right.";
            let _ = write!(text, "\n{why}\n\n{feedback}\n\n{end}\n");
        }
        text
    }
}

fn from_json<T: DeserializeOwned>(what: &str, json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| Error::InvalidJob(format!("{what}: {error}")))
}

fn file_error(path: &str, error: ReadError) -> FileError {
    // An empty path is the workspace itself.
    let path = if path.is_empty() {
        "the workspace"
    } else {
        path
    }
    .to_owned();
    match error {
        ReadError::NotFound => FileError::Missing(path),
        ReadError::NotAFile => FileError::NotAFile(path),
        ReadError::InvalidPath(why) | ReadError::Denied(why) => FileError::Refused { path, why },
        ReadError::TooLarge(limit) => FileError::Refused {
            path,
            why: format!("the host reads at most {limit} bytes"),
        },
    }
}

/// The files of [`Job::files`]. After an error it ends.
pub struct Files<'a> {
    job: &'a Job,
    dir: &'a str,
    page: std::vec::IntoIter<File>,
    after: Option<String>,
    done: bool,
}

impl Iterator for Files<'_> {
    type Item = Result<File, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.as_slice().is_empty() && !self.done {
            match ask!(self.job, files(self.dir, self.after.as_deref(), PAGE)) {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => {
                    self.done = true;
                    return Some(Err(file_error(self.dir, error)));
                }
            }
        }
        let Some(file) = self.page.next() else {
            self.done = true;
            return None;
        };
        self.after = Some(file.path.clone());
        Some(Ok(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobInMemory;

    #[test]
    fn files_come_page_by_page() {
        let mut memory = JobInMemory::new("Fog")
            .file("siteless.txt", "")
            .file("a/b", "xy");
        for name in ["1", "2", "3", "sub/4", "sub/5"] {
            memory = memory.file(&format!("site/{name}"), name);
        }
        let job = memory.job();
        let paths = |dir| -> Vec<String> { job.files(dir).map(|f| f.unwrap().path).collect() };
        assert_eq!(
            paths("site"),
            ["site/1", "site/2", "site/3", "site/sub/4", "site/sub/5"]
        );
        assert_eq!(paths("").len(), 7);
        assert_eq!(paths("site/sub").len(), 2);
    }

    #[test]
    fn a_listing_that_fails_ends() {
        let job = JobInMemory::new("Fog").file("a", "").job();
        let errors = |dir| -> Vec<String> {
            job.files(dir)
                .take(9)
                .map(|f| f.unwrap_err().to_string())
                .collect()
        };
        assert_eq!(errors("nowhere"), ["nowhere is missing"]);
        assert_eq!(errors("a"), ["a isn't a regular file"]);
        assert_eq!(
            errors("../x"),
            ["../x can't be read: `../x` isn't a plain relative path"]
        );
    }

    #[test]
    fn a_file_is_read_whole_up_to_the_limit() {
        // Longer than one read of a job in memory, which says so.
        let job = JobInMemory::new("Fog")
            .file("long", "é".repeat(2_000))
            .job();
        assert_eq!(job.read_text("long", 4_000).unwrap(), "é".repeat(2_000));
        assert_eq!(
            job.read_text("long", 3_999).unwrap_err().to_string(),
            "long is too large: 4000 bytes; at most 3999 are allowed"
        );
    }

    #[test]
    fn what_is_wrong_with_a_file_names_it() {
        let job = JobInMemory::new("Fog")
            .file("latin", *b"caf\xe9")
            .file("broken.json", "{\n\"a\": }")
            .file("dir/x", "")
            .job();
        let text = |path| job.read_text(path, 99).unwrap_err().to_string();
        assert_eq!(text("latin"), "latin isn't UTF-8 text: byte 3 is wrong");
        assert_eq!(text("dir"), "dir isn't a regular file");
        let error = job
            .read_json::<serde_json::Value>("broken.json")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "broken.json isn't the JSON it should be: expected value at line 2 column 6"
        );
        assert!(job.has("dir/x") && !job.has("dir") && !job.has("y"));
    }

    #[test]
    fn a_briefing_tells_wishes_and_whose_feedback_it_is() {
        let job = JobInMemory::new("Fog").params(r#"{"theme":"sea"}"#).job();
        assert_eq!(
            job.briefing(),
            "The job is called \"Fog\".\n\
             The person who submitted it wishes, as JSON: {\"theme\":\"sea\"}\n"
        );
        let job = JobInMemory::new("Fog").revision(2).feedback("bigger").job();
        assert!(job.briefing().contains("asks for changes:\n\nbigger\n"));
        let job = JobInMemory::new("Fog")
            .attempt(2)
            .feedback(&"x".repeat(1 << 20))
            .job();
        assert!(job.briefing().len() < 14 << 10);
    }

    #[test]
    fn a_group_is_there_where_one_was_given() {
        assert_eq!(JobInMemory::new("Fog").job().group(), None);
        let job = JobInMemory::new("Fog").group("jam-7").job();
        assert_eq!(job.group().as_deref(), Some("jam-7"));
    }

    #[test]
    fn what_a_plugin_logs_can_be_looked_at() {
        let job = JobInMemory::new("Fog").job();
        job.log(Level::Warn, "odd");
        assert_eq!(job.logged(), [(Level::Warn, "odd".to_owned())]);
    }
}
