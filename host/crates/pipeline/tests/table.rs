//! Holds `step` against its table, in every state and with every input, and the documentation's
//! diagram against both. It runs nothing: the machine is pure.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what goes wrong in it shall stop it"
)]

use pipeline::*;
use serde_json::json;

const SPEC: &str = r#"
name = "game"
[[phase]]
id = "idea"
plugin = "idea"
attempts = 2
[[phase]]
id = "build"
plugin = "build@^1"
reset = true
[deploy]
plugin = "static-site"
"#;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn limits() -> Limits {
    let mut limits = Limits {
        rescues: 2,
        ..Limits::default()
    };
    let back_off = &mut limits.back_off;
    for row in [
        &mut back_off.provider,
        &mut back_off.engine,
        &mut back_off.plugin,
        &mut back_off.interrupted,
    ] {
        row.most = 2;
    }
    limits
}

/// Two pauses of each kind.
fn paused() -> Pauses {
    let mut paused = Pauses::default();
    for reason in [
        WaitReason::Provider,
        WaitReason::Engine,
        WaitReason::Plugin,
        WaitReason::Interrupted,
    ] {
        paused.add(reason);
        paused.add(reason);
    }
    paused
}

fn pin(name: &str) -> PluginPin {
    PluginPin {
        name: name.into(),
        version: "1.0.0".into(),
        digest: Digest::of(name.as_bytes()),
    }
}

fn submitted() -> Job {
    let id = JobId("018f0000-0000-7000-8000-000000000001".parse().unwrap());
    Job::new(
        id,
        "a game".into(),
        PipelineSpec::parse(SPEC).unwrap(),
        at(0),
    )
}

fn go(job: &Job, input: Input) -> Job {
    step(job, input, &limits(), at(1_000)).unwrap().next
}

/// What the store does to a row when a host takes it.
fn taken(mut job: Job) -> Job {
    job.status = Status::Running;
    job
}

fn prompted(tasks: &[&str]) -> Input {
    let tasks = tasks.iter().map(ToString::to_string).collect();
    Input::Prompted {
        plugin: pin("idea"),
        tasks,
        kept: Digest::of(b"kept"),
    }
}

fn ended(failure: Option<FailureKind>) -> Input {
    Input::AgentEnded(Outcome {
        task: "one".into(),
        exit_code: Some(i32::from(failure.is_some())),
        failure: failure.map(|kind| Failure::new(kind, "why")),
        answer: None,
        missing: vec![],
        duration_ms: 5,
        usage: Usage {
            output_tokens: 7,
            ..Usage::default()
        },
        retry_after_ms: None,
        over: None,
    })
}

fn verdict(decision: Decision) -> Input {
    let verdict = Some(Verdict {
        decision,
        message: "because".into(),
        score: None,
        fresh_session: false,
    });
    Input::Validated {
        plugin: pin("idea"),
        verdict,
    }
}

fn failed(error: StepError) -> Input {
    Input::StepFailed {
        plugin: Some(pin("idea")),
        error,
    }
}

fn broken(kind: FailureKind) -> Input {
    Input::Broken(Failure::new(kind, "why"))
}

fn publication() -> Publication {
    let plan = SitePlan {
        slug: "light".into(),
        title: "Light".into(),
        summary: String::new(),
        root: "site".into(),
        entry: "index.html".into(),
        metadata: serde_json::Map::new(),
        single_page: false,
    };
    Publication {
        slug: "light".into(),
        plan,
        folder: "versions/x".into(),
    }
}

