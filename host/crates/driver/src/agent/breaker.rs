//! What hosts tell each other of the provider: asked before a run is begun, told when one is
//! answered and when one ends. When a provider counts as away is `pipeline`'s matter.

use crate::hold::{Done, Holder};
use pipeline::{BreakerGate, FailureKind, Input, JobId, Outcome, RunKey, WaitReason};

impl Holder<'_> {
    /// Whether a run that isn't begun yet must wait: what the job gets instead. Else whether it
    /// is the probe.
    pub(super) async fn held_back(&self, key: &RunKey, begun: bool) -> Result<bool, Done> {
        // What stands under its name has asked already, and is adopted.
        let Some(provider) = self.driver.config.provider.as_deref().filter(|_| !begun) else {
            return Ok(false);
        };
        let rule = &self.driver.config.breaker;
        let asked = self.driver.parts.store.ask_breaker(provider, key.job, rule);
        match asked.await {
            Ok(BreakerGate::Go) => Ok(false),
            Ok(BreakerGate::Probe) => {
                tracing::info!(job.id = %key.job, provider, "this job tries whether the provider is back");
                Ok(true)
            }
            Ok(BreakerGate::Wait { pause, since }) => {
                let message = format!(
                    "{provider} fails every job since {since}: no agent is started until it answers"
                );
                let reason = WaitReason::Provider;
                Err(Done::of(Input::HeldBack {
                    reason,
                    message,
                    pause,
                }))
            }
            Err(error) => {
                // It only spares what would be in vain: not to know is no reason to wait.
                tracing::warn!(job.id = %key.job, %error, "the provider's breaker couldn't be asked");
                Ok(false)
            }
        }
    }

    /// What a run's end says of the provider. It is told before the outcome is committed; told
    /// again after a crash, it is the same.
    pub(super) async fn tell_breaker(&self, job: JobId, outcome: &Outcome, answered: bool) {
        match outcome.failure.as_ref().map(|failure| failure.kind) {
            Some(FailureKind::Provider) => self.provider_failed(job).await,
            None => self.provider_answered().await,
            Some(_) if answered => self.provider_answered().await,
            Some(_) => {}
        }
    }

    async fn provider_failed(&self, job: JobId) {
        let Some(provider) = self.driver.config.provider.as_deref() else {
            return;
        };
        let rule = &self.driver.config.breaker;
        let told = self.driver.parts.store.provider_failed(provider, job, rule);
        match told.await {
            Ok(None) => {}
            Ok(Some(breaker)) => {
                let until = breaker.away().map(|(_, until)| until.to_string());
                tracing::warn!(provider, until, "the provider is away: jobs wait for it");
            }
            Err(error) => tracing::warn!(provider, %error, "a failure of the provider isn't told"),
        }
    }

    pub(super) async fn provider_answered(&self) {
        let Some(provider) = self.driver.config.provider.as_deref() else {
            return;
        };
        match self.driver.parts.store.provider_answered(provider).await {
            Ok(false) => {}
            Ok(true) => tracing::info!(provider, "the provider is back"),
            Err(error) => tracing::warn!(provider, %error, "an answer of the provider isn't told"),
        }
    }
}
