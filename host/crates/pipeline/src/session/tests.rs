//! Sessions as the states of a job give them: a table of what is remembered, and random walks.

use super::*;
use crate::{
    Decision, Digest, EventKind, Failure, FailureKind, Input, JobId, Limits, Outcome, PipelineSpec,
    PluginPin, Status, Step, Timestamp, Usage, Verdict, step,
};
use std::collections::{BTreeMap, BTreeSet};

const SPEC: &str = "name = \"p\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 9\n";

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

fn planned(tasks: &[&str]) -> Input {
    Input::Prompted {
        plugin: pin(),
        tasks: tasks.iter().map(ToString::to_string).collect(),
        kept: Digest::of(b"kept"),
    }
}

fn prompted(job: &Job) -> Job {
    go(job, planned(&["one", "two"])).next
}

fn ending(failure: Option<FailureKind>) -> Input {
    Input::AgentEnded(Outcome {
        task: "one".into(),
        exit_code: None,
        failure: failure.map(|kind| Failure::new(kind, "why")),
        answer: None,
        missing: vec![],
        duration_ms: 5,
        usage: Usage::default(),
        retry_after_ms: None,
        over: None,
    })
}

fn ended(job: &Job, failure: Option<FailureKind>) -> Job {
    go(job, ending(failure)).next
}

fn judged(decision: Decision, fresh_session: bool) -> Input {
    Input::Validated {
        plugin: pin(),
        verdict: Some(Verdict {
            decision,
            message: "why".into(),
            score: None,
            fresh_session,
        }),
    }
}

/// Both tasks done, and this verdict.
fn through(job: &Job, decision: Decision, fresh_session: bool) -> Job {
    let done = ended(&ended(job, None), None);
    go(&done, judged(decision, fresh_session)).next
}

/// A retry of the failed job, up to its first agent.
fn retried(job: &Job) -> Job {
    prompted(&claimed(go(job, Input::retry()).next).next)
}

/// The next revision of the job, up to its first agent.
fn sent_back(job: &Job) -> Job {
    let text = "bluer".to_owned();
    prompted(&claimed(go(job, Input::Feedback { text }).next).next)
}

/// The run after one that ended like this, and what is told of it.
fn again(job: &Job, failure: FailureKind) -> (Job, serde_json::Map<String, serde_json::Value>) {
    let step = claimed(ended(job, Some(failure)));
    let mut told = step.events.into_iter();
    let started = told.find(|event| event.kind == EventKind::AgentStarted);
    (step.next, started.unwrap().data)
}

fn first_run(more: &str) -> Job {
    prompted(&claimed(submitted(more)).next)
}

fn session(job: &Job) -> Session {
    job.session().unwrap()
}

#[test]
fn the_runs_of_a_task_share_the_session_that_the_first_began() {
    let first = first_run("");
    let begun = session(&first);
    assert!(!begun.resume);
    let mut job = first;
    for failure in [FailureKind::Interrupted, FailureKind::Provider] {
        let (next, told) = again(&job, failure);
        let session = session(&next);
        assert_eq!(
            (session.id, session.resume, session.from),
            (begun.id, true, None),
            "{failure:?}"
        );
        assert_eq!(told["resume"], true, "{failure:?}");
        assert_eq!(told["session"], begun.id.to_string(), "{failure:?}");
        job = next;
    }
}

