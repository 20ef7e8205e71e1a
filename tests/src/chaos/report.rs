//! What a run came to, as a table. All but the times and what was done must be zero.

use std::fmt;
use std::time::Duration;

use super::cancels::Cancelled;
use super::verdict::Verdict;
use super::world::{LEASE, Plan, World, now};
use crate::bench::Times;
use crate::once::Fault;

/// What an agent says that found no room, and what is said of one that found none for saying so:
/// a container's words go elsewhere.
const FULL: &str = "(os error 28)";
const UNSAID: &str = "the agent ended with exit status 1\"";

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    plan: Plan,
    took: Duration,
    killed: usize,
    done: Vec<(&'static str, usize)>,
    left_out: Vec<String>,
    resumed: Option<Times>,
    never_resumed: usize,
    /// From a cancel to the final state: of all jobs, and of those that kept their holder.
    cancelled: [Option<Times>; 2],
    verdict: Verdict,
}

impl Report {
    pub(super) fn new(
        world: &World,
        killed: usize,
        resumed: Vec<Duration>,
        cancelled: Cancelled,
        verdict: Verdict,
    ) -> Self {
        let done = world.done.lock().unwrap();
        let all = [&cancelled.by_their_holder[..], &cancelled.by_another[..]];
        let all = times(all.concat());
        let never = world.cut_off.try_lock().map_or(0, |left| left.len());
        Self {
            plan: world.plan.clone(),
            took: Duration::from_secs(now() - world.begun),
            killed,
            done: done.iter().map(|(what, times)| (*what, *times)).collect(),
            left_out: world.left_out.clone(),
            resumed: times(resumed),
            never_resumed: never,
            cancelled: [all, times(cancelled.by_their_holder)],
            verdict,
        }
    }

    /// Whether nothing was lost, doubled or left over.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.zeros().iter().all(|(_, count)| *count == 0)
    }

    /// What must be zero.
    fn zeros(&self) -> [(&'static str, usize); 10] {
        let verdict = &self.verdict;
        let faults = |of: fn(&Fault) -> bool| {
            let found = verdict.faults.iter().filter(|(_, fault)| of(fault));
            found.count()
        };
        let left = |what: &str| {
            let found = verdict.left.iter().filter(|it| it.starts_with(what));
            found.count()
        };
        [
            (
                "jobs lost",
                faults(|it| matches!(it, Fault::Lost(_) | Fault::Gap(_))),
            ),
            (
                "publishes twice, or not at all",
                faults(|it| matches!(it, Fault::Published(_))),
            ),
            (
                "phases accepted twice, or not at all",
                faults(|it| matches!(it, Fault::Accepted(..))),
            ),
            ("agent runs again that had ended", {
                faults(|it| {
                    matches!(
                        it,
                        Fault::RanTwice(_) | Fault::RanAgain(_) | Fault::Done(..)
                    )
                })
            }),
            ("attempts used up with room on the disk", {
                let full =
                    |why: &str| why.contains(FULL) || !self.plan.docker && why.ends_with(UNSAID);
                let others = verdict.failed.iter().filter(|(why, _)| !full(why));
                others.map(|(_, times)| times).sum()
            }),
            (
                "cancelled jobs that ended otherwise, or went on",
                faults(|it| matches!(it, Fault::NotCancelled(_))),
            ),
            ("jobs never resumed", self.never_resumed),
            ("containers left", left("container")),
            ("processes left", left("process")),
            ("run folders left", left("run folder")),
        ]
    }
}

fn times(times: Vec<Duration>) -> Option<Times> {
    (!times.is_empty()).then(|| Times::new(times))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, verdict, .. } = self;
        let agents = if plan.docker {
            "in containers"
        } else {
            "as processes"
        };
        writeln!(
            f,
            "seed {}, {} kills of 3 hosts, agents {agents}, leases of {LEASE} s, {} s",
            plan.seed,
            self.killed,
            self.took.as_secs()
        )?;
        writeln!(f, "\n| what was done | times |\n|---|---|")?;
        for (what, times) in &self.done {
            writeln!(f, "| {what} | {times} |")?;
        }
        for what in &self.left_out {
            writeln!(f, "| not done: {what} | 0 |")?;
        }
        writeln!(f, "\n| what became of it | |\n|---|---|")?;
        writeln!(f, "| jobs submitted | {} |", verdict.submitted)?;
        writeln!(f, "| jobs finished | {} |", verdict.finished)?;
        writeln!(f, "| of these, cancelled | {} |", verdict.cancelled)?;
        for (what, count) in self.zeros() {
            writeln!(f, "| **{what}** | **{count}** |")?;
        }
        writeln!(
            f,
            "| agent runs cut off, and run again | {} |",
            verdict.run_again
        )?;
        writeln!(
            f,
            "| attempts that failed, as on a full disk | {} |",
            verdict.attempts_again
        )?;
        let [cancelled, by_their_holder] = &self.cancelled;
        for (what, times) in [
            ("from kill to resumed", &self.resumed),
            ("from cancel to final", cancelled),
            ("the same, of jobs that kept their holder", by_their_holder),
        ] {
            let Some(times) = times else { continue };
            let [half, most, all] = [50, 99, 100].map(|percent| times.ms(percent) / 1e3);
            let row = format!("{half:.2} s, {most:.2} s, {all:.2} s ({})", times.count());
            writeln!(f, "| {what}: p50, p99, most (jobs) | {row} |")?;
        }
        for (table, dead, live) in &verdict.dead_tuples {
            writeln!(
                f,
                "| dead tuples of `{table}`, and live ones | {dead}, {live} |"
            )?;
        }
        for (why, times) in &verdict.failed {
            writeln!(f, "\nfailed {times} times: {why}")?;
        }
        for (job, fault) in &verdict.faults {
            writeln!(f, "\nfault: {job} {fault:?}")?;
        }
        for left in &verdict.left {
            writeln!(f, "\nleft: {left}")?;
        }
        Ok(())
    }
}
