//! What a run came to: its ending, its usage, its last words and what it left out. How an ending
//! counts is `ending`'s matter; whether the work is any good, the plugin's.

use super::disk::Disk;
use super::{Gate, Under};
use crate::ending::failure;
use crate::hold::{Done, Holder};
use crate::output::{From, Output, Told, cut};
use crate::run_folder::RunFolder;
use crate::steps::blocking;
use gateway::AccountsError;
use pipeline::{
    Digest, DiskPast, Failure, FailureKind, Input, Level, Outcome, PlannedTask, Redactor, RunKey,
    Usage, usd,
};
use runner::{Ended, How, RunnerError};
use serde_json::Value;
use store::{Appended, Piece};
use workspace::{Folder, RelativePath};

/// How often an engine that is away is asked for an agent's last words.
const ASKED_FOR_WORDS: u32 = 20;
/// Of a run that went on without one of its processes.
const STARVED: &str =
    "a process of the agent's was killed for want of memory: raise `memory` of the phase";
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
            disk,
            past,
            overdue,
            ..
        } = under;
        let secrets = self.secrets(&folder);
        let output = listener.into_output();
        let (passed, usage) = match gate {
            Some(gate) => self.bill(&key, gate).await?,
            // Nothing but the agent's own word for it.
            None => (gateway::Usage::default(), said(&output)),
        };
        let retry_after_ms = passed
            .retry_after
            .map(|asked| u64::try_from(asked.as_millis()).unwrap_or(u64::MAX));
        let answered = passed.answered > 0;
        let printed = self.printed(&key, &secrets).await?;
        let reason = reason(&folder, &secrets)
            .await
            .or_else(|| printed.lines().last().map(str::to_owned));
        let mut failure = failure(ended, &output, reason.as_deref(), overdue);
        // The agent may not say why its client gave up.
        if passed.broken_off
            && let Some(failure) = &mut failure
            && failure.kind == FailureKind::AgentFailed
        {
            let message = std::mem::take(&mut failure.message);
            *failure = Failure::new(
                FailureKind::Provider,
                format!("the provider's answer broke off: {message}"),
            );
        }
        // Whoever stopped it may have died before this is told: what is left says it again.
        let past = match past {
            Some(past) => Some(past),
            None => self.left_too_much(&key, disk).await,
        };
        if let Some(past) = past {
            failure = Some(Failure::new(FailureKind::OutOfDisk, past.to_string()));
        }
        let over = passed.over.filter(|_| failure.is_some());
        if let Some(over) = &over {
            failure = Some(without_money(over));
        }
        let over = over.filter(|over| !over.has_more);
        let from = From::of(&key, secrets);
        if failure.is_some() {
            self.log_words(&from, &key, "stderr", &printed).await?;
        }
        if ended.starved && ended.how != How::OutOfMemory {
            self.log_words(&from, &key, "memory", STARVED).await?;
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
            over: over.map(|over| over.budget.kind),
        };
        self.tell_breaker(key.job, &outcome, answered).await;
        let input = Box::new(Input::AgentEnded(outcome));
        Some(Done {
            blobs: blobs.collect(),
            input,
            ended: Some(key),
        })
    }

    /// Closes the run's way to the model, and what all of the run came to, other holders' share
    /// included. None where this holder can't.
    async fn bill(&self, key: &RunKey, mut gate: Gate) -> Option<(gateway::Usage, Usage)> {
        let money = &self.driver.parts.money;
        let passed = loop {
            match gate.run.close().await {
                Ok(passed) => break passed,
                Err(AccountsError::Lost) => return None,
                Err(AccountsError::Away(error)) => {
                    tracing::warn!(job.id = %key.job, error, "what a run spent can't be booked");
                    self.pause().await?;
                }
            }
        };
        self.tell_near(Some(&gate)).await;
        loop {
            let name = key.name(&self.driver.config.installation);
            match money.spent_by(&name).await {
                Ok(spent) => return Some((passed, spent.usage)),
                Err(error) => {
                    tracing::warn!(job.id = %key.job, %error, "what a run spent can't be read");
                    self.pause().await?;
                }
            }
        }
    }

    /// What is too much of what a run has left on the disk.
    async fn left_too_much(&self, key: &RunKey, disk: Disk) -> Option<DiskPast> {
        match disk.left().await {
            Ok(past) => past,
            Err(error) => {
                tracing::warn!(job.id = %key.job, %error, "what an agent has left can't be looked at");
                None
            }
        }
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

    /// The end of what the agent wrote for people. None where this holder can't wait for it: an
    /// engine that restarts has it in a moment, and it may be all that says what went wrong.
    async fn printed(&self, key: &RunKey, secrets: &Redactor) -> Option<String> {
        let name = key.name(&self.driver.config.installation);
        let most = PRINTED + secrets.longest();
        for _ in 0..ASKED_FOR_WORDS {
            match self.driver.parts.runner.tail(&name, most).await {
                Ok(printed) => return Some(last_words(&printed, most, secrets)),
                Err(error @ RunnerError::Engine { .. }) => {
                    tracing::debug!(run.name = name, %error, "no standard error to read yet");
                    self.pause().await?;
                }
                Err(error) => {
                    tracing::debug!(run.name = name, %error, "no standard error to read");
                    break;
                }
            }
        }
        Some(String::new())
    }

    /// Tells last words of a run, once as its output is. None where this holder can't.
    async fn log_words(&self, from: &From, key: &RunKey, whose: &str, words: &str) -> Option<()> {
        let mut told = Told::default();
        told.log(from, Level::Warn, words);
        let name = key.name(&self.driver.config.installation);
        let piece = Piece {
            run: format!("{name} {whose}"),
            from: 0,
            to: words.len() as u64,
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
        over: None,
    };
    Done {
        ended: Some(key.clone()),
        ..Done::of(Input::AgentEnded(outcome))
    }
}

/// What an agent says that it used, which no gateway has seen.
fn said(output: &Output) -> Usage {
    let cost_micro_usd = output.result.as_ref().map(|result| result.cost_micro_usd);
    Usage {
        cost_micro_usd: cost_micro_usd.unwrap_or(0),
        ..Usage::default()
    }
}

/// A run that met a budget: its job waits for money, or goes on where there is more by now.
fn without_money(over: &gateway::Over) -> Failure {
    let gateway::Budget {
        of,
        limit_micro_usd,
        spent_micro_usd,
        ..
    } = &over.budget;
    let (spent, limit) = (usd(*spent_micro_usd), usd(*limit_micro_usd));
    let (kind, so) = match over.has_more {
        true => (FailureKind::Interrupted, "it has more since"),
        false => (
            FailureKind::Budget,
            "and the next request could cost more than what is left; give it more to go on",
        ),
    };
    let said = format!("the budget of {of} is used up: {spent} of {limit} dollars are spent, {so}");
    Failure::new(kind, said)
}

/// What the entrypoint gave as the reason of a failure; the agent could have written it.
async fn reason(folder: &RunFolder, secrets: &Redactor) -> Option<String> {
    let out = folder.out();
    let status =
        blocking(move || Folder::open(&out)?.read(&RelativePath::new("status.json")?, 0, 16 << 10));
    let status: Value = serde_json::from_slice(&status.await.ok()?).ok()?;
    status
        .get("reason")
        .and_then(Value::as_str)
        .map(|reason| cut(&secrets.text(reason), 1 << 10))
}

/// What was printed last, without secrets: of `most` bytes the first line may have lost its
/// beginning, and with it what tells a secret.
fn last_words(printed: &str, most: usize, secrets: &Redactor) -> String {
    let clean = secrets.text(printed);
    if printed.len() < most || secrets.longest() == 0 {
        return clean;
    }
    match clean.split_once('\n') {
        Some((_, rest)) if !rest.is_empty() => rest.to_owned(),
        _ => {
            let from = clean.ceil_char_boundary(secrets.longest());
            clean.get(from..).unwrap_or_default().to_owned()
        }
    }
}

fn duration_ms(ended: &Ended) -> u64 {
    let took = ended.finished_at.since(ended.started_at).as_millis();
    u64::try_from(took).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_say_neither_a_secret_nor_the_end_of_one() {
        let secrets = Redactor::new(["0123456789abcdef"]);
        let most = PRINTED + secrets.longest();
        let said = |printed: &str| last_words(printed, most, &secrets);
        assert_eq!(said("it is 0123456789abcdef\n"), "it is [redacted]\n");
        let cut = |rest: &str| {
            let words = format!("23456789abcdef, it was{rest}");
            format!("{words}{}", "x".repeat(most - words.len()))
        };
        assert!(said(&cut("\nnext")).starts_with("nextx"));
        let one_line = said(&cut(""));
        assert!(!one_line.contains("abcdef") && one_line.len() >= PRINTED - 4);
        let free = Redactor::default();
        assert_eq!(last_words("x\ny", 3, &free), "x\ny");
    }
}
