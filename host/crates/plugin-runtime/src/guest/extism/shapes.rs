//! The JSON of Extism plug-ins, as `wit/README.md` has it: what a step is given, what host
//! functions answer, and what a plug-in may answer. Whether an answer will do, `answer` decides.

use crate::ReadError;
use crate::said::{self, Answer, Refusal};
use crate::step::Step;
use crate::view::View;
use crate::wire::{Few, to_base64};
use pipeline::{FileEntry, Outcome};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The host functions.
pub(super) const FUNCTIONS: [&str; 3] = ["job_files", "job_stat", "job_read"];

/// The input of a step.
#[derive(Serialize)]
struct Job<'a> {
    id: String,
    name: &'a str,
    pipeline: &'a str,
    group: Option<&'a str>,
    phase: &'a str,
    attempt: u32,
    revision: u32,
    params: &'a str,
    settings: &'a str,
    feedback: Option<&'a str>,
    now: u64,
    seed: u64,
    outcomes: Vec<Left<'a>>,
}

#[derive(Serialize)]
struct Left<'a> {
    task: &'a str,
    exit_code: Option<i32>,
    failure: Option<&'static str>,
    answer: &'a str,
    missing: &'a [String],
    duration_ms: u64,
    cost_micro_usd: u64,
    input_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    output_tokens: u64,
    extra: Option<&'a str>,
}

/// The job, in JSON; nothing where there is none.
pub(super) fn input<E: From<String>>(view: &View) -> Result<Vec<u8>, E> {
    let Ok(job) = view.job("id") else {
        return Ok(Vec::new());
    };
    let json = json(&Job {
        id: job.job.to_string(),
        name: &job.name,
        pipeline: &job.pipeline,
        group: job.group.as_deref(),
        phase: &job.phase,
        attempt: job.attempt,
        revision: job.revision,
        params: &job.params,
        settings: &job.settings,
        feedback: job.feedback.as_deref(),
        now: job.now_ms,
        seed: job.seed,
        outcomes: job.outcomes.iter().map(left).collect(),
    });
    Ok(json?)
}

