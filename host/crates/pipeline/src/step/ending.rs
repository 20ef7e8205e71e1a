//! How a job ends early, and how a person sets it going again. Nothing of its work is deleted.

use super::{Turn, object};
use crate::job::cut;
use crate::{
    Cursor, EventKind, Failure, FailureKind, Pauses, PhaseStatus, Stage, Status, TaskStatus,
};
use serde_json::{Map, Value, json};

impl Turn<'_> {
    /// Ends the job. The cursor stays where it was, for a retry to go on from.
    pub(super) fn fail(&mut self, failure: Failure) -> Option<()> {
        let failure = Failure::new(failure.kind, cut(&failure.message, self.limits));
        self.end(Status::Failed, &failure.message);
        let told = object(json!({ "kind": failure.kind, "message": failure.message }));
        self.tell(EventKind::JobFailed, told);
        self.job.error = Some(failure);
        Some(())
    }

    pub(super) fn cancel(&mut self) -> Option<()> {
        let message = "cancelled on request";
        self.end(Status::Cancelled, message);
        self.tell(EventKind::JobCancelled, Map::new());
        self.job.error = Some(Failure::new(FailureKind::Cancelled, message));
        Some(())
    }

    fn end(&mut self, status: Status, message: &str) {
        self.job.status = status;
        self.job.wait = None;
        self.job.finished_at = Some(self.now);
        let Some(at) = self.job.at else { return };
        let Some(phase) = self.job.phases.get_mut(at.phase) else {
            return;
        };
        phase.status = PhaseStatus::Failed;
        let Some(attempt) = phase.attempts.last_mut() else {
            return;
        };
        attempt.finished_at.get_or_insert(self.now);
        attempt.message.get_or_insert_with(|| message.to_owned());
        for task in &mut attempt.tasks {
            task.status = match task.status {
                TaskStatus::Running => TaskStatus::Failed,
                TaskStatus::Pending => TaskStatus::Skipped,
                ended => ended,
            };
        }
    }

    /// Back into the queue, as it is.
    pub(super) fn resume(&mut self) -> Option<()> {
        self.job.wait = None;
        self.set_going();
        Some(())
    }

    /// On from the failed phase, with a full number of attempts and the plugin that serves now.
    pub(super) fn retry(
        &mut self,
        feedback: Option<String>,
        params: Map<String, Value>,
    ) -> Option<()> {
        let feedback = feedback.map(|text| cut(&text, self.limits));
        self.job.params.extend(params);
        let last = self.job.error.take().map(|failure| failure.message);
        self.set_going();
        self.job.pauses = 0;
        self.job.paused = Pauses::default();
        self.job.rescues = 0;
        let Some(Cursor { phase: index, .. }) = self.job.at else {
            // No attempt is there to be told: the first one will be.
            self.job.feedback = feedback.or(self.job.feedback.take());
            return Some(());
        };
        match self.job.phases.get_mut(index) {
            None => {
                self.job.deploy_plugin = None;
                self.job.feedback = feedback.or(self.job.feedback.take());
                self.enter(Stage::Deploy)
            }
            Some(phase) => {
                phase.status = PhaseStatus::Running;
                phase.plugin = None;
                phase.forgiven = phase.attempts.len();
                self.begin_attempt(index, feedback.or(last))
            }
        }
    }

    /// A new revision: every phase is asked again and told what the person wants; a plugin that
    /// has nothing to change answers without a task.
    pub(super) fn feedback(&mut self, text: String) -> Option<()> {
        self.set_going();
        self.job.revision = self.job.revision.checked_add(1)?;
        self.job.feedback = Some(cut(&text, self.limits));
        self.job.error = None;
        self.job.at = None;
        self.job.deploy_plugin = None;
        self.job.pauses = 0;
        self.job.paused = Pauses::default();
        self.job.rescues = 0;
        for phase in &mut self.job.phases {
            phase.status = PhaseStatus::Pending;
            phase.plugin = None;
        }
        Some(())
    }

    fn set_going(&mut self) {
        self.job.status = Status::Queued;
        self.job.finished_at = None;
        self.job.cancel_requested = false;
        self.tell(EventKind::JobQueued, Map::new());
    }
}
