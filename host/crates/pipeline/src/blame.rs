//! Whose fault a plugin's fault is: one rule over the faults of a digest, so that nobody can take a
//! plugin away from the others. It neither reads nor keeps faults.

use crate::{HoldKind, JobId, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// A fault of a plugin in a job's call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFault {
    /// Whose call it was.
    pub job: JobId,
    /// Who submitted that job.
    pub submitter: String,
    /// When.
    pub at: Timestamp,
}

/// When faults count against a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlameRule {
    /// Different jobs, from different submitters, whose calls faulted.
    pub jobs: usize,
    /// All of them within this time.
    pub within: Duration,
}

impl Default for BlameRule {
    fn default() -> Self {
        Self {
            jobs: 3,
            within: Duration::from_secs(600),
        }
    }
}

/// What is known of the digest whose call has just faulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accused {
    /// Its faults, the newest one included; in any order.
    pub faults: Vec<PluginFault>,
    /// How many submitters this installation has seen, of any job.
    pub submitters: usize,
    /// When it was swapped in.
    pub since: Timestamp,
    /// Whether something older could answer in its place.
    pub has_older: bool,
}

/// What follows for a digest: nothing while only few jobs faulted, since those fail alone.
///
/// As many different submitters are wanted as jobs, where the installation has as many: with a
/// single token every job is that token's, and different jobs have to be enough.
pub fn blame(accused: &Accused, rule: &BlameRule, now: Timestamp) -> Option<HoldKind> {
    let begin = now.before(rule.within);
    let recent = || accused.faults.iter().filter(|fault| fault.at >= begin);
    let jobs: BTreeSet<JobId> = recent().map(|fault| fault.job).collect();
    let from: BTreeSet<&str> = recent().map(|fault| fault.submitter.as_str()).collect();
    let jobs_wanted = rule.jobs.max(1);
    let submitters_wanted = jobs_wanted.min(accused.submitters.max(1));
    if jobs.len() < jobs_wanted || from.len() < submitters_wanted {
        return None;
    }
    // One that has long served well isn't mended by what served before it.
    let fresh = accused.since >= begin;
    match fresh && accused.has_older {
        true => Some(HoldKind::RolledBack),
        false => Some(HoldKind::Quarantined),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * MINUTE)
    }

    /// Faults of (job, submitter, minute); judged at minute 100.
    fn judged(faults: &[(u128, &str, i64)], change: impl FnOnce(&mut Accused)) -> Option<HoldKind> {
        let fault = |&(job, from, minute): &(u128, &str, i64)| PluginFault {
            job: JobId(uuid::Uuid::from_u128(job)),
            submitter: from.to_owned(),
            at: at(minute),
        };
        let mut accused = Accused {
            faults: faults.iter().map(fault).collect(),
            submitters: 5,
            since: at(95),
            has_older: true,
        };
        change(&mut accused);
        blame(&accused, &BlameRule::default(), at(100))
    }

    const THREE: [(u128, &str, i64); 3] = [(1, "a", 98), (2, "b", 99), (3, "c", 100)];

    #[test]
    fn a_fresh_swap_that_faults_for_everybody_is_rolled_back() {
        assert_eq!(judged(&THREE, |_| {}), Some(HoldKind::RolledBack));
    }

    #[test]
    fn a_job_or_a_submitter_alone_takes_nothing_away() {
        assert_eq!(judged(&THREE[..2], |_| {}), None);
        let one_job = [(1, "a", 98), (1, "a", 99), (1, "a", 100)];
        assert_eq!(judged(&one_job, |_| {}), None);
        let one_token = [(1, "a", 98), (2, "a", 99), (3, "a", 100), (4, "a", 100)];
        assert_eq!(judged(&one_token, |_| {}), None);
    }

    #[test]
    fn faults_that_lie_far_apart_do_not_add_up() {
        let apart = [(1, "a", 80), (2, "b", 99), (3, "c", 100)];
        assert_eq!(judged(&apart, |_| {}), None);
    }

    #[test]
    fn with_one_token_different_jobs_are_enough() {
        let one_token = [(1, "a", 98), (2, "a", 99), (3, "a", 100)];
        let only = |accused: &mut Accused| accused.submitters = 1;
        assert_eq!(judged(&one_token, only), Some(HoldKind::RolledBack));
    }

    #[test]
    fn without_anything_older_or_after_long_service_it_is_quarantined() {
        let alone = |accused: &mut Accused| accused.has_older = false;
        assert_eq!(judged(&THREE, alone), Some(HoldKind::Quarantined));
        let proven = |accused: &mut Accused| accused.since = at(10);
        assert_eq!(judged(&THREE, proven), Some(HoldKind::Quarantined));
    }
}