/// Every input, in each form that may lead somewhere else.
fn inputs() -> Vec<Input> {
    let mut all = vec![
        Input::Claimed { rescued: false },
        Input::Claimed { rescued: true },
        prompted(&[]),
        prompted(&["one", "two"]),
        ended(None),
        verdict(Decision::Accept),
        verdict(Decision::Revise),
        verdict(Decision::Reject),
        Input::Validated {
            plugin: pin("idea"),
            verdict: None,
        },
        Input::Deployed {
            plugin: pin("static-site"),
            sites: vec![],
        },
        Input::Deployed {
            plugin: pin("static-site"),
            sites: vec![publication()],
        },
        failed(StepError::InvalidJob("no".into())),
        failed(StepError::Unavailable("later".into())),
        failed(StepError::Held("quarantined".into())),
        failed(StepError::Fault("trap".into())),
        Input::HeldBack {
            reason: WaitReason::Provider,
            message: "away".into(),
            pause: std::time::Duration::from_secs(9),
        },
        Input::GivenBack,
        Input::Cancel,
        Input::Resume,
        Input::retry(),
        Input::Feedback {
            text: "bluer".into(),
        },
    ];
    all.extend(FailureKind::ALL.map(|kind| ended(Some(kind))));
    all.extend(FailureKind::ALL.map(broken));
    all
}

/// Jobs in every state, in each form that may lead somewhere else.
fn jobs() -> Vec<Job> {
    let queued = submitted();
    let claimed = taken(queued.clone());
    let idea = go(&claimed, Input::Claimed { rescued: false });
    let working = go(&idea, prompted(&["one", "two"]));
    let second = go(&working, ended(None));
    let validating = go(&second, ended(None));
    let again = go(&validating, verdict(Decision::Revise));
    let last = go(&go(&again, prompted(&["one"])), ended(None));
    let build = go(&validating, verdict(Decision::Accept));
    let build_done = go(&build, prompted(&[]));
    let deploying = go(&build_done, verdict(Decision::Accept));
    let mut no_deploy = build_done.clone();
    no_deploy.spec.deploy = None;
    let mut tired = working.clone();
    tired.phases[0].attempts[0].paused = paused();
    tired.rescues = 2;
    let tired_prompt = Job {
        rescues: 2,
        ..idea.clone()
    };
    let worn = |job: &Job| Job {
        rescues: 2,
        paused: paused(),
        ..job.clone()
    };
    let mut jobs = vec![
        submitted().not_before(Some(at(9_000))),
        go(&working, broken(FailureKind::Provider)),
        worn(&claimed),
        worn(&validating),
        worn(&deploying),
        tired,
        tired_prompt,
        no_deploy,
        go(
            &deploying,
            Input::Deployed {
                plugin: pin("s"),
                sites: vec![publication()],
            },
        ),
        go(&last, verdict(Decision::Revise)),
        go(&deploying, failed(StepError::Fault("trap".into()))),
        go(&second, Input::Cancel),
        go(&queued, Input::Cancel),
        go(&working, Input::GivenBack),
    ];
    jobs.extend([
        queued, claimed, idea, working, second, validating, again, last,
    ]);
    jobs.extend([build, build_done, deploying]);
    jobs
}

#[test]
fn every_state_and_every_input_do_what_the_table_says() {
    let mut seen = std::collections::BTreeSet::new();
    for job in jobs() {
        for input in inputs() {
            let (from, name) = (StateName::of(&job), InputName::of(&input));
            let row = TRANSITIONS
                .iter()
                .find(|(s, i, _)| (*s, *i) == (from, name));
            match (step(&job, input, &limits(), at(1_000)), row) {
                (Err(error), None) => {
                    assert_eq!((error.state, error.input), (from, name));
                }
                (Ok(step), Some((_, _, targets))) => {
                    let to = StateName::of(&step.next);
                    assert!(
                        targets.contains(&to),
                        "{from} --{name}--> {to} isn't in the table"
                    );
                    assert_eq!(step.command, resume(&step.next), "{from} --{name}--> {to}");
                    assert_eq!(step.command.is_some(), step.next.status == Status::Running);
                    assert_eq!(
                        !step.publish.is_empty(),
                        !step.next.sites.is_empty() && job.sites.is_empty()
                    );
                    seen.insert((from, name, to));
                }
                (Ok(step), None) => panic!("{from} took {name}: {:?}", step.next.status),
                (Err(error), Some(_)) => panic!("the table allows it, but: {error}"),
            }
        }
    }
    for (from, name, targets) in TRANSITIONS {
        for to in *targets {
            assert!(
                seen.contains(&(*from, *name, *to)),
                "nothing led {from} --{name}--> {to}"
            );
        }
    }
}

