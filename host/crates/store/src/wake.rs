//! Wake-ups: hints that something may be there, never what it is. One may come twice or for
//! nothing; one that is lost costs a poll's time.

use pipeline::JobId;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::broadcast;

/// A hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wake {
    /// A job may be there to be claimed.
    Ready,
    /// The end of this running job is asked for.
    Cancel(JobId),
    /// This job has new events or lines; without a job: of a plugin, or of anything.
    Events(Option<JobId>),
    /// What is published has changed.
    Sites,
    /// Which plugins may answer has changed.
    Plugins,
    /// Which pipelines there are has changed, or what one is.
    Pipelines,
    /// Wake-ups of other hosts don't arrive until further notice: poll.
    Deaf,
}

impl Wake {
    /// As it goes over a channel of the database; [`Wake::Deaf`] never does.
    pub(crate) fn payload(self) -> String {
        match self {
            Self::Ready => "r".to_owned(),
            Self::Cancel(job) => format!("c{job}"),
            Self::Events(Some(job)) => format!("e{job}"),
            Self::Events(None) => "e".to_owned(),
            Self::Sites => "s".to_owned(),
            Self::Plugins => "p".to_owned(),
            Self::Pipelines => "i".to_owned(),
            Self::Deaf => "d".to_owned(),
        }
    }

    /// From [`Wake::payload`].
    pub(crate) fn from_payload(text: &str) -> Option<Self> {
        let kind = text.get(..1)?;
        match (kind, text.get(1..)?) {
            ("r", "") => Some(Self::Ready),
            ("s", "") => Some(Self::Sites),
            ("p", "") => Some(Self::Plugins),
            ("i", "") => Some(Self::Pipelines),
            ("d", "") => Some(Self::Deaf),
            ("e", "") => Some(Self::Events(None)),
            ("e", job) => JobId::from_str(job).ok().map(|job| Self::Events(Some(job))),
            ("c", job) => JobId::from_str(job).ok().map(Self::Cancel),
            _ => None,
        }
    }
}

/// Hints to all that listen in this process.
#[derive(Clone, Debug)]
pub(crate) struct Bell {
    hints: broadcast::Sender<Wake>,
    deaf: Arc<AtomicBool>,
}

impl Bell {
    /// One that nobody listens to yet. Who falls more than 1024 hints behind is told so by tokio.
    pub(crate) fn new() -> Self {
        Self {
            hints: broadcast::channel(1024).0,
            deaf: Arc::default(),
        }
    }

    pub(crate) fn ring(&self, wake: Wake) {
        // Nobody has to listen.
        let _ = self.hints.send(wake);
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Wake> {
        self.hints.subscribe()
    }

    /// Hints of other hosts don't arrive until further notice, and everybody is told.
    pub(crate) fn fall_deaf(&self) {
        self.deaf.store(true, Ordering::Relaxed);
        self.ring(Wake::Deaf);
    }

    /// They arrive again, and everybody is woken, since nobody knows what was missed.
    pub(crate) fn hear_again(&self) {
        if self.deaf.swap(false, Ordering::Relaxed) {
            for wake in [
                Wake::Ready,
                Wake::Events(None),
                Wake::Sites,
                Wake::Plugins,
                Wake::Pipelines,
            ] {
                self.ring(wake);
            }
        }
    }

    pub(crate) fn hears(&self) -> bool {
        !self.deaf.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_come_back() {
        let job = JobId("0198c0de-0000-7000-8000-000000000001".parse().unwrap());
        for wake in [
            Wake::Ready,
            Wake::Cancel(job),
            Wake::Events(Some(job)),
            Wake::Events(None),
            Wake::Sites,
            Wake::Plugins,
            Wake::Pipelines,
            Wake::Deaf,
        ] {
            assert_eq!(Wake::from_payload(&wake.payload()), Some(wake));
        }
        for text in ["", "x", "ä", "r1", "cnot-a-uuid"] {
            assert_eq!(Wake::from_payload(text), None, "{text}");
        }
    }
}
