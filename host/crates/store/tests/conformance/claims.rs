//! Who gets which job. What a holder may write is in `commits`.

use crate::setup::*;
use pipeline::{Failure, FailureKind, Input, Job, JobId, Status, StepError, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use store::{Ask, Claimed, Clock, Committed, Hold, TakeOver};
use tokio::sync::Barrier;
use uuid::Uuid;

pub(crate) async fn each_job_is_claimed_once(bed: Bed) {
    const JOBS: usize = 40;
    const HOSTS: usize = 6;
    let stores = [bed.open().await, bed.open().await];
    let mut wanted = BTreeSet::new();
    for n in 0..JOBS {
        wanted.insert(
            submit(&stores[0], job(&format!("job {n}"), bed.now()))
                .await
                .id,
        );
    }
    let barrier = Arc::new(Barrier::new(HOSTS));
    let got = Arc::new(std::sync::Mutex::new(Vec::<JobId>::new()));
    let mut hosts = Vec::new();
    for n in 0..HOSTS {
        let (store, barrier, got) = (stores[n % 2].clone(), barrier.clone(), got.clone());
        hosts.push(tokio::spawn(async move {
            let ask = Ask {
                limit: 3,
                ..ask(&format!("host {n}"))
            };
            barrier.wait().await;
            // An answer may be empty while others are about to commit theirs.
            until("every job", || async {
                for claimed in store.claim(&ask).await.unwrap() {
                    assert_eq!((claimed.lease.0, claimed.rescued), (1, false));
                    assert_eq!(claimed.job.status, Status::Running);
                    got.lock().unwrap().push(claimed.job.id);
                }
                (got.lock().unwrap().len() >= JOBS).then_some(())
            })
            .await;
        }));
    }
    for host in hosts {
        host.await.unwrap();
    }
    let got = got.lock().unwrap();
    assert_eq!(got.len(), JOBS);
    assert_eq!(got.iter().copied().collect::<BTreeSet<_>>(), wanted);
}

pub(crate) async fn by_priority_then_age(bed: Bed) {
    let store = bed.open().await;
    for (name, priority) in [("old", 0), ("low", -5), ("high", 7), ("young", 0)] {
        let mut job = job(name, bed.now());
        job.priority = priority;
        submit(&store, job).await;
    }
    // Waiting makes nobody come later than its priority and age say.
    let mut waited = job("waited", bed.now());
    waited.priority = 1;
    submit(
        &store,
        waited.not_before(Some(bed.now().after(Duration::from_secs(1)))),
    )
    .await;
    bed.advance(Duration::from_secs(1));
    let mut names = Vec::new();
    for limit in [1, 1, 3] {
        let claimed = store.claim(&Ask { limit, ..ask("a") }).await.unwrap();
        names.extend(claimed.into_iter().map(|claimed| claimed.job.name));
    }
    assert_eq!(names, ["high", "waited", "old", "young", "low"]);
    assert_eq!(
        store
            .claim(&Ask {
                limit: 0,
                ..ask("a")
            })
            .await
            .unwrap(),
        []
    );
}

pub(crate) async fn who_waits_long_enough_is_overtaken_by_nobody(bed: Bed) {
    let store = bed.open().await;
    submit(&store, job("old", bed.now())).await;
    for (name, after) in [("first", 5), ("second", 10)] {
        bed.advance(Duration::from_secs(after * 60));
        let mut high = job(name, bed.now());
        high.priority = 10;
        submit(&store, high).await;
    }
    // A point of priority is worth a minute: the second is just as far ahead as it came later.
    let claimed = store.claim(&ask("a")).await.unwrap();
    let names: Vec<&str> = claimed.iter().map(|it| it.job.name.as_str()).collect();
    assert_eq!(names, ["first", "old", "second"]);
}

pub(crate) async fn a_holder_is_told_what_the_job_waited_for(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "paused").await;
    let error = StepError::Unavailable("not loaded".to_owned());
    let plugin = None;
    let waits = go(&store, &hold, &job, Input::StepFailed { plugin, error }).await;
    bed.advance(Duration::from_secs(60));
    let (again, _) = claim_one(&store, &ask("b")).await;
    // By it a step knows that time has passed.
    let reason = |job: &Job| job.wait.as_ref().map(|wait| wait.reason);
    assert_eq!(reason(&again), reason(&waits));
    let read = store.job(job.id).await.unwrap().unwrap();
    assert_eq!((read.status, read.wait), (Status::Running, None));
}

