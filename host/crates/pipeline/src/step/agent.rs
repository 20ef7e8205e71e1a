//! What follows from the end of an agent's run. Whether its work is good is `verdict`'s matter.

use super::{Turn, object};
use crate::{
    BudgetKind, BudgetWait, EventKind, Failure, FailureKind, Outcome, Session, Stage, TaskStatus,
    WaitReason,
};
use serde_json::json;
use std::time::Duration;

impl Turn<'_> {
    pub(super) fn begin_task(&mut self, index: usize) -> Option<()> {
        self.enter(Stage::Agent { task: index })?;
        let Session { id, resume, from } = self.job.session()?;
        let task = self.attempt()?.tasks.get_mut(index)?;
        task.status = TaskStatus::Running;
        let told = json!({
            "task": task.name, "run": task.run,
            "session": id, "resume": resume, "from": from,
        });
        self.tell(EventKind::AgentStarted, object(told));
        Some(())
    }

    /// A job that was taken again: a task whose last run ended for a passing reason begins anew;
    /// one whose run may still stand there goes on as it is.
    pub(super) fn begin_next_run(&mut self) -> Option<()> {
        let Stage::Agent { task } = self.job.at?.stage else {
            return Some(());
        };
        match self.attempt()?.tasks.get(task)?.status {
            TaskStatus::Pending => self.begin_task(task),
            _ => Some(()),
        }
    }

    pub(super) fn agent_ended(&mut self, outcome: Outcome) -> Option<()> {
        let Stage::Agent { task: index } = self.job.at?.stage else {
            return None;
        };
        self.tell(EventKind::AgentFinished, told(&outcome));
        match outcome.failure.clone() {
            None => self.task_done(index, outcome),
            Some(failure) if outcome.over.is_some() => self.out_of_money(index, outcome, failure),
            Some(failure) if failure.kind.passes() => self.run_again(index, outcome, failure),
            Some(failure) => self.task_failed(index, outcome, failure),
        }
    }

    fn task_done(&mut self, index: usize, outcome: Outcome) -> Option<()> {
        let attempt = self.attempt()?;
        attempt.rested();
        let task = attempt.tasks.get_mut(index)?;
        task.status = TaskStatus::Done;
        task.outcome = Some(outcome);
        if index + 1 < attempt.tasks.len() {
            return self.begin_task(index + 1);
        }
        self.enter(Stage::Validate)
    }

    fn run_again(&mut self, index: usize, outcome: Outcome, failure: Failure) -> Option<()> {
        let name = self.next_run(index, &outcome)?;
        let reason = WaitReason::of(failure.kind)?;
        let asked = outcome
            .retry_after_ms
            .filter(|_| reason == WaitReason::Provider);
        let asked = Duration::from_millis(asked.unwrap_or(0));
        let message = format!("task `{name}`: {}", failure.message);
        self.pause_at_least(asked, reason, failure.kind, message)
    }

    /// The job rests as it is, and its next run goes on with the session of this one. A new day
    /// brings money of a day's budget; all else, a person has to.
    fn out_of_money(&mut self, index: usize, outcome: Outcome, failure: Failure) -> Option<()> {
        let by_itself = self.job.spec.budget_wait == BudgetWait::Day
            && outcome.over.is_some_and(BudgetKind::is_daily);
        self.next_run(index, &outcome)?;
        let until = by_itself.then(|| self.now.next_day());
        let message = crate::job::cut(&failure.message, self.limits);
        self.wait(WaitReason::Budget, message, until)
    }

    /// The same task again, as a run of its own; what this one used stays on the bill.
    fn next_run(&mut self, index: usize, outcome: &Outcome) -> Option<String> {
        let task = self.attempt()?.tasks.get_mut(index)?;
        task.spent = task.spent.plus(outcome.usage);
        task.run += 1;
        // It is told as started when the job is taken again.
        task.status = TaskStatus::Pending;
        Some(task.name.clone())
    }

    fn task_failed(&mut self, index: usize, outcome: Outcome, failure: Failure) -> Option<()> {
        let tasks = &mut self.attempt()?.tasks;
        for later in tasks.iter_mut().skip(index + 1) {
            later.status = TaskStatus::Skipped;
        }
        let task = tasks.get_mut(index)?;
        task.status = TaskStatus::Failed;
        let message = format!("task `{}` failed: {}", task.name, failure.message);
        task.outcome = Some(outcome);
        self.attempt_failed(Failure::new(failure.kind, message))
    }

    /// The attempt is used up: the next one gets the reason, or the job has failed.
    pub(super) fn attempt_failed(&mut self, failure: Failure) -> Option<()> {
        let message = crate::job::cut(&failure.message, self.limits);
        let now = self.now;
        let attempt = self.attempt()?;
        attempt.message = Some(message.clone());
        attempt.finished_at = Some(now);
        let index = self.job.at?.phase;
        let allowed = usize::try_from(self.job.spec.phases.get(index)?.attempts).ok()?;
        let used = self.job.phases.get(index)?.used(self.job.revision);
        let left = allowed.saturating_sub(used);
        // A budget doesn't come back by trying again.
        let left = if failure.kind == FailureKind::Budget {
            0
        } else {
            left
        };
        let told = object(json!({ "message": message, "kind": failure.kind, "left": left }));
        self.tell(EventKind::PhaseRevised, told);
        if left == 0 {
            return self.fail(Failure::new(failure.kind, message));
        }
        self.begin_attempt(index, Some(message))
    }
}

fn told(outcome: &Outcome) -> serde_json::Map<String, serde_json::Value> {
    object(json!({
        "task": outcome.task,
        "exit_code": outcome.exit_code,
        "failure": outcome.failure.as_ref().map(|failure| failure.kind),
        "message": outcome.failure.as_ref().map(|failure| &failure.message),
        "duration_ms": outcome.duration_ms,
    }))
}
