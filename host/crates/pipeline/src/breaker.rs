//! One breaker a provider: an outage that every job meets is one fact, not a failure of each. It
//! is a rule over a state that a store keeps; it neither asks a provider nor looks at a clock.

use crate::back_off::share;
use crate::{JobId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRule {
    /// Different jobs that the provider failed in a row.
    pub jobs: usize,
    /// How long it is open the first time; each later time in a row is twice as long.
    pub first: Duration,
    /// It is never open for longer.
    pub longest: Duration,
    /// How long a probe may be without an answer before another job may try.
    pub probe: Duration,
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            jobs: 5,
            first: Duration::from_secs(30),
            longest: Duration::from_secs(900),
            probe: Duration::from_secs(120),
        }
    }
}

impl BreakerRule {
    /// How long it is open the `nth` time in a row (from 1).
    fn pause(&self, nth: u32) -> Duration {
        let doublings = nth.saturating_sub(1).min(20);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

/// What is known of a provider, over all hosts. As it is made it is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breaker {
    /// Different jobs that it failed since it last answered well; no more than open it.
    failed: Vec<JobId>,
    /// When the first of them failed.
    since: Option<Timestamp>,
    /// How often in a row it opened; 0 while it is closed.
    opened: u32,
    /// Until when nobody may ask.
    open_until: Timestamp,
    /// Who is asking now, for all.
    probe: Option<Probe>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Probe {
    job: JobId,
    until: Timestamp,
}

/// What a breaker answers a job that would ask the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerGate {
    /// Nothing speaks against it.
    Go,
    /// It goes for all: its first answer says whether the provider is back.
    Probe,
    /// Not now.
    Wait {
        /// For so long; then ask again.
        pause: Duration,
        /// Since when the provider fails.
        since: Timestamp,
    },
}

impl Breaker {
    /// Whether the provider is taken to be away, since when, and until when nobody asks it.
    pub fn away(&self) -> Option<(Timestamp, Timestamp)> {
        let since = self.since.filter(|_| self.opened > 0)?;
        Some((since, self.open_until))
    }

    /// Whether this job may begin or go on with a run that asks the provider.
    pub fn ask(&mut self, job: JobId, rule: &BreakerRule, now: Timestamp) -> BreakerGate {
        let Some((since, until)) = self.away() else {
            return BreakerGate::Go;
        };
        if now < until {
            // Not all at the same moment, or all but one would come for nothing.
            let spread = rule.pause(self.opened) / 8;
            let pause = until.since(now) + spread.mul_f64(share(job, self.opened));
            return BreakerGate::Wait { pause, since };
        }
        if let Some(probe) = self.probe
            && probe.job != job
            && now < probe.until
        {
            let look = rule.probe / 8;
            let pause = look + look.mul_f64(share(job, self.opened));
            return BreakerGate::Wait { pause, since };
        }
        let until = now.after(rule.probe);
        self.probe = Some(Probe { job, until });
        BreakerGate::Probe
    }

    /// The provider failed this job. Whether that opened it, or keeps it open for longer.
    pub fn failed(&mut self, job: JobId, rule: &BreakerRule, now: Timestamp) -> bool {
        self.since.get_or_insert(now);
        if self.opened > 0 {
            // What was under way as it opened says nothing new.
            let probed = self.probe.is_some_and(|probe| probe.job == job);
            if probed {
                self.open(rule, now);
            }
            return probed;
        }
        if !self.failed.contains(&job) {
            self.failed.push(job);
        }
        let opens = self.failed.len() >= rule.jobs.max(1);
        if opens {
            self.open(rule, now);
        }
        opens
    }

    fn open(&mut self, rule: &BreakerRule, now: Timestamp) {
        self.opened = self.opened.saturating_add(1);
        self.open_until = now.after(rule.pause(self.opened));
        self.probe = None;
    }

    /// The provider answered well: whatever was before is over.
    pub fn answered(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn job(n: u128) -> JobId {
        JobId(uuid::Uuid::from_u128(n))
    }

    fn rule() -> BreakerRule {
        BreakerRule {
            jobs: 3,
            ..BreakerRule::default()
        }
    }

    /// Three jobs failed, the last one at second 2: it is open until second 32.
    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        assert!(!breaker.failed(job(1), &rule(), at(0)));
        assert!(!breaker.failed(job(2), &rule(), at(1)));
        assert!(breaker.failed(job(3), &rule(), at(2)));
        assert_eq!(breaker.away(), Some((at(0), at(32))));
        breaker
    }