pub(crate) async fn an_agent_in_an_engine_goes_to_a_host_that_reaches_it(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "in an engine").await;
    let mut job = with_agent(&store, &hold, job).await;
    job.engine = Some("blue".to_owned());
    go(&store, &hold, &job, Input::GivenBack).await;
    let reaches = |engine: &str| Ask {
        engines: vec![engine.to_owned()],
        ..ask("b")
    };
    assert_eq!(store.claim(&ask("a")).await.unwrap(), []);
    assert_eq!(store.claim(&reaches("red")).await.unwrap(), []);
    let (job, _) = claim_one(&store, &reaches("blue")).await;
    assert_eq!(job.engine.as_deref(), Some("blue"));
    bed.advance(LEASE + Duration::from_millis(1));
    let expired = |ask: Ask| Ask {
        take_over: TakeOver::Expired,
        host: host("c"),
        ..ask
    };
    assert_eq!(store.claim(&expired(reaches("red"))).await.unwrap(), []);
    claim_one(&store, &expired(reaches("blue"))).await;
}

pub(crate) async fn who_is_idle_knows_for_how_long(bed: Bed) {
    let store = bed.open().await;
    let others = |name: &str| Ask {
        take_over: TakeOver::Expired,
        ..ask(name)
    };
    assert_eq!(store.idle_for(&ask("a")).await.unwrap(), None);
    let at = bed.now().after(Duration::from_secs(5));
    submit(&store, job("later", bed.now()).not_before(Some(at))).await;
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(store.idle_for(&ask("a")).await.unwrap(), seconds(5));
    bed.advance(Duration::from_secs(7));
    assert_eq!(store.idle_for(&ask("a")).await.unwrap(), seconds(0));
    claim_one(&store, &ask("a")).await;
    // A lease of another's that may run out.
    assert_eq!(store.idle_for(&ask("b")).await.unwrap(), None);
    assert_eq!(store.idle_for(&others("a")).await.unwrap(), None);
    assert_eq!(store.idle_for(&others("b")).await.unwrap(), Some(LEASE));
    submit(&store, job("now", bed.now())).await;
    assert_eq!(store.idle_for(&others("b")).await.unwrap(), seconds(0));
}

pub(crate) async fn a_job_with_a_workspace_goes_to_a_host_that_mounts_its_root(bed: Bed) {
    let store = bed.open().await;
    let (mut job, hold) = running(&store, "rooted").await;
    job.root = Some(root("blue"));
    go(&store, &hold, &job, Input::GivenBack).await;
    let other = Ask {
        roots: vec![root("red")],
        ..ask("b")
    };
    assert_eq!(store.claim(&other).await.unwrap(), []);
    assert_eq!(store.claim(&ask("c")).await.unwrap(), []);
    let mounts = Ask {
        roots: vec![root("red"), root("blue")],
        ..ask("d")
    };
    let (job, hold) = claim_one(&store, &mounts).await;
    assert_eq!(job.root, Some(root("blue")));
    assert_eq!(hold.lease.0, 2);
    // The same for those to take over.
    bed.advance(LEASE + Duration::from_millis(1));
    let take_over = TakeOver::Expired;
    assert_eq!(store.claim(&Ask { take_over, ..other }).await.unwrap(), []);
    let mounts = Ask {
        take_over,
        host: host("e"),
        ..mounts
    };
    assert_eq!(claim_one(&store, &mounts).await.1.lease.0, 3);
}

pub(crate) async fn a_waiting_job_is_due_by_the_databases_clock(bed: Bed) {
    let store = bed.open().await;
    let at = bed.now().after(Duration::from_secs(60));
    let sent = submit(&store, job("later", bed.now()).not_before(Some(at))).await;
    assert_eq!(sent.status, Status::Waiting);
    bed.advance(Duration::from_millis(59_999));
    assert_eq!(store.claim(&ask("a")).await.unwrap(), []);
    bed.advance(Duration::from_millis(1));
    let (job, _) = claim_one(&store, &ask("a")).await;
    let job = store.job(job.id).await.unwrap().unwrap();
    assert_eq!((job.status, job.wait), (Status::Running, None));
}