/// A run of the agent that ended since this budget was used up.
fn out_of(kind: BudgetKind) -> Input {
    let Input::AgentEnded(outcome) = ended(Some(FailureKind::Budget)) else {
        panic!("it is one")
    };
    Input::AgentEnded(Outcome {
        over: Some(kind),
        ..outcome
    })
}

#[test]
fn a_job_that_meets_a_budget_waits_as_it_is() {
    let idea = go(&taken(submitted()), Input::Claimed { rescued: false });
    let working = go(&idea, prompted(&["one"]));
    let waits = |input, wait| {
        let mut job = working.clone();
        job.spec.budget_wait = wait;
        step(&job, input, &limits(), at(90_000_000)).unwrap().next
    };
    let day = Some(at(2 * 86_400_000));
    for (kind, wait, until) in [
        (BudgetKind::Phase, BudgetWait::Day, None),
        (BudgetKind::Job, BudgetWait::Day, None),
        (BudgetKind::Group, BudgetWait::Day, day),
        (BudgetKind::Day, BudgetWait::Day, day),
        (BudgetKind::Day, BudgetWait::Person, None),
    ] {
        let job = waits(out_of(kind), wait);
        assert_eq!(job.status, Status::Waiting, "{kind}");
        let waited = job.wait.clone().unwrap();
        assert_eq!(
            (waited.reason, waited.until),
            (WaitReason::Budget, until),
            "{kind}"
        );
        assert_eq!(
            job.usage().output_tokens,
            7,
            "what was spent stays on the bill"
        );
        // Once it may go on, the same attempt does, with the next run of the same session.
        let job = step(&job, Input::Resume, &limits(), at(0)).unwrap().next;
        let mut job = Job {
            status: Status::Running,
            ..job
        };
        job = step(&job, Input::Claimed { rescued: false }, &limits(), at(0))
            .unwrap()
            .next;
        let key = job.run_key().unwrap();
        assert_eq!(
            (key.attempt, key.run),
            (1, working.run_key().unwrap().run + 1)
        );
        assert!(job.session().unwrap().resume);
    }
    // Without a budget of ours there is nothing to wait for: the agent's own is used up.
    let job = waits(ended(Some(FailureKind::Budget)), BudgetWait::Day);
    assert_eq!(job.status, Status::Failed);
}

#[test]
fn the_diagram_in_the_docs_is_the_table() {
    let page = include_str!("../../../../docs/src/jobs.md");
    assert!(
        page.contains(&diagram()),
        "put this into docs/src/jobs.md:\n{}",
        diagram()
    );
}

#[test]
fn the_failure_list_in_the_docs_is_complete() {
    let page = include_str!("../../../../docs/src/failures.md");
    for kind in FailureKind::ALL {
        assert!(
            page.contains(&format!("| `{kind}` |")),
            "docs/src/failures.md lacks `{kind}`"
        );
    }
}

#[test]
fn a_passing_failure_repeats_the_task_under_a_new_name_and_uses_no_attempt() {
    let working = go(
        &go(&taken(submitted()), Input::Claimed { rescued: false }),
        prompted(&["one"]),
    );
    let first = working.run_key().unwrap();
    let waiting = go(&working, ended(Some(FailureKind::Interrupted)));
    assert_eq!(waiting.status, Status::Waiting);
    let resumed = taken(waiting);
    let told = step(
        &resumed,
        Input::Claimed { rescued: false },
        &limits(),
        at(1_000),
    );
    let told: Vec<_> = told.unwrap().events.iter().map(|e| e.kind).collect();
    assert_eq!(told, [EventKind::JobResumed, EventKind::AgentStarted]);
    let again = go(&resumed, Input::Claimed { rescued: false });
    let adopted = step(
        &again,
        Input::Claimed { rescued: true },
        &limits(),
        at(1_000),
    );
    let adopted: Vec<_> = adopted.unwrap().events.iter().map(|e| e.kind).collect();
    assert_eq!(
        adopted,
        [EventKind::JobResumed],
        "an adopted run isn't told twice"
    );
    let second = again.run_key().unwrap();
    assert_eq!((first.run, second.run), (1, 2));
    assert_ne!(first.name("i"), second.name("i"));
    assert_eq!(again.phases[0].attempts.len(), 1);
    assert_eq!(
        again.usage().output_tokens,
        7,
        "what the cut run used stays on the bill"
    );
}

