//! The conversation of an agent's CLI, over the runs of a task: which one a run works in, and
//! whether it goes on with it. Where a session is kept is the worker's matter.

use crate::{Job, RunKey};
use uuid::Uuid;

/// The session of one run: `SESSION_ID` and `RESUME` of the worker's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Derived from the run that began it, so that a crash can't lose it. A UUID of version 8.
    pub id: Uuid,
    /// Whether an earlier run began it, and this one goes on.
    pub resume: bool,
}

impl Job {
    /// The session of the run that the cursor is in. Every run of a task within its attempt has
    /// one, which the first of them began; where the phase doesn't allow that, each has its own.
    pub fn session(&self) -> Option<Session> {
        let run = self.run_key()?;
        let (spec, _) = self.phase()?;
        let mut begun_by = run.clone();
        if spec.resume {
            begun_by.run = RunKey::FIRST;
        }
        Some(Session {
            id: begun_by.begins_session(),
            resume: begun_by != run,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Decision, Digest, EventKind, Failure, FailureKind, Input, JobId, Limits, Outcome,
        PipelineSpec, PluginPin, Status, Step, Timestamp, Usage, Verdict, step,
    };
    use std::collections::BTreeSet;

    const SPEC: &str = "name = \"p\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\n";

    fn now() -> Timestamp {
        Timestamp::from_millis(1_000)
    }

    fn submitted(more: &str) -> Job {
        let id = JobId("018f0000-0000-7000-8000-000000000001".parse().unwrap());
        let spec = PipelineSpec::parse(&format!("{SPEC}{more}")).unwrap();
        Job::new(id, "a game".into(), spec, now())
    }

    fn go(job: &Job, input: Input) -> Step {
        step(job, input, &Limits::default(), now()).unwrap()
    }

    fn claimed(mut job: Job) -> Step {
        job.status = Status::Running;
        go(&job, Input::Claimed { rescued: false })
    }

    fn pin() -> PluginPin {
        PluginPin {
            name: "idea".into(),
            version: "1.0.0".into(),
            digest: Digest::of(b"idea"),
        }
    }

    fn prompted(job: &Job) -> Job {
        let tasks = vec!["one".to_owned(), "two".to_owned()];
        let input = Input::Prompted {
            plugin: pin(),
            tasks,
            kept: Digest::of(b"kept"),
        };
        go(job, input).next
    }

    fn ended(job: &Job, failure: Option<FailureKind>) -> Job {
        let input = Input::AgentEnded(Outcome {
            task: "one".into(),
            exit_code: None,
            failure: failure.map(|kind| Failure::new(kind, "why")),
            answer: None,
            missing: vec![],
            duration_ms: 5,
            usage: Usage::default(),
            retry_after_ms: None,
            over: None,
        });
        go(job, input).next
    }

    /// The run after one that ended like this, and what is told of it.
    fn again(job: &Job, failure: FailureKind) -> (Job, bool) {
        let step = claimed(ended(job, Some(failure)));
        let mut told = step.events.iter();
        let started = told.find(|event| event.kind == EventKind::AgentStarted);
        let resume = started.unwrap().data["resume"].as_bool().unwrap();
        (step.next, resume)
    }

    fn first_run(more: &str) -> Job {
        prompted(&claimed(submitted(more)).next)
    }

    #[test]
    fn the_runs_of_a_task_share_the_session_that_the_first_began() {
        let first = first_run("");
        let begun = first.session().unwrap();
        assert!(!begun.resume);
        let mut job = first;
        for failure in [FailureKind::Interrupted, FailureKind::Provider] {
            let (next, told) = again(&job, failure);
            let session = next.session().unwrap();
            assert_eq!(
                (session.id, session.resume),
                (begun.id, true),
                "{failure:?}"
            );
            assert!(told, "{failure:?}");
            job = next;
        }
        // A host that takes over asks the state again, and nothing else.
        let kept = serde_json::to_string(&job).unwrap();
        let read: Job = serde_json::from_str(&kept).unwrap();
        let rescued = go(&read, Input::Claimed { rescued: true }).next;
        assert_eq!(rescued.session(), job.session());
    }

    #[test]
    fn where_the_phase_says_so_each_run_has_a_session_of_its_own() {
        let first = first_run("resume = false\n");
        let (second, told) = again(&first, FailureKind::Interrupted);
        let (one, two) = (first.session().unwrap(), second.session().unwrap());
        assert_ne!(one.id, two.id);
        assert!(!one.resume && !two.resume && !told);
    }

    #[test]
    fn another_task_attempt_or_revision_begins_a_session() {
        let first = first_run("");
        let second_task = ended(&first, None);
        let failed = ended(&second_task, Some(FailureKind::AgentFailed));
        let next_attempt = prompted(&failed);
        let mut cancelled = go(&next_attempt, Input::Cancel).next;
        let retried = prompted(&claimed(go(&cancelled, Input::retry()).next).next);
        cancelled.status = Status::Succeeded;
        let text = "bluer".to_owned();
        let revised = go(&cancelled, Input::Feedback { text }).next;
        let revised = prompted(&claimed(revised).next);
        let jobs = [&first, &second_task, &next_attempt, &retried, &revised];
        let sessions = jobs.map(|job| job.session().unwrap());
        assert!(sessions.iter().all(|session| !session.resume));
        let ids: BTreeSet<_> = sessions.iter().map(|session| session.id).collect();
        assert_eq!(ids.len(), jobs.len(), "{sessions:?}");
    }

    #[test]
    fn there_is_a_session_only_while_an_agent_works() {
        let job = claimed(submitted("")).next;
        assert_eq!(job.session(), None);
        let job = ended(&ended(&prompted(&job), None), None);
        assert_eq!(job.session(), None, "it is validated");
        let verdict = Some(Verdict {
            decision: Decision::Accept,
            message: String::new(),
            score: None,
        });
        let plugin = pin();
        let done = go(&job, Input::Validated { plugin, verdict }).next;
        assert_eq!(done.session(), None);
    }
}