pub(crate) async fn a_pause_is_as_long_by_the_databases_clock_as_by_the_hosts(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "paused").await;
    // A host whose clock is a day behind pauses the job for two seconds.
    let now = Timestamp::from_millis(bed.now().as_millis() - 86_400_000);
    let away = StepError::Unavailable("not loaded".to_owned());
    let paused = change(
        &job,
        Input::StepFailed {
            plugin: None,
            error: away,
        },
        now,
    );
    let pause = paused
        .step
        .next
        .wait
        .clone()
        .unwrap()
        .until
        .unwrap()
        .since(now);
    assert!(matches!(
        store.commit(&hold, &paused).await.unwrap(),
        Committed::Done { .. }
    ));
    let read = store.job(job.id).await.unwrap().unwrap();
    assert_eq!(read.status, Status::Waiting);
    assert_eq!(read.wait.unwrap().until, Some(bed.now().after(pause)));
    bed.advance(pause - Duration::from_millis(1));
    assert_eq!(store.claim(&ask("a")).await.unwrap(), []);
    bed.advance(Duration::from_millis(1));
    claim_one(&store, &ask("a")).await;
}

pub(crate) async fn the_databases_own_clock_counts(bed: Bed) {
    let store = bed.open_by(Clock::Database).await;
    let now = real_now();
    let hour = Duration::from_secs(3600);
    submit(&store, job("later", now).not_before(Some(now.after(hour)))).await;
    // Taken in by a host whose clock is two hours behind: for it this one is to wait.
    let behind = Timestamp::from_millis(now.as_millis() - 7_200_000);
    let due = submit(
        &store,
        job("due", behind).not_before(Some(behind.after(hour))),
    )
    .await;
    assert_eq!(due.status, Status::Waiting);
    let (job, _) = claim_one(&store, &ask("a")).await;
    assert_eq!(job.id, due.id);
    let take_over = TakeOver::Expired;
    assert_eq!(
        store
            .claim(&Ask {
                take_over,
                ..ask("b")
            })
            .await
            .unwrap(),
        []
    );
}

pub(crate) async fn a_heartbeat_extends_what_is_held_and_names_what_is_lost(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "held").await;
    let old = Hold {
        lease: pipeline::Lease(hold.lease.0 - 1),
        ..hold.clone()
    };
    let gone = Hold {
        job: JobId(Uuid::now_v7()),
        ..hold.clone()
    };
    bed.advance(LEASE);
    let beats = store
        .heartbeat(&hold.host, &[old, hold.clone(), gone], LEASE)
        .await
        .unwrap();
    assert_eq!(beats.len(), 1);
    assert_eq!((&beats[0].hold, beats[0].cancel_requested), (&hold, false));
    // Another host's word counts for nothing.
    assert_eq!(
        store
            .heartbeat(&host("b"), std::slice::from_ref(&hold), LEASE)
            .await
            .unwrap(),
        []
    );
    bed.advance(LEASE);
    let expired = Ask {
        take_over: TakeOver::Expired,
        ..ask("b")
    };
    assert_eq!(store.claim(&expired).await.unwrap(), []);
    store
        .cancel(job.id, &pipeline::Limits::default(), bed.now())
        .await
        .unwrap();
    let beats = store
        .heartbeat(&hold.host, std::slice::from_ref(&hold), LEASE)
        .await
        .unwrap();
    assert!(beats[0].cancel_requested);
    let failed = Failure::new(FailureKind::Internal, "over");
    let change = store::Change {
        on_cancel: store::OnCancel::Ignore,
        ..change(&job, Input::Broken(failed), bed.now())
    };
    store.commit(&hold, &change).await.unwrap();
    // A job that has ended is nobody's.
    assert_eq!(
        store.heartbeat(&host("a"), &[hold], LEASE).await.unwrap(),
        []
    );
}