#[test]
fn where_the_phase_says_so_each_run_has_a_session_of_its_own() {
    let first = first_run("resume = false\n");
    let (second, told) = again(&first, FailureKind::Interrupted);
    let third = prompted(&through(&second, Decision::Revise, false));
    let sessions = [&first, &second, &third].map(session);
    assert!(sessions.iter().all(|it| !it.resume && it.from.is_none()));
    assert_eq!(told["resume"], false);
    let ids: BTreeSet<_> = sessions.iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn the_next_attempt_goes_on_with_the_session_of_the_same_task() {
    let first = first_run("");
    let second_task = ended(&first, None);
    let revised = prompted(&through(&first, Decision::Revise, false));
    assert_eq!(session(&revised).from, Some(session(&first).id));
    let two = ended(&revised, None);
    assert_eq!(session(&two).from, Some(session(&second_task).id));
    // A crash in it: the same session, and still the same one to fall back on.
    let (cut_off, told) = again(&revised, FailureKind::Interrupted);
    let expected = Session {
        resume: true,
        ..session(&revised)
    };
    assert_eq!(session(&cut_off), expected);
    assert_eq!(told["from"], session(&first).id.to_string());
    let third = prompted(&through(&revised, Decision::Revise, false));
    assert_eq!(session(&third).from, Some(session(&revised).id));
}

#[test]
fn a_person_who_sends_back_or_retries_meets_the_same_conversation() {
    let first = first_run("");
    let done = through(&first, Decision::Accept, false);
    assert_eq!(done.status, Status::Succeeded);
    assert_eq!(session(&sent_back(&done)).from, Some(session(&first).id));
    let rejected = through(&first, Decision::Reject, false);
    assert_eq!(session(&retried(&rejected)).from, Some(session(&first).id));
    let cancelled = go(&first, Input::Cancel).next;
    assert_eq!(session(&retried(&cancelled)).from, Some(session(&first).id));
}

#[test]
fn a_verdict_makes_the_next_attempt_forget_whoever_begins_it() {
    let first = first_run("");
    let revised = prompted(&through(&first, Decision::Revise, true));
    assert_eq!(session(&revised).from, None);
    assert_ne!(session(&revised).id, session(&first).id);
    // Once: what is said from then on is remembered again.
    let third = prompted(&through(&revised, Decision::Revise, false));
    assert_eq!(session(&third).from, Some(session(&revised).id));
    let accepted = through(&first, Decision::Accept, true);
    assert_eq!(session(&sent_back(&accepted)).from, None);
    let rejected = through(&first, Decision::Reject, true);
    assert_eq!(session(&retried(&rejected)).from, None);
}

#[test]
fn what_an_agent_failed_of_is_not_said_to_the_next() {
    for kind in FailureKind::ALL {
        if kind.passes() {
            continue;
        }
        let first = first_run("");
        let failed = ended(&first, Some(kind));
        let next = match failed.status {
            Status::Failed => retried(&failed),
            _ => prompted(&failed),
        };
        let from_outside = matches!(kind, FailureKind::AgentTimeout | FailureKind::Budget);
        let expected = from_outside.then(|| session(&first).id);
        assert_eq!(session(&next).from, expected, "{kind}");
    }
}

#[test]
fn a_phase_that_is_put_back_begins_anew_but_for_a_new_revision() {
    let first = first_run("reset = true\n");
    let revised = prompted(&through(&first, Decision::Revise, false));
    assert_eq!(session(&revised).from, None);
    let done = through(&revised, Decision::Accept, false);
    let next = sent_back(&done);
    assert_eq!(session(&next).from, Some(session(&revised).id));
    // The attempt without the task was put back as well: the one before it isn't looked for.
    let without = go(&through(&first, Decision::Revise, false), planned(&["two"])).next;
    let done = go(&ended(&without, None), judged(Decision::Accept, false)).next;
    assert_eq!(session(&sent_back(&done)).from, None);
}

#[test]
fn an_attempt_in_which_no_agent_worked_on_the_task_is_passed_over() {
    let first = first_run("");
    let without = go(&through(&first, Decision::Revise, false), planned(&["two"])).next;
    let again = go(&ended(&without, None), judged(Decision::Revise, false)).next;
    assert_eq!(session(&prompted(&again)).from, Some(session(&first).id));
    // Its turn never came: the second task was skipped.
    let timed_out = ended(&first, Some(FailureKind::AgentTimeout));
    let second_task = ended(&prompted(&timed_out), None);
    assert_eq!(session(&second_task).from, None);
    // Unless the one in between wants it forgotten.
    let again = go(&ended(&without, None), judged(Decision::Revise, true)).next;
    assert_eq!(session(&prompted(&again)).from, None);
}

#[test]
fn there_is_a_session_only_while_an_agent_works() {
    let job = claimed(submitted("")).next;
    assert_eq!(job.session(), None);
    let job = ended(&ended(&prompted(&job), None), None);
    assert_eq!(job.session(), None, "it is validated");
    let done = go(&job, judged(Decision::Accept, false)).next;
    assert_eq!(done.session(), None);
}

/// Whatever happens to a job: a host that takes over at any moment derives the same session; each
/// belongs to one task of one attempt, is begun before it is gone on with, and is a continuation
/// of nothing but an earlier one of the same task.
#[test]
fn however_a_job_goes_its_sessions_are_a_matter_of_its_state() {
    let mut seed = 7_u64;
    let mut next = move |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).unwrap() % most
    };
    let (mut gone_on_with, mut resumed) = (0, 0);
    for walk in 0..60 {
        let more = ["", "reset = true\n", "resume = false\n"][walk % 3];
        let mut job = submitted(more);
        // Whose each session is, in the order in which they were begun.
        let mut begun: BTreeMap<Uuid, (u32, u32, String)> = BTreeMap::new();
        for _ in 0..400 {
            if matches!(job.status, Status::Queued | Status::Waiting) {
                job.status = Status::Running;
            }
            let inputs = [
                Input::Claimed { rescued: false },
                planned(&["one", "two"]),
                planned(&["two"]),
                ending(None),
                ending(None),
                ending(Some(FailureKind::AgentFailed)),
                ending(Some(FailureKind::AgentTimeout)),
                ending(Some(FailureKind::Interrupted)),
                judged(Decision::Revise, false),
                judged(Decision::Revise, true),
                judged(Decision::Accept, false),
                judged(Decision::Reject, false),
                Input::Cancel,
                Input::retry(),
                Input::Feedback {
                    text: "bluer".into(),
                },
            ];
            let input = inputs[next(inputs.len())].clone();
            let Ok(step) = step(&job, input, &Limits::default(), now()) else {
                continue;
            };
            job = step.next;
            let Some(session) = job.session() else {
                continue;
            };
            let kept = Job::from_json(&job.to_json().unwrap()).unwrap();
            assert_eq!(kept.session(), Some(session));
            if job.status == Status::Running {
                let rescued = go(&job, Input::Claimed { rescued: true }).next;
                assert!(rescued.status == Status::Failed || rescued.session() == Some(session));
            }
            let run = job.run_key().unwrap();
            let whose = (run.revision, run.attempt, run.task.clone());
            let spec_resumes = job.spec.phases[0].resume;
            assert!(!session.resume || run.run > 1);
            assert!(spec_resumes || (!session.resume && session.from.is_none()));
            if session.resume {
                resumed += 1;
                assert_eq!(begun.get(&session.id), Some(&whose), "{run:?}");
            }
            if let Some(from) = session.from {
                gone_on_with += 1;
                let (revision, attempt, task) = &begun[&from];
                assert!((*revision, *attempt) < (run.revision, run.attempt));
                assert_eq!(task, &run.task);
            }
            let other = begun.insert(session.id, whose.clone());
            assert!(other.is_none_or(|other| other == whose), "{run:?}");
        }
    }
    assert!(
        gone_on_with > 50 && resumed > 50,
        "{gone_on_with}, {resumed}"
    );
}