#[test]
fn a_failed_run_skips_later_tasks_and_tells_the_next_attempt_why() {
    let idea = go(&taken(submitted()), Input::Claimed { rescued: false });
    let next = go(
        &go(&idea, prompted(&["one", "two"])),
        ended(Some(FailureKind::AgentTimeout)),
    );
    assert_eq!(StateName::of(&next), StateName::Prompting);
    let [first, second] = &next.phases[0].attempts[..] else {
        panic!("two attempts")
    };
    assert_eq!(first.tasks[1].status, TaskStatus::Skipped);
    assert_eq!(second.feedback.as_deref(), Some("task `one` failed: why"));
    assert_eq!(second.number, 2);
}

#[test]
fn attempts_used_up_fail_the_job_with_the_last_message_and_a_retry_gives_new_ones() {
    let mut job = go(&taken(submitted()), Input::Claimed { rescued: false });
    for _ in 0..2 {
        job = go(&go(&job, prompted(&[])), verdict(Decision::Revise));
    }
    assert_eq!(job.status, Status::Failed);
    assert_eq!(
        job.error,
        Some(Failure::new(FailureKind::NotAccepted, "because"))
    );
    let job = go(&job, Input::retry());
    assert_eq!(
        (job.status, job.phases[0].attempts.len()),
        (Status::Queued, 3)
    );
    let job = go(&taken(job), Input::Claimed { rescued: false });
    let job = go(&go(&job, prompted(&[])), verdict(Decision::Revise));
    assert_eq!(
        StateName::of(&job),
        StateName::Prompting,
        "one more attempt is left"
    );
}

#[test]
fn files_that_are_missing_without_validate_are_a_revise() {
    let idea = go(&taken(submitted()), Input::Claimed { rescued: false });
    let working = go(&idea, prompted(&["one"]));
    let Input::AgentEnded(mut outcome) = ended(None) else {
        unreachable!()
    };
    outcome.missing = vec!["idea.json".into()];
    let done = go(&working, Input::AgentEnded(outcome));
    let next = go(
        &done,
        Input::Validated {
            plugin: pin("idea"),
            verdict: None,
        },
    );
    let told = next.phases[0].attempts[1].feedback.as_deref();
    assert_eq!(told, Some("these files are missing: idea.json"));
}

#[test]
fn only_a_later_attempt_of_a_phase_with_reset_puts_the_workspace_back() {
    let build = jobs()
        .into_iter()
        .find(|job| StateName::of(job) == StateName::Prompting && job.at.unwrap().phase == 1);
    let build = build.unwrap();
    assert_eq!(resume(&build), Some(Command::Prompt { reset: false }));
    let again = go(&go(&build, prompted(&[])), verdict(Decision::Revise));
    assert_eq!(resume(&again), Some(Command::Prompt { reset: true }));
}

#[test]
fn a_new_revision_asks_every_phase_again_and_tells_each_what_is_wanted() {
    let done = jobs()
        .into_iter()
        .find(|job| job.status == Status::Succeeded)
        .unwrap();
    let job = go(
        &done,
        Input::Feedback {
            text: "bluer".into(),
        },
    );
    let job = go(&taken(job), Input::Claimed { rescued: false });
    let attempt = job.attempt().unwrap();
    assert_eq!((attempt.revision, attempt.number), (2, 1));
    assert_eq!(attempt.feedback.as_deref(), Some("bluer"));
    assert!(
        job.phases[1..]
            .iter()
            .all(|phase| phase.status == PhaseStatus::Pending)
    );
}

#[test]
fn a_message_longer_than_its_limit_is_cut_and_says_so() {
    let limits = Limits {
        message_bytes: 4,
        ..limits()
    };
    let idea = go(&taken(submitted()), Input::Claimed { rescued: false });
    let input = failed(StepError::Fault("äöüß".into()));
    let job = step(&idea, input, &limits, at(1)).unwrap().next;
    assert_eq!(job.error.unwrap().message, "äö… (8 bytes in all)");
    let input = failed(StepError::Fault("abcd".into()));
    let job = step(&idea, input, &limits, at(1)).unwrap().next;
    assert_eq!(job.error.unwrap().message, "abcd");
}

