//! Replay before trust: a file that would replace one that serves is tried on that one's recorded
//! calls. What was accepted before isn't asked again.

use super::Inner;
use crate::guest::Guest;
use crate::{Recording, Served, TrialOutcome};
use pipeline::{PluginReq, RecordedCall};
use std::sync::Arc;

impl Inner {
    /// Why a plugin may not replace the one that serves: the first recorded call on which it does
    /// worse. A store that is away refuses nothing.
    pub(super) async fn does_worse(&self, file: &str, guest: &Arc<Guest>) -> Option<String> {
        if !self.replay_gate || self.was_here(file, guest).await {
            return None;
        }
        let name = &guest.manifest.name;
        let any = PluginReq {
            name: name.clone(),
            version: None,
        };
        let serving = Arc::clone(self.registry.snapshot().serving(&any)?);
        let calls = match self.archive.calls(name).await {
            Ok(calls) => calls,
            Err(error) => {
                tracing::warn!(
                    plugin.name = name,
                    error,
                    "no recorded calls to try a plugin on"
                );
                return None;
            }
        };
        let of_serving = calls
            .iter()
            .filter(|call| call.pin.digest == *serving.digest());
        let tried: Vec<&RecordedCall> = of_serving.collect();
        let candidate = Served::on_trial(Arc::clone(guest), Arc::clone(&self.sandboxes));
        for (index, call) in tried.iter().enumerate() {
            let Some(recording) = Recording::from_bytes(&call.body) else {
                continue;
            };
            if let TrialOutcome::Worse(why) = candidate.replay(&recording).await.outcome {
                return Some(format!(
                    "does worse than {} on recorded call {} of {} (`{}` of job {}, {}): {why}; \
                     mend it, try it with `gantry plugin test`, or set PLUGIN_REPLAY=record",
                    serving.guest.title(),
                    index + 1,
                    tried.len(),
                    call.step,
                    call.job,
                    call.at,
                ));
            }
        }
        None
    }

    /// Whether this file has held these bytes before.
    async fn was_here(&self, file: &str, guest: &Guest) -> bool {
        let past = self.archive.history(file).await.unwrap_or_default();
        past.iter().any(|pin| pin.digest == guest.pin.digest)
    }
}
