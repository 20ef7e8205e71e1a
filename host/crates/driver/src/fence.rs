//! A host's own fence: whether its leases still hold, by its own monotonic clock.
//! It never asks the database, which may be what is away.

use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Counted from when the last confirmed heartbeat was *sent*: past one lease time this host
/// starts nothing, publishes nothing and forwards nothing to a provider.
#[derive(Debug)]
pub(crate) struct Fence {
    lease_time: Duration,
    beats: Mutex<Beats>,
    closed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Beats {
    /// When the last heartbeat that got through was sent.
    last: Option<Instant>,
    /// Since when they get through without a gap of a lease time.
    unbroken_since: Option<Instant>,
}

impl Fence {
    pub(crate) fn new(lease_time: Duration) -> Self {
        let closed = watch::channel(true).0;
        Self {
            lease_time,
            beats: Mutex::default(),
            closed,
        }
    }

    /// A heartbeat that was sent at `sent` got through.
    pub(crate) fn confirm(&self, sent: Instant) {
        {
            let mut beats = self
                .beats
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let gap = beats
                .last
                .is_none_or(|last| sent.duration_since(last) > self.lease_time);
            if gap {
                beats.unbroken_since = Some(sent);
            }
            beats.last = Some(sent);
        }
        self.closed
            .send_if_modified(|closed| std::mem::replace(closed, false));
    }

    /// Whether the leases of this host hold at `now`; closes the fence for those who watch it
    /// where they don't.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        let beats = self
            .beats
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let holds = beats
            .last
            .is_some_and(|last| now.duration_since(last) < self.lease_time);
        if !holds {
            self.closed
                .send_if_modified(|closed| !std::mem::replace(closed, true));
        }
        holds
    }

    /// Whether heartbeats got through for one whole lease time: only then may other hosts'
    /// leases be taken, or a database that was away would make everybody look dead.
    pub(crate) fn may_take_over(&self, now: Instant) -> bool {
        let beats = self
            .beats
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let proven = |since: Instant| now.duration_since(since) >= self.lease_time;
        beats.unbroken_since.is_some_and(proven)
    }

    /// True while the fence is closed: what forwards to a provider watches this.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_hold_for_one_lease_time_after_a_heartbeat_was_sent() {
        let fence = Fence::new(Duration::from_secs(30));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!fence.holds(start), "nothing was confirmed yet");
        fence.confirm(start);
        assert!(fence.holds(at(29)) && !*fence.watch().borrow());
        assert!(!fence.holds(at(30)) && *fence.watch().borrow());
        fence.confirm(at(31));
        assert!(fence.holds(at(60)) && !*fence.watch().borrow());
    }

    #[test]
    fn others_are_taken_over_only_after_a_whole_lease_time_of_heartbeats() {
        let fence = Fence::new(Duration::from_secs(30));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for seconds in [0, 10, 20] {
            fence.confirm(at(seconds));
        }
        assert!(!fence.may_take_over(at(29)));
        fence.confirm(at(30));
        assert!(fence.may_take_over(at(30)));
        fence.confirm(at(61));
        assert!(
            !fence.may_take_over(at(61)),
            "the database was away for longer than a lease"
        );
    }
}
