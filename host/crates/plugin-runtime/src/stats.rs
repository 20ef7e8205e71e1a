//! How calls of one plugin went: counts since the host started, times of the last thousand.
//! It doesn't judge whose fault a fault is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Calls whose times are kept.
const KEPT: usize = 1000;

#[derive(Default)]
pub(crate) struct Stats(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    calls: u64,
    faults: u64,
    last_error: Option<String>,
    /// µs; a ring once it is full.
    times: Vec<u64>,
    next: usize,
}

/// A moment's view.
pub(crate) struct Snapshot {
    pub(crate) calls: u64,
    pub(crate) faults: u64,
    pub(crate) last_error: Option<String>,
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: Option<u64>,
}

impl Stats {
    pub(crate) fn count(&self, took: Duration, fault: Option<&str>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.calls += 1;
        if let Some(message) = fault {
            kept.faults += 1;
            kept.last_error = Some(message.to_owned());
        }
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let next = kept.next;
        match kept.times.get_mut(next) {
            Some(oldest) => *oldest = us,
            None => kept.times.push(us),
        }
        kept.next = (next + 1) % KEPT;
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times = kept.times.clone();
        times.sort_unstable();
        // The nearest rank.
        let rank = |percent: usize| {
            let place = (times.len() * percent).div_ceil(100).checked_sub(1)?;
            times.get(place).copied()
        };
        Snapshot {
            calls: kept.calls,
            faults: kept.faults,
            last_error: kept.last_error.clone(),
            p50_us: rank(50),
            p99_us: rank(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_thousand() {
        let stats = Stats::default();
        assert_eq!(stats.snapshot().p50_us, None);
        for us in 1..=3000 {
            stats.count(Duration::from_micros(us), (us == 7).then_some("why"));
        }
        let seen = stats.snapshot();
        assert_eq!((seen.calls, seen.faults), (3000, 1));
        assert_eq!(seen.last_error.as_deref(), Some("why"));
        assert_eq!((seen.p50_us, seen.p99_us), (Some(2500), Some(2990)));
    }
}
