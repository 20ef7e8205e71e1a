//! What follows from `validate` and from `deploy`. It trusts the plugin's decision, not its size.

use super::{Turn, object};
use crate::job::cut;
use crate::{
    Decision, EventKind, Failure, FailureKind, PhaseStatus, PluginPin, Publication, SiteRef,
    Status, Verdict,
};
use serde_json::{Map, json};

impl Turn<'_> {
    pub(super) fn validated(&mut self, plugin: PluginPin, verdict: Option<Verdict>) -> Option<()> {
        self.pin(plugin)?;
        let verdict = match verdict {
            Some(verdict) => verdict,
            None => self.without_validate()?,
        };
        let message = cut(&verdict.message, self.limits);
        let now = self.now;
        let attempt = self.attempt()?;
        attempt.verdict = Some(verdict.decision);
        attempt.fresh_session = verdict.fresh_session;
        attempt.message = Some(message.clone()).filter(|message| !message.is_empty());
        match verdict.decision {
            Decision::Accept => {
                attempt.finished_at = Some(now);
                let index = self.job.at?.phase;
                self.job.phases.get_mut(index)?.status = PhaseStatus::Accepted;
                let told = json!({ "message": message, "score": verdict.score });
                self.tell(EventKind::PhaseAccepted, object(told));
                self.begin_phase(index + 1)
            }
            Decision::Revise => {
                self.attempt_failed(Failure::new(FailureKind::NotAccepted, message))
            }
            Decision::Reject => {
                attempt.finished_at = Some(now);
                let told = json!({ "message": message, "score": verdict.score });
                self.tell(EventKind::PhaseRejected, object(told));
                self.fail(Failure::new(FailureKind::Rejected, message))
            }
        }
    }

    /// A plugin that exports no `validate` accepts what ended well and left what it had to.
    fn without_validate(&mut self) -> Option<Verdict> {
        let tasks = &self.attempt()?.tasks;
        let left = tasks.iter().filter_map(|task| task.outcome.as_ref());
        let missing: Vec<&str> = left
            .flat_map(|left| &left.missing)
            .map(String::as_str)
            .collect();
        let (decision, message) = match missing.is_empty() {
            true => (Decision::Accept, String::new()),
            false => (
                Decision::Revise,
                format!("these files are missing: {}", missing.join(", ")),
            ),
        };
        Some(Verdict {
            decision,
            message,
            score: None,
            fresh_session: false,
        })
    }

    pub(super) fn deployed(&mut self, plugin: PluginPin, sites: Vec<Publication>) -> Option<()> {
        self.pin(plugin)?;
        self.job.sites = sites
            .iter()
            .map(|site| SiteRef {
                slug: site.slug.clone(),
                title: site.plan.title.clone(),
            })
            .collect();
        if !sites.is_empty() {
            let slugs: Vec<&str> = sites.iter().map(|site| site.slug.as_str()).collect();
            self.tell(EventKind::JobDeployed, object(json!({ "slugs": slugs })));
        }
        self.publish = sites;
        self.succeed()
    }

    pub(super) fn succeed(&mut self) -> Option<()> {
        self.job.status = Status::Succeeded;
        self.job.error = None;
        self.job.finished_at = Some(self.now);
        self.job.at = None;
        self.tell(EventKind::JobSucceeded, Map::new());
        Some(())
    }
}
