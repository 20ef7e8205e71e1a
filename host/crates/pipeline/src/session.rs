//! The conversation of an agent's CLI, over the runs and the attempts of a task: which one a run
//! works in, and what it goes on with. Where a session is kept is the worker's matter.

use crate::{Attempt, FailureKind, Job, PhaseSpec, RunKey, Task, TaskStatus};
use uuid::Uuid;

/// The session of one run: `SESSION_ID`, `RESUME` and `SESSION_FROM` of the worker's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Derived from the run that began it, so that a crash can't lose it. A UUID of version 8.
    pub id: Uuid,
    /// Whether an earlier run of the attempt began it, and this one goes on.
    pub resume: bool,
    /// The session of an earlier attempt that this one is a continuation of. The prompt of the
    /// attempt is said in it as the next message.
    pub from: Option<Uuid>,
}

impl Job {
    /// The session of the run that the cursor is in. Every run of a task within its attempt has
    /// one, which the first of them began, out of that of an earlier attempt where there is one.
    /// Where the phase doesn't allow that, each run has its own.
    pub fn session(&self) -> Option<Session> {
        let run = self.run_key()?;
        let (spec, phase) = self.phase()?;
        if !spec.resume {
            let id = run.begins_session();
            return Some(Session {
                id,
                resume: false,
                from: None,
            });
        }
        let resume = run.run != RunKey::FIRST;
        let run = RunKey {
            run: RunKey::FIRST,
            ..run
        };
        let from = earlier(spec, &phase.attempts, &run.task).map(|attempt| {
            let earlier = RunKey {
                revision: attempt.revision,
                attempt: attempt.number,
                ..run.clone()
            };
            earlier.begins_session()
        });
        Some(Session {
            id: run.begins_session(),
            resume,
            from,
        })
    }
}

/// The attempt whose session of this task the last one goes on with: the latest before it in which
/// an agent worked on the task, unless it is to be forgotten.
fn earlier<'a>(spec: &PhaseSpec, attempts: &'a [Attempt], task: &str) -> Option<&'a Attempt> {
    let (mut later, before) = attempts.split_last()?;
    for attempt in before.iter().rev() {
        // What was said of files that were put back isn't so any more.
        let put_back = spec.reset && attempt.revision == later.revision;
        if put_back || attempt.fresh_session {
            return None;
        }
        if let Some(task) = attempt.tasks.iter().find(|it| it.name == task)
            && task.has_begun()
        {
            return task.may_be_remembered().then_some(attempt);
        }
        later = attempt;
    }
    None
}

impl Task {
    /// Whether an agent was started for it, or was about to be.
    fn has_begun(&self) -> bool {
        let waits = matches!(self.status, TaskStatus::Pending | TaskStatus::Skipped);
        !waits || self.run != RunKey::FIRST
    }

    /// Whether its conversation does no harm: the agent ended well, or from outside. One that failed
    /// may have failed for what was said, and would again in each attempt to come.
    fn may_be_remembered(&self) -> bool {
        let failure = self.outcome.as_ref().and_then(|it| it.failure.as_ref());
        failure.is_none_or(|it| matches!(it.kind, FailureKind::AgentTimeout | FailureKind::Budget))
    }
}

#[cfg(test)]
mod tests;
