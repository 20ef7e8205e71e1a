//! What becomes of a plugin's call beside its answer: a recording of it, and where it faulted, the
//! question whose fault that is. The store judges; a host keeps to it at once.

use crate::hold::{Done, Holder};
use crate::now;
use pipeline::{HoldKind, Input, Job, PluginHold, RecordedCall, StepError};
use plugin_runtime::{Recording, Served};
use store::Faulted;

impl Holder<'_> {
    /// A step gave no answer. A fault that makes the plugin be taken back isn't the job's: it
    /// waits, and what answers then answers it.
    pub(crate) async fn failed(
        &self,
        job: &Job,
        served: &Served,
        step: &str,
        error: StepError,
    ) -> Done {
        let error = match error {
            StepError::Fault(message) => self.judged(job, served, step, message).await,
            other => other,
        };
        Done::of(Input::StepFailed {
            plugin: Some(served.pin()),
            error,
        })
    }

    async fn judged(&self, job: &Job, served: &Served, step: &str, message: String) -> StepError {
        let fault = Faulted {
            pin: served.pin(),
            job: job.id,
            step: step.to_owned(),
            message: message.clone(),
        };
        let parts = &self.driver.parts;
        let rule = &self.driver.config.blame;
        match parts.plugin_store.faulted(&fault, rule).await {
            Ok(Some(hold)) => {
                tracing::warn!(
                    plugin.name = hold.pin.name,
                    plugin.version = hold.pin.version,
                    hold = hold.kind.word(),
                    reason = hold.message,
                    "a plugin may not answer any more"
                );
                parts.plugins.take_holds().await;
                held(&hold)
            }
            Ok(None) => StepError::Fault(message),
            Err(error) => {
                tracing::warn!(job.id = %job.id, %error, "a plugin's fault couldn't be noted");
                StepError::Fault(message)
            }
        }
    }

    /// Keeps a recorded call; a job doesn't wait for that.
    pub(crate) fn record(&self, job: &Job, served: &Served, recording: Option<Box<Recording>>) {
        let Some(recording) = recording else { return };
        let (pin, id, at) = (served.pin(), job.id, now());
        let store = self.driver.parts.plugin_store.clone();
        tokio::spawn(async move {
            let call = RecordedCall {
                pin,
                step: recording.step.word().to_owned(),
                job: id,
                at,
                body: recording.to_bytes(),
            };
            if let Err(error) = store.record(&call).await {
                tracing::warn!(job.id = %id, %error, "a plugin's call couldn't be recorded");
            }
        });
    }
}

fn held(hold: &PluginHold) -> StepError {
    let (name, version) = (&hold.pin.name, &hold.pin.version);
    let message = format!(
        "plugin `{name}` {version} was {}: {}",
        match hold.kind {
            HoldKind::RolledBack => "rolled back",
            HoldKind::Quarantined => "quarantined",
        },
        hold.message
    );
    match hold.kind {
        HoldKind::RolledBack => StepError::Unavailable(message),
        HoldKind::Quarantined => StepError::Held(message),
    }
}