    fn pause(gate: BreakerGate) -> Duration {
        match gate {
            BreakerGate::Wait { pause, since } => {
                assert_eq!(since, at(0));
                pause
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn different_jobs_in_a_row_open_it_and_one_alone_does_not() {
        let mut breaker = Breaker::default();
        for second in 0..10 {
            assert!(!breaker.failed(job(1), &rule(), at(second)));
        }
        assert!(!breaker.failed(job(2), &rule(), at(10)));
        breaker.answered();
        assert_eq!(breaker, Breaker::default());
        assert!(!breaker.failed(job(3), &rule(), at(11)), "not in a row");
        assert_eq!(breaker.ask(job(4), &rule(), at(12)), BreakerGate::Go);
        assert_eq!(breaker.away(), None);
    }

    #[test]
    fn while_it_is_open_everybody_waits_and_not_for_the_same_moment() {
        let mut breaker = open();
        let before = breaker.clone();
        let mut pauses: Vec<Duration> = (0..50)
            .map(|n| pause(breaker.ask(job(n), &rule(), at(12))))
            .collect();
        assert_eq!(breaker, before, "asking changes nothing");
        pauses.sort_unstable();
        pauses.dedup();
        assert!(pauses.len() > 40, "{pauses:?}");
        let (least, most) = (pauses[0], pauses[pauses.len() - 1]);
        assert!(least >= Duration::from_secs(20) && most <= Duration::from_secs(24));
        // A run that was under way fails, too.
        assert!(!breaker.failed(job(9), &rule(), at(13)));
        assert_eq!(breaker, before);
    }

    #[test]
    fn a_single_job_probes_and_its_failure_opens_it_for_longer() {
        let mut breaker = open();
        assert_eq!(breaker.ask(job(7), &rule(), at(32)), BreakerGate::Probe);
        assert!(pause(breaker.ask(job(8), &rule(), at(33))) <= Duration::from_secs(30));
        // Its host died; it is asked again for the same job.
        assert_eq!(breaker.ask(job(7), &rule(), at(40)), BreakerGate::Probe);
        assert!(breaker.failed(job(7), &rule(), at(41)));
        assert_eq!(breaker.away(), Some((at(0), at(101))));
        let mut now = 101;
        for _ in 0..10 {
            assert_eq!(breaker.ask(job(7), &rule(), at(now)), BreakerGate::Probe);
            assert!(breaker.failed(job(7), &rule(), at(now)));
            now += 900;
        }
        assert_eq!(
            breaker.away(),
            Some((at(0), at(now))),
            "never longer than 900 s"
        );
    }

    #[test]
    fn a_probe_that_is_answered_closes_it() {
        let mut breaker = open();
        assert_eq!(breaker.ask(job(7), &rule(), at(32)), BreakerGate::Probe);
        breaker.answered();
        assert_eq!(breaker.ask(job(8), &rule(), at(33)), BreakerGate::Go);
        assert!(!breaker.failed(job(8), &rule(), at(34)), "it counts anew");
    }

    #[test]
    fn a_probe_that_says_nothing_is_followed_by_another() {
        let mut breaker = open();
        assert_eq!(breaker.ask(job(7), &rule(), at(32)), BreakerGate::Probe);
        pause(breaker.ask(job(8), &rule(), at(151)));
        assert_eq!(breaker.ask(job(8), &rule(), at(152)), BreakerGate::Probe);
        // The first one isn't the probe any more.
        assert!(!breaker.failed(job(7), &rule(), at(153)));
    }

    #[test]
    fn it_is_the_same_after_json_and_nothing_is_closed() {
        let mut breaker = open();
        breaker.ask(job(7), &rule(), at(32));
        let json = serde_json::to_string(&breaker).unwrap();
        assert_eq!(serde_json::from_str::<Breaker>(&json).unwrap(), breaker);
        assert_eq!(
            serde_json::from_str::<Breaker>("{}").unwrap(),
            Breaker::default()
        );
    }
}
