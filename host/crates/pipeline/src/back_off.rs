//! How long a job rests after a failure that passes: a table by kind, and the same pause for the
//! same job and number, so that `step` stays pure. It doesn't say which failures pass.

use crate::{Digest, JobId, WaitReason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The first pause; each later one in a row is twice as long.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
    /// Pauses in a row; the failure after the last one is the job's.
    pub most: u32,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackOffs {
    /// The provider is overloaded or away: about an hour and a half in all.
    pub provider: BackOff,
    /// The engine is away: most often it restarts, or an operator has to mend it.
    pub engine: BackOff,
    /// A plugin said `unavailable`, or none of the name serves.
    pub plugin: BackOff,
    /// The run was cut off: nothing says that the next one will be.
    pub interrupted: BackOff,
    /// A provider that names a time is given it, up to this.
    pub longest_asked: Duration,
}

impl Default for BackOffs {
    fn default() -> Self {
        let row = |first, longest, most| BackOff {
            first: Duration::from_secs(first),
            longest: Duration::from_secs(longest),
            most,
        };
        Self {
            provider: row(2, 900, 14),
            engine: row(2, 300, 14),
            plugin: row(2, 600, 12),
            interrupted: row(1, 60, 12),
            longest_asked: Duration::from_secs(3_600),
        }
    }
}

impl BackOffs {
    /// The `nth` pause in a row (from 1) of this kind; none where that is too often.
    ///
    /// It is between half and the whole of what the row says: jobs that failed together come
    /// back one after the other, and each always comes back when it did before.
    pub fn pause(&self, reason: WaitReason, job: JobId, nth: u32) -> Option<Duration> {
        let row = self.row(reason);
        if nth > row.most {
            return None;
        }
        let doublings = nth.saturating_sub(1).min(20);
        let whole = row.first.saturating_mul(1 << doublings).min(row.longest);
        Some(whole.mul_f64(0.5 + share(job, nth) / 2.0))
    }

    fn row(&self, reason: WaitReason) -> BackOff {
        match reason {
            WaitReason::Provider => self.provider,
            WaitReason::Engine => self.engine,
            WaitReason::Interrupted => self.interrupted,
            // The others aren't failures that pass: they have no row of their own.
            _ => self.plugin,
        }
    }
}

/// From 0 to 1, as good as by chance over jobs and numbers, and always the same for both.
pub(crate) fn share(job: JobId, nth: u32) -> f64 {
    let digest = Digest::of(format!("{job} {nth}").as_bytes());
    let bits = digest.0.get(..8).unwrap_or_default();
    f64::from(u32::from_str_radix(bits, 16).unwrap_or(0)) / f64::from(u32::MAX)
}

/// Pauses in a row, by what was waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses(BTreeMap<WaitReason, u32>);

impl Pauses {
    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more; how many of this kind.
    pub fn add(&mut self, reason: WaitReason) -> u32 {
        let count = self.0.entry(reason).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: u128) -> JobId {
        JobId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let table = BackOffs::default();
        for reason in [
            WaitReason::Provider,
            WaitReason::Engine,
            WaitReason::Plugin,
            WaitReason::Interrupted,
        ] {
            let row = table.row(reason);
            let mut whole = row.first;
            for nth in 1..=row.most {
                let pause = table.pause(reason, job(7), nth).unwrap();
                assert!(
                    whole / 2 <= pause && pause <= whole,
                    "{reason:?} {nth}: {pause:?}"
                );
                whole = (whole * 2).min(row.longest);
            }
            assert_eq!(whole, row.longest, "{reason:?} gets to its longest");
            assert_eq!(table.pause(reason, job(7), row.most + 1), None);
        }
    }

    #[test]
    fn jobs_that_failed_together_come_back_one_after_the_other() {
        let table = BackOffs::default();
        let pause = |n| table.pause(WaitReason::Provider, job(n), 5).unwrap();
        let mut pauses: Vec<u128> = (0..1_000).map(|n| pause(n).as_millis()).collect();
        // 16 s to 32 s: each second of it gets its part.
        for second in 16..32 {
            let here = pauses.iter().filter(|ms| **ms / 1_000 == second).count();
            assert!((30..=100).contains(&here), "{second}: {here}");
        }
        pauses.sort_unstable();
        pauses.dedup();
        assert!(pauses.len() > 900, "{}", pauses.len());
        assert_eq!(pause(3), pause(3), "the same after a crash");
    }
}