#[test]
fn a_job_is_the_same_after_json() {
    for job in jobs() {
        let json = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&json).unwrap(), job);
    }
}

#[test]
fn a_pipeline_file_with_a_fault_names_it() {
    for (file, said) in [
        (
            "name = \"x\"\ncolour = 1\n[[phase]]\nid=\"a\"\nplugin=\"a\"",
            "unknown field `colour`",
        ),
        ("name = \"x\"\nphase = []", "at least one"),
        (
            "name = \"X\"\n[[phase]]\nid=\"a\"\nplugin=\"a\"",
            "`X` must be",
        ),
        (
            "name = \"x\"\n[[phase]]\nid=\"a\"\nplugin=\"a\"\nattempts=0",
            "phase `a`: attempts",
        ),
        (
            "name = \"x\"\n[[phase]]\nid=\"a\"\nplugin=\"a@one\"",
            "not a version range",
        ),
        (
            "name = \"x\"\n[[phase]]\nid=\"a\"\nplugin=\"a\"\ntimeout=\"5\"",
            "not a time",
        ),
        (
            "name = \"x\"\n[[phase]]\nid=\"a\"\nplugin=\"a\"\nmemory=\"2GB\"",
            "not a size",
        ),
        (
            "name = \"x\"\n[[phase]]\nid=\"a\"\nplugin=\"a\"\n[[phase]]\nid=\"a\"\nplugin=\"a\"",
            "twice",
        ),
    ] {
        let error = PipelineSpec::parse(file).unwrap_err().to_string();
        assert!(error.contains(said), "{error:?} doesn't say {said:?}");
    }
}

#[test]
fn a_task_may_narrow_its_phase_and_not_widen_it() {
    let spec = PipelineSpec::parse(SPEC).unwrap();
    let check = |json| {
        serde_json::from_value::<TaskOptions>(json)
            .unwrap()
            .check(&spec.phases[0])
    };
    assert_eq!(
        check(json!({ "timeout": 600, "permissions": "edit" })),
        Ok(())
    );
    assert!(
        check(json!({ "timeout": 601 }))
            .unwrap_err()
            .contains("600")
    );
    assert!(
        check(json!({ "permissions": "full" }))
            .unwrap_err()
            .contains("more than")
    );
    assert!(
        check(json!({ "model": "other" }))
            .unwrap_err()
            .contains("other")
    );
}

#[test]
fn a_job_whose_plugin_is_held_waits_however_often_it_is_asked() {
    let mut job = go(&taken(submitted()), Input::Claimed { rescued: false });
    for _ in 0..limits().back_off.plugin.most * 3 {
        let waits = go(&job, failed(StepError::Held("quarantined".into())));
        assert_eq!(waits.status, Status::Waiting);
        let wait = waits.wait.clone().unwrap();
        assert_eq!(wait.reason, WaitReason::Plugin);
        assert_eq!(wait.until, Some(at(1_000).after(limits().held_pause)));
        job = go(&taken(waits), Input::Claimed { rescued: false });
    }
}

#[test]
fn each_kind_of_passing_failure_has_its_own_patience() {
    let mut job = go(
        &go(&taken(submitted()), Input::Claimed { rescued: false }),
        prompted(&["one"]),
    );
    // Two of each: none of them counts for the other.
    for kind in [FailureKind::Provider, FailureKind::Interrupted].repeat(2) {
        let waits = go(&job, ended(Some(kind)));
        assert_eq!(waits.status, Status::Waiting, "{kind}");
        job = go(&taken(waits), Input::Claimed { rescued: false });
    }
    assert_eq!(job.attempt().unwrap().pauses, 4);
    let failed = go(&job, ended(Some(FailureKind::Interrupted)));
    assert_eq!(failed.error.unwrap().kind, FailureKind::Interrupted);
    let done = go(&job, ended(None));
    assert!(done.attempt().unwrap().paused.is_empty(), "it went well");
}

