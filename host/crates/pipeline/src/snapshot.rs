//! Which snapshots of its workspace a job may have, and what they are called: derived from its
//! state, so that nothing of them is stored with it. Whether one was taken, the workspace knows.

use crate::{Attempt, Job, RunKey};

/// An attempt of a phase.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// The job's revision, from 1.
    pub revision: u32,
    /// The phase's id.
    pub phase: String,
    /// From 1 within its revision.
    pub attempt: u32,
}

/// When a snapshot was taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SnapshotName {
    /// Before an attempt began.
    Before(AttemptKey),
    /// After a run of an agent had ended.
    After(RunKey),
}

/// The snapshots between which an attempt's changes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSnapshots {
    /// Before it began.
    pub before: SnapshotName,
    /// After its runs, the last one first. The first of them that was taken counts.
    pub after: Vec<SnapshotName>,
}

impl SnapshotName {
    /// A file's name: phases and tasks are slugs, which hold no dot.
    pub fn file_name(&self) -> String {
        match self {
            Self::Before(AttemptKey {
                revision,
                phase,
                attempt,
            }) => format!("r{revision}.{phase}.a{attempt}.before"),
            Self::After(RunKey {
                revision,
                phase,
                attempt,
                task,
                run,
                ..
            }) => format!("r{revision}.{phase}.a{attempt}.after.{task}.{run}"),
        }
    }
}

impl Job {
    /// The snapshot that is taken before the attempt in which the cursor is.
    pub fn snapshot_before(&self) -> Option<SnapshotName> {
        let (spec, phase) = self.phase()?;
        Some(self.before(&spec.id, phase.attempts.last()?.number))
    }

    /// What the phase of the cursor is put back to: the first of these that was taken. None of
    /// them is of the attempt that begins, or of another revision.
    pub fn snapshots_to_put_back(&self) -> Vec<SnapshotName> {
        let Some((spec, phase)) = self.phase() else {
            return Vec::new();
        };
        let earlier = phase.attempts.iter().rev().skip(1).rev();
        earlier
            .filter(|attempt| attempt.revision == self.revision)
            .map(|attempt| self.before(&spec.id, attempt.number))
            .collect()
    }

    /// The snapshots of an attempt; none where there is no such attempt.
    pub fn snapshots_of(&self, key: &AttemptKey) -> Option<AttemptSnapshots> {
        let phase = self.phases.iter().find(|phase| phase.id == key.phase)?;
        let is_it =
            |attempt: &&Attempt| (attempt.revision, attempt.number) == (key.revision, key.attempt);
        let attempt = phase.attempts.iter().find(is_it)?;
        let mut after = Vec::new();
        for task in attempt.tasks.iter().rev() {
            for run in (RunKey::FIRST..=task.run).rev() {
                after.push(SnapshotName::After(RunKey {
                    job: self.id,
                    revision: key.revision,
                    phase: key.phase.clone(),
                    attempt: key.attempt,
                    task: task.name.clone(),
                    run,
                }));
            }
        }
        Some(AttemptSnapshots {
            before: SnapshotName::Before(key.clone()),
            after,
        })
    }

    fn before(&self, phase: &str, attempt: u32) -> SnapshotName {
        SnapshotName::Before(AttemptKey {
            revision: self.revision,
            phase: phase.to_owned(),
            attempt,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cursor, JobId, PipelineSpec, Stage, Task, TaskStatus, Timestamp, Usage};

    fn attempt(revision: u32, number: u32, tasks: &[(&str, u32)]) -> Attempt {
        let task = |(name, run): &(&str, u32)| Task {
            name: (*name).to_owned(),
            status: TaskStatus::Done,
            run: *run,
            outcome: None,
            spent: Usage::default(),
        };
        Attempt {
            number,
            revision,
            plugins: Vec::new(),
            feedback: None,
            kept: None,
            tasks: tasks.iter().map(task).collect(),
            pauses: 0,
            paused: crate::Pauses::default(),
            verdict: None,
            message: None,
            fresh_session: false,
            started_at: Timestamp::default(),
            finished_at: None,
        }
    }

    fn job(attempts: Vec<Attempt>) -> Job {
        let spec = "name = \"short\"\n[[phase]]\nid = \"build\"\nplugin = \"build\"\n";
        let spec = PipelineSpec::parse(spec).unwrap();
        let id = JobId("018f0000-0000-7000-8000-000000000001".parse().unwrap());
        let mut job = Job::new(id, "a".to_owned(), spec, Timestamp::default());
        job.revision = 2;
        job.at = Some(Cursor {
            phase: 0,
            stage: Stage::Prompt,
            since: None,
        });
        job.phases[0].attempts = attempts;
        job
    }

    fn names(names: &[SnapshotName]) -> Vec<String> {
        names.iter().map(SnapshotName::file_name).collect()
    }

    #[test]
    fn a_phase_goes_back_to_before_its_first_attempt_of_the_revision_and_no_other() {
        let first = || attempt(1, 1, &[("page", 1)]);
        assert_eq!(job(vec![first()]).snapshots_to_put_back(), []);
        let begins = job(vec![first(), attempt(2, 1, &[])]);
        assert_eq!(begins.snapshots_to_put_back(), []);
        assert_eq!(
            begins.snapshot_before().unwrap().file_name(),
            "r2.build.a1.before"
        );
        let again = [attempt(2, 1, &[]), attempt(2, 2, &[]), attempt(2, 3, &[])];
        let again = job([vec![first()], again.to_vec()].concat());
        assert_eq!(
            names(&again.snapshots_to_put_back()),
            ["r2.build.a1.before", "r2.build.a2.before"]
        );
    }

    #[test]
    fn the_last_run_of_the_last_task_comes_first() {
        let job = job(vec![
            attempt(1, 1, &[("page", 1)]),
            attempt(2, 1, &[("page", 2), ("art", 1)]),
        ]);
        let mut key = AttemptKey {
            revision: 2,
            phase: "build".to_owned(),
            attempt: 1,
        };
        let of = job.snapshots_of(&key).unwrap();
        assert_eq!(of.before.file_name(), "r2.build.a1.before");
        assert_eq!(
            names(&of.after),
            [
                "r2.build.a1.after.art.1",
                "r2.build.a1.after.page.2",
                "r2.build.a1.after.page.1"
            ]
        );
        key.attempt = 2;
        assert_eq!(job.snapshots_of(&key), None);
        (key.attempt, key.phase) = (1, "idea".to_owned());
        assert_eq!(job.snapshots_of(&key), None);
    }
}
