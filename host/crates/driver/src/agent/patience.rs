//! When a run that doesn't end by itself is ended: silent for too long, or still there after it
//! said that it is done. Its whole time is the runner's matter; nothing is stopped here.

use crate::ending::Overdue;
use std::time::{Duration, Instant};

/// What an agent has to end in after its result. Claude Code's entrypoint ends its CLI sooner.
pub(super) const LINGER: Duration = Duration::from_secs(20);

/// How long a holder waits for a run, since it has it: silence before it came isn't counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// None: for ever.
    idle: Option<Duration>,
    read: u64,
    /// When it was last heard, and when it was first known to be done.
    heard_at: Instant,
    done_at: Option<Instant>,
}

impl Patience {
    pub(super) fn new(idle: Option<Duration>, now: Instant) -> Self {
        Self {
            idle,
            read: 0,
            heard_at: now,
            done_at: None,
        }
    }

    /// After a look at what it has printed: `read` bytes by now. Where it is to be ended, why. It
    /// says so again after the same time, should that have failed.
    pub(super) fn look(&mut self, read: u64, done: bool, now: Instant) -> Option<Overdue> {
        if read != self.read {
            (self.read, self.heard_at) = (read, now);
        }
        if done {
            let since = *self.done_at.get_or_insert(now);
            let lingers = now - since >= LINGER;
            self.done_at = if lingers { None } else { self.done_at };
            return lingers.then_some(Overdue::Lingers);
        }
        let idle = self.idle.filter(|idle| now - self.heard_at >= *idle)?;
        self.heard_at = now;
        Some(Overdue::Silent(idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    #[test]
    fn who_is_heard_in_time_is_left_alone() {
        let start = Instant::now();
        let mut patience = Patience::new(Some(IDLE), start);
        let mut now = start;
        for read in 1..20 {
            now += IDLE - Duration::from_millis(1);
            assert_eq!(patience.look(read, false, now), None);
        }
        assert_eq!(patience.look(19, false, now + IDLE / 2), None);
        now += IDLE;
        let silent = Some(Overdue::Silent(IDLE));
        assert_eq!(patience.look(19, false, now), silent);
        assert_eq!(
            patience.look(19, false, now + IDLE / 2),
            None,
            "it is ending"
        );
        assert_eq!(patience.look(19, false, now + IDLE), silent, "it didn't");
    }

    #[test]
    fn who_is_done_has_a_moment_to_end() {
        let start = Instant::now();
        let mut patience = Patience::new(Some(LINGER / 2), start);
        assert_eq!(patience.look(9, true, start), None);
        // Nothing more needs to be heard of it.
        let almost = start + LINGER - Duration::from_millis(1);
        assert_eq!(patience.look(9, true, almost), None);
        let lingers = Some(Overdue::Lingers);
        assert_eq!(patience.look(10, true, start + LINGER), lingers);
        assert_eq!(patience.look(10, true, start + LINGER), None);
        assert_eq!(patience.look(10, true, start + LINGER * 2), lingers);
    }

    #[test]
    fn patience_without_an_end_has_none() {
        let start = Instant::now();
        let mut patience = Patience::new(None, start);
        assert_eq!(patience.look(0, false, start + IDLE * 10_000), None);
    }
}
