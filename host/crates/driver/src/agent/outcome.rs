//! What a run came to: its ending, its usage, its last words and what it left out. How an ending
//! counts is `ending`'s matter; whether the work is any good, the plugin's.

use super::Under;
use crate::ending::failure;
use crate::hold::{Done, Holder};
use crate::output::{From, Told, cut};
use crate::run_folder::RunFolder;
use crate::steps::blocking;
use pipeline::{Digest, Failure, FailureKind, Input, Level, Outcome, PlannedTask, RunKey, Usage};
use runner::Ended;
use serde_json::Value;
use store::{Appended, Piece};
use workspace::{Folder, RelativePath};

/// Bytes of an agent's standard error that are logged where it failed.
const PRINTED: usize = 4 << 10;

impl Holder<'_> {
    /// The outcome of a run that ended.
    /// None where its last words can't be told: the next holder does.
    pub(super) async fn ended(&self, key: RunKey, under: Under, ended: &Ended) -> Option<Done> {
        let Under {
            listener,
            gate,
            task,
            folder,
            ..
        } = under;
        let mut usage = Usage::default();
        let mut retry_after_ms = None;
        let mut answered = false;
        if let Some(gate) = gate {
            let passed = gate.close().await;
            retry_after_ms = passed
                .retry_after
                .map(|asked| u64::try_from(asked.as_millis()).unwrap_or(u64::MAX));
            answered = passed.answered > 0;
            let tokens = passed.tokens();
            usage.input_tokens = tokens.input;
            usage.output_tokens = tokens.output;
            usage.cache_read_tokens = tokens.cache_read;
            usage.cache_write_tokens = tokens.cache_creation;
        }
        let output = listener.into_output();
        usage.cost_micro_usd = output
            .result
            .as_ref()
            .map_or(0, |result| result.cost_micro_usd);
        let printed = self.printed(&key).await;
        let reason = reason(&folder)
            .await
            .or_else(|| printed.lines().last().map(str::to_owned));
        let failure = failure(ended, &output, reason.as_deref());
        if failure.is_some() {
            self.log_printed(&key, &printed).await?;
        }
        let missing = self.missing(&task).await;
        let answer = cut(&output.answer, self.driver.config.limits.answer_bytes);
        let digest = (!answer.is_empty()).then(|| Digest::of(answer.as_bytes()));
        let blobs = digest
            .iter()
            .map(|digest| (digest.clone(), answer.clone().into_bytes()));
        let outcome = Outcome {
            task: key.task.clone(),
            exit_code: ended.exit_code,
            failure,
            answer: digest.clone(),
            missing,
            duration_ms: duration_ms(ended),
            usage,
            retry_after_ms,
        };
        self.tell_breaker(key.job, &outcome, answered).await;
        let input = Box::new(Input::AgentEnded(outcome));
        Some(Done {
            blobs: blobs.collect(),
            input,
            ended: Some(key),
        })
    }

    /// Of the files that the task expected, those that aren't there.
    async fn missing(&self, task: &PlannedTask) -> Vec<String> {
        let (workspace, expects) = (self.workspace(), task.expects.clone());
        let looked = blocking(move || {
            let files = workspace.files()?;
            let there = |path: &String| {
                RelativePath::new(path)
                    .and_then(|path| files.stat(&path))
                    .is_ok()
            };
            Ok(expects.into_iter().filter(|path| !there(path)).collect())
        });
        looked.await.unwrap_or_else(|_| task.expects.clone())
    }

    /// The end of what the agent wrote for people.
    async fn printed(&self, key: &RunKey) -> String {
        let name = key.name(&self.driver.config.installation);
        self.driver
            .parts
            .runner
            .tail(&name, PRINTED)
            .await
            .unwrap_or_else(|error| {
                tracing::debug!(run.name = name, %error, "no standard error to read");
                String::new()
            })
    }

    /// Tells an agent's last words, once as its output is. None where this holder can't.
    async fn log_printed(&self, key: &RunKey, printed: &str) -> Option<()> {
        let from = From::of(key);
        let mut told = Told::default();
        told.log(&from, Level::Warn, printed);
        let name = key.name(&self.driver.config.installation);
        let piece = Piece {
            run: format!("{name} stderr"),
            from: 0,
            to: printed.len() as u64,
        };
        let store = &self.driver.parts.store;
        loop {
            match store
                .append_output(&self.hold, &piece, &[], &told.logs)
                .await
            {
                Ok(Appended::Done | Appended::Stands { .. }) => return Some(()),
                Ok(Appended::LeaseLost) => return None,
                Err(error) => {
                    tracing::warn!(run.name = name, %error, "last words aren't logged");
                    if !error.passes() {
                        return Some(());
                    }
                    self.pause().await?;
                }
            }
        }
    }
}

/// A run that left no outcome of its own. Its name was started once: the next run has another.
pub(super) fn used_up(key: &RunKey, kind: FailureKind, message: String) -> Done {
    let outcome = Outcome {
        task: key.task.clone(),
        exit_code: None,
        failure: Some(Failure::new(kind, message)),
        answer: None,
        missing: Vec::new(),
        duration_ms: 0,
        usage: Usage::default(),
        retry_after_ms: None,
    };
    Done {
        ended: Some(key.clone()),
        ..Done::of(Input::AgentEnded(outcome))
    }
}

/// What the entrypoint gave as the reason of a failure; the agent could have written it.
async fn reason(folder: &RunFolder) -> Option<String> {
    let out = folder.out();
    let status =
        blocking(move || Folder::open(&out)?.read(&RelativePath::new("status.json")?, 0, 16 << 10));
    let status: Value = serde_json::from_slice(&status.await.ok()?).ok()?;
    status
        .get("reason")
        .and_then(Value::as_str)
        .map(|reason| cut(reason, 1 << 10))
}

fn duration_ms(ended: &Ended) -> u64 {
    let took = ended.finished_at.since(ended.started_at).as_millis();
    u64::try_from(took).unwrap_or(u64::MAX)
}