pub(crate) async fn an_expired_lease_is_taken_over_only_when_asked_for(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "orphan").await;
    let expired = Ask {
        take_over: TakeOver::Expired,
        ..ask("b")
    };
    bed.advance(LEASE);
    assert_eq!(store.claim(&expired).await.unwrap(), []);
    bed.advance(Duration::from_millis(1));
    assert_eq!(store.claim(&ask("b")).await.unwrap(), []);
    let own = Ask {
        take_over: TakeOver::Own,
        ..ask("b")
    };
    assert_eq!(store.claim(&own).await.unwrap(), []);
    // Taken over before what is only queued.
    let mut high = crate::setup::job("high", bed.now());
    high.priority = 9;
    submit(&store, high).await;
    let claimed = store.claim(&expired).await.unwrap();
    let said: Vec<_> = claimed
        .iter()
        .map(|c| (c.job.name.as_str(), c.rescued))
        .collect();
    assert_eq!(said, [("orphan", true), ("high", false)]);
    assert_eq!(claimed[0].lease.0, hold.lease.0 + 1);
    assert_eq!(claimed[0].job.host, Some(host("b")));
    assert_eq!(claimed[0].job.at, job.at);
    // Once it is taken, its lease is new.
    let late = Ask {
        host: host("c"),
        ..expired
    };
    assert_eq!(store.claim(&late).await.unwrap(), []);
}

pub(crate) async fn a_host_takes_its_own_back_at_once(bed: Bed) {
    let store = bed.open().await;
    let (_, first) = running(&store, "first").await;
    let (_, second) = running(&store, "second").await;
    let held = vec![first.clone(), second.clone()];
    let own = Ask {
        take_over: TakeOver::Own,
        held,
        ..ask("a")
    };
    assert_eq!(store.claim(&own).await.unwrap(), []);
    // Nor what it holds where all leases have run out: it fences itself.
    bed.advance(LEASE * 2);
    let expired = Ask {
        take_over: TakeOver::Expired,
        ..own.clone()
    };
    assert_eq!(store.claim(&expired).await.unwrap(), []);
    let own = Ask {
        held: vec![first],
        ..own
    };
    let claimed: Vec<Claimed> = store.claim(&own).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].job.id, claimed[0].rescued), (second.job, true));
    assert_eq!(claimed[0].lease.0, second.lease.0 + 1);
}

pub(crate) async fn a_row_that_cant_be_read_stops_no_other(bed: Bed) {
    let store = bed.open().await;
    let bad = submit(&store, job("bad", bed.now())).await;
    bed.execute("UPDATE jobs SET body = '{\"later\": true}'")
        .await;
    let good = submit(&store, job("good", bed.now())).await;
    let (job, _) = claim_one(&store, &ask("a")).await;
    assert_eq!(job.id, good.id);
    assert_eq!(store.claim(&ask("a")).await.unwrap(), []);
    let filter = store::Filter {
        limit: 10,
        ..store::Filter::default()
    };
    assert_eq!(store.jobs(&filter).await.unwrap().items.len(), 1);
    let error = store.job(bad.id).await.unwrap_err();
    assert_eq!(error.code(), "store-unreadable");
    // Its holder died, and then came one that can read nothing of it: the same.
    bed.execute("UPDATE jobs SET body = '' WHERE status = 'running'")
        .await;
    bed.advance(LEASE * 2);
    let expired = Ask {
        take_over: TakeOver::Expired,
        ..ask("b")
    };
    assert_eq!(store.claim(&expired).await.unwrap(), []);
}

pub(crate) async fn a_reaper_sees_who_holds_what(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "held").await;
    let resting = submit(&store, crate::setup::job("queued", bed.now())).await;
    let prompted = Input::Prompted {
        plugin: pin(),
        tasks: vec!["write".to_owned()],
        kept: pipeline::Digest::of(b""),
    };
    let job = go(&store, &hold, &job, prompted).await;
    let nowhere = JobId(Uuid::now_v7());
    let states = store.states(&[job.id, resting.id, nowhere]).await.unwrap();
    assert_eq!(states.len(), 2);
    assert_eq!(states[&job.id].status, Status::Running);
    assert_eq!(states[&job.id].host, Some(host("a")));
    assert_eq!(states[&job.id].current, job.run_key());
    assert!(states[&job.id].current.is_some());
    assert_eq!(states[&resting.id].host, None);
    assert_eq!(states[&resting.id].current, None);
}