#[test]
fn a_provider_that_names_a_time_is_given_it_up_to_a_cap() {
    let working = go(
        &go(&taken(submitted()), Input::Claimed { rescued: false }),
        prompted(&["one"]),
    );
    let waits = |ms| {
        let Input::AgentEnded(mut outcome) = ended(Some(FailureKind::Provider)) else {
            unreachable!()
        };
        outcome.retry_after_ms = Some(ms);
        let wait = go(&working, Input::AgentEnded(outcome)).wait.unwrap();
        wait.until.unwrap().since(at(1_000)).as_millis()
    };
    assert_eq!(waits(120_000), 120_000);
    assert_eq!(waits(u64::MAX), 3_600_000);
    assert!((1_000..=2_000).contains(&waits(1)), "the pause is longer");
}

#[test]
fn a_job_of_before_pauses_had_kinds_is_read() {
    let waits = go(
        &go(&taken(submitted()), Input::Claimed { rescued: false }),
        broken(FailureKind::Engine),
    );
    let mut json = serde_json::to_value(&waits).unwrap();
    assert_eq!(json["phases"][0]["attempts"][0]["paused"]["engine"], 1);
    json["phases"][0]["attempts"][0]
        .as_object_mut()
        .unwrap()
        .remove("paused");
    let read: Job = serde_json::from_value(json).unwrap();
    assert!(read.attempt().unwrap().paused.is_empty());
}

#[test]
fn an_outage_that_is_known_uses_up_no_patience_and_begins_no_run() {
    let mut job = go(
        &go(&taken(submitted()), Input::Claimed { rescued: false }),
        prompted(&["one"]),
    );
    let first = job.run_key();
    for _ in 0..limits().back_off.provider.most * 3 {
        let waits = go(
            &job,
            Input::HeldBack {
                reason: WaitReason::Provider,
                message: "api.example fails since noon".into(),
                pause: std::time::Duration::from_secs(9),
            },
        );
        let wait = waits.wait.clone().unwrap();
        assert_eq!(wait.reason, WaitReason::Provider);
        assert_eq!(wait.message, "api.example fails since noon");
        assert_eq!(wait.until, Some(at(10_000)));
        job = go(&taken(waits), Input::Claimed { rescued: false });
        assert_eq!(job.run_key(), first);
    }
    assert_eq!(job.attempt().unwrap().pauses, 0);
}

#[test]
fn a_retry_may_say_what_to_change_wherever_the_job_stopped() {
    let retry = |job: &Job| {
        let params = json!({ "genre": "idle", "size": 3 });
        go(
            job,
            Input::Retry {
                feedback: Some("smaller".into()),
                params: params.as_object().unwrap().clone(),
            },
        )
    };
    let stopped: Vec<Job> = jobs()
        .into_iter()
        .filter(|job| matches!(job.status, Status::Failed | Status::Cancelled))
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    for mut job in stopped {
        job.params.insert("size".into(), json!(1));
        job.params.insert("theme".into(), json!("fog"));
        seen.insert(job.at.map(|at| at.phase));
        let going = go(&taken(retry(&job)), Input::Claimed { rescued: false });
        assert_eq!(
            serde_json::Value::Object(going.params.clone()),
            json!({ "genre": "idle", "size": 3, "theme": "fog" })
        );
        let told = match going.attempt() {
            Some(attempt) => attempt.feedback.as_deref(),
            None => going.feedback.as_deref(),
        };
        assert_eq!(told, Some("smaller"), "{:?}", job.at);
    }
    // Before the first claim, in a phase, and while it deployed.
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        [None, Some(0), Some(2)]
    );
}

#[test]
fn a_refusal_says_which_jobs_could_take_it() {
    let refused = |state, input| IllegalTransition { state, input }.to_string();
    assert_eq!(
        refused(StateName::Working, InputName::Resume),
        "a job that is working can't take `resume`: only one that is waiting can"
    );
    assert_eq!(
        refused(StateName::Queued, InputName::Feedback),
        "a job that is queued can't take `feedback`: only one that is succeeded, failed or \
         cancelled can"
    );
}