fn left((outcome, answer): &(Outcome, String)) -> Left<'_> {
    Left {
        task: &outcome.task,
        exit_code: outcome.exit_code,
        failure: outcome.failure.as_ref().map(|failure| failure.kind.word()),
        answer,
        missing: &outcome.missing,
        duration_ms: outcome.duration_ms,
        cost_micro_usd: outcome.usage.cost_micro_usd,
        input_tokens: outcome.usage.input_tokens,
        cache_read_tokens: outcome.usage.cache_read_tokens,
        cache_write_tokens: outcome.usage.cache_write_tokens,
        output_tokens: outcome.usage.output_tokens,
        extra: None,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilesAsked {
    #[serde(default)]
    dir: String,
    #[serde(default)]
    after: Option<String>,
    limit: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatAsked {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadAsked {
    path: String,
    #[serde(default)]
    offset: u64,
    length: u32,
}

#[derive(Serialize)]
struct File {
    path: String,
    size: u64,
}

impl From<FileEntry> for File {
    fn from(entry: FileEntry) -> Self {
        Self {
            path: entry.path,
            size: entry.size,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Unread {
    NotFound,
    NotAFile,
    InvalidPath(String),
    Denied(String),
    TooLarge(u64),
}

impl From<ReadError> for Unread {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound => Self::NotFound,
            ReadError::NotAFile => Self::NotAFile,
            ReadError::InvalidPath(why) => Self::InvalidPath(why),
            ReadError::Denied(why) => Self::Denied(why),
            ReadError::TooLarge(most) => Self::TooLarge(most),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Either<T, E> {
    Ok(T),
    Error(E),
}

impl<T, E> From<Either<T, E>> for Result<T, E> {
    fn from(said: Either<T, E>) -> Self {
        match said {
            Either::Ok(said) => Ok(said),
            Either::Error(why) => Err(why),
        }
    }
}

/// What a host function answers; an error ends the call.
pub(super) fn host(view: &mut View, function: &str, asked: &[u8]) -> Result<Vec<u8>, String> {
    match function {
        "job_files" => {
            view.job("files").map_err(|broke| broke.to_string())?;
            let FilesAsked { dir, after, limit } = argument(function, asked)?;
            let found = view.files(&dir, after.as_deref(), limit);
            answered(found, |entries| {
                entries.into_iter().map(File::from).collect::<Vec<_>>()
            })
        }
        "job_stat" => {
            view.job("stat").map_err(|broke| broke.to_string())?;
            let StatAsked { path } = argument(function, asked)?;
            answered(view.stat(&path), File::from)
        }
        "job_read" => {
            view.job("read").map_err(|broke| broke.to_string())?;
            let ReadAsked {
                path,
                offset,
                length,
            } = argument(function, asked)?;
            answered(view.read(&path, offset, length), |bytes| to_base64(&bytes))
        }
        other => Err(format!(
            "its process asked for `{other}`, which isn't there"
        )),
    }
}

fn argument<T: DeserializeOwned>(function: &str, asked: &[u8]) -> Result<T, String> {
    serde_json::from_slice(asked)
        .map_err(|error| format!("called `{function}` with other JSON than it takes: {error}"))
}

fn answered<T, J: Serialize>(
    said: Result<Result<T, ReadError>, crate::sandbox::Broke>,
    shape: impl FnOnce(T) -> J,
) -> Result<Vec<u8>, String> {
    json(&match said.map_err(|broke| broke.to_string())? {
        Ok(said) => Either::Ok(shape(said)),
        Err(why) => Either::Error(Unread::from(why)),
    })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|error| format!("can't be handed over: {error}"))
}

fn read<T: DeserializeOwned>(output: &[u8]) -> Result<T, String> {
    serde_json::from_slice(output).map_err(|error| error.to_string())
}

/// What `describe` answers.
pub(super) fn manifest(output: &[u8]) -> Result<said::Manifest, String> {
    read(output)
}

/// What `self_test` answers.
pub(super) fn self_test(output: &[u8]) -> Result<Result<(), String>, String> {
    Ok(read::<Either<(), String>>(output)?.into())
}

/// What a step answers.
pub(super) fn answer(step: Step, output: &[u8]) -> Result<Result<Answer, Refusal>, String> {
    fn said<T: DeserializeOwned>(
        output: &[u8],
        shape: impl FnOnce(T) -> Answer,
    ) -> Result<Result<Answer, Refusal>, String> {
        let said: Result<T, Refusal> = read::<Either<T, Refusal>>(output)?.into();
        Ok(said.map(shape))
    }
    match step {
        Step::Prompt => said(output, |Few(tasks)| Answer::Tasks(tasks)),
        Step::Validate => said(output, Answer::Verdict),
        Step::Deploy => said(output, Answer::Plan),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_the_interfaces_page() {
        let tasks = br#"{"ok":[{"name":"make","prompt":"Make it.",
            "stage":[{"path":"a.txt","content":"aGVsbG8="}],"expects":["b.txt"]}]}"#;
        let Ok(Ok(Answer::Tasks(tasks))) = answer(Step::Prompt, tasks) else {
            panic!("no tasks");
        };
        assert_eq!(tasks[0].stage[0].content, b"hello");
        let verdict = br#"{"ok":{"decision":"revise","message":"Once more."}}"#;
        let said = answer(Step::Validate, verdict).unwrap().unwrap();
        assert!(matches!(said, Answer::Verdict(said) if said.decision == said::Decision::Revise));
        let error = br#"{"error":{"invalid-job":"no genre"}}"#;
        let said = answer(Step::Deploy, error).unwrap().unwrap_err();
        assert!(matches!(said, Refusal::InvalidJob(why) if why == "no genre"));
        assert_eq!(self_test(br#"{"ok":null}"#).unwrap(), Ok(()));
        let said = self_test(br#"{"error":"no"}"#).unwrap();
        assert_eq!(said, Err("no".to_owned()));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (output, told) in [
            (&b""[..], "EOF"),
            (b"[]", "expected"),
            (
                br#"{"ok":[{"name":"a","prompt":"b","shell":1}]}"#,
                "`shell`",
            ),
            (
                br#"{"ok":[{"name":"a","prompt":"b","stage":[{"path":"a","content":"?"}]}]}"#,
                "Invalid",
            ),
            (br#"{"error":{"tired":"no"}}"#, "`tired`"),
        ] {
            let why = answer(Step::Prompt, output).unwrap_err();
            assert!(why.contains(told), "{why}");
        }
    }
}
