//! What is kept for how long: a pure rule over what has ended, how long ago, and how much room it
//! takes. Nothing here removes anything, and what hasn't ended is never named.

use crate::JobId;
use std::collections::BTreeMap;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// For how long things are kept after their job has ended; none: for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Jobs without a published site, with all that is theirs.
    pub jobs: Option<Duration>,
    /// Lines of their logs.
    pub logs: Option<Duration>,
    /// Their events but for the last, and events of no job.
    pub events: Option<Duration>,
    /// Their workspaces.
    pub workspaces: Option<Duration>,
    /// Bytes of all workspaces together, past which the oldest of ended jobs go.
    pub workspaces_bytes: Option<u64>,
    /// Versions of a job's sites beside those that are published.
    pub versions: Option<usize>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            jobs: Some(DAY * 90),
            logs: Some(DAY * 30),
            events: Some(DAY * 30),
            workspaces: Some(DAY * 7),
            workspaces_bytes: None,
            versions: Some(3),
        }
    }
}

/// What is known of a job that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedJob {
    /// Which.
    pub job: JobId,
    /// Since its end, by the database's clock.
    pub age: Duration,
    /// Whether a site of it is published.
    pub live: bool,
    /// Whether it has lines.
    pub has_lines: bool,
    /// Whether it has events beside its last one.
    pub has_events: bool,
}

/// What is due of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The whole job.
    Job,
    /// Its lines.
    Logs,
    /// Its events but for the last.
    Events,
}

/// The workspace of a job that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedWorkspace {
    /// Whose.
    pub job: JobId,
    /// Since the job's end, by the database's clock.
    pub age: Duration,
    /// What it takes on the disk.
    pub bytes: u64,
}

/// Why a workspace goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is older than it may be.
    Age,
    /// All together are larger than they may be, and it is the oldest.
    Room,
}

impl Retention {
    /// What is due of this job; what goes with the job isn't named beside it.
    pub fn due(&self, job: &EndedJob) -> Vec<Due> {
        let over = |kept: Option<Duration>| kept.is_some_and(|kept| job.age >= kept);
        if over(self.jobs) && !job.live {
            return vec![Due::Job];
        }
        let mut due = Vec::new();
        if over(self.logs) && job.has_lines {
            due.push(Due::Logs);
        }
        if over(self.events) && job.has_events {
            due.push(Due::Events);
        }
        due
    }

    /// A job that was submitted less than this ago can't be due for anything; none where nothing
    /// ever is.
    pub fn youngest(&self) -> Option<Duration> {
        [self.jobs, self.logs, self.events]
            .into_iter()
            .flatten()
            .min()
    }

    /// Which workspaces go, those first that ended first: by age, and then until all, of which
    /// `others` bytes are of jobs that haven't ended, take no more room than they may.
    pub fn workspaces(&self, mut ended: Vec<EndedWorkspace>, others: u64) -> Vec<(JobId, Why)> {
        ended.sort_by_key(|workspace| (std::cmp::Reverse(workspace.age), workspace.job));
        let mut bytes = ended
            .iter()
            .fold(others, |sum, w| sum.saturating_add(w.bytes));
        let mut due = Vec::new();
        for workspace in ended {
            let old = self.workspaces.is_some_and(|kept| workspace.age >= kept);
            let much = self.workspaces_bytes.is_some_and(|most| bytes > most);
            let why = match (old, much) {
                (true, _) => Why::Age,
                (false, true) => Why::Room,
                (false, false) => break,
            };
            bytes = bytes.saturating_sub(workspace.bytes);
            due.push((workspace.job, why));
        }
        due
    }

    /// Which of a job's laid out folders go: those of revisions that no row refers to, but for
    /// the newest. `folders` have their revisions; `live` are those that rows refer to.
    pub fn versions(&self, folders: &BTreeMap<String, u32>, live: &[String]) -> Vec<String> {
        let Some(kept) = self.versions else {
            return Vec::new();
        };
        let old = |folder: &String| !live.contains(folder);
        let mut revisions: Vec<u32> = folders
            .iter()
            .filter(|(folder, _)| old(folder))
            .map(|(_, revision)| *revision)
            .collect();
        revisions.sort_unstable_by(|a, b| b.cmp(a));
        revisions.dedup();
        let gone: Vec<u32> = revisions.split_off(kept.min(revisions.len()));
        folders
            .iter()
            .filter(|(folder, revision)| old(folder) && gone.contains(revision))
            .map(|(folder, _)| folder.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(n: u128) -> JobId {
        JobId(uuid::Uuid::from_u128(n))
    }

    fn ended(days: u32) -> EndedJob {
        EndedJob {
            job: job(1),
            age: DAY * days,
            live: false,
            has_lines: true,
            has_events: true,
        }
    }

    #[test]
    fn each_thing_goes_at_its_age_and_not_before() {
        let retention = Retention {
            logs: Some(DAY * 20),
            ..Retention::default()
        };
        let due = |days| retention.due(&ended(days));
        assert_eq!(due(19), []);
        assert_eq!(due(20), [Due::Logs]);
        assert_eq!(due(30), [Due::Logs, Due::Events]);
        assert_eq!(due(89), [Due::Logs, Due::Events]);
        assert_eq!(due(90), [Due::Job]);
        assert_eq!(retention.youngest(), Some(DAY * 20));
        let trimmed = EndedJob {
            has_lines: false,
            has_events: false,
            ..ended(50)
        };
        assert_eq!(retention.due(&trimmed), []);
    }

    #[test]
    fn a_job_with_a_live_site_stays() {
        let live = EndedJob {
            live: true,
            ..ended(9_999)
        };
        let due = Retention::default().due(&live);
        assert_eq!(due, [Due::Logs, Due::Events]);
    }

    #[test]
    fn what_is_kept_for_ever_never_goes() {
        let never = Retention {
            jobs: None,
            logs: None,
            events: None,
            workspaces: None,
            workspaces_bytes: None,
            versions: None,
        };
        assert_eq!(never.due(&ended(99_999)), []);
        assert_eq!(never.youngest(), None);
        assert_eq!(never.workspaces(vec![workspace(1, 9_999, 9)], 0), []);
        let folders = BTreeMap::from([("r1".to_owned(), 1)]);
        assert!(never.versions(&folders, &[]).is_empty());
    }

    fn workspace(n: u128, days: u32, bytes: u64) -> EndedWorkspace {
        EndedWorkspace {
            job: job(n),
            age: DAY * days,
            bytes,
        }
    }

    #[test]
    fn workspaces_go_by_age_first_and_then_the_oldest_for_room() {
        let mut retention = Retention {
            workspaces: Some(DAY * 7),
            ..Retention::default()
        };
        let all = || {
            vec![
                workspace(1, 2, 30),
                workspace(2, 9, 20),
                workspace(3, 3, 10),
                workspace(4, 7, 5),
                workspace(5, 1, 100),
            ]
        };
        let old = [(job(2), Why::Age), (job(4), Why::Age)];
        assert_eq!(retention.workspaces(all(), 1_000), old);
        // 165 in all, and 35 of jobs that run: what is left after age is 175.
        retention.workspaces_bytes = Some(175);
        assert_eq!(retention.workspaces(all(), 35), old);
        retention.workspaces_bytes = Some(174);
        let due = retention.workspaces(all(), 35);
        assert_eq!(due[2..], [(job(3), Why::Room)]);
        retention.workspaces_bytes = Some(135);
        let due = retention.workspaces(all(), 35);
        assert_eq!(due[2..], [(job(3), Why::Room), (job(1), Why::Room)]);
        // Jobs that run are never asked to go, however much they take.
        assert_eq!(retention.workspaces(all(), 9_999).len(), 5);
        assert_eq!(retention.workspaces(Vec::new(), 9_999), []);
    }

    #[test]
    fn versions_that_are_published_stay_and_so_do_the_newest_others() {
        let folders: BTreeMap<String, u32> = [
            ("r1-0", 1),
            ("r2-0", 2),
            ("r2-1", 2),
            ("r3-0", 3),
            ("r4-0", 4),
        ]
        .map(|(folder, revision)| (folder.to_owned(), revision))
        .into();
        let live = ["r1-0".to_owned(), "r4-0".to_owned()];
        let gone = |versions| {
            let retention = Retention {
                versions: Some(versions),
                ..Retention::default()
            };
            retention.versions(&folders, &live)
        };
        assert_eq!(gone(0), ["r2-0", "r2-1", "r3-0"]);
        assert_eq!(gone(1), ["r2-0", "r2-1"]);
        assert!(gone(2).is_empty());
    }
}
