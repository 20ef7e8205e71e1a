//! What a holder may write, and what a cancel does to it. Who holds a job is in `claims`.

use crate::setup::*;
use pipeline::{
    Digest, EventKind, Input, InputName, Job, Limits, Publication, SitePlan, StateName, Status,
};
use std::sync::Arc;
use std::time::Duration;
use store::{Acted, Ask, Change, Committed, OnCancel, TakeOver};
use tokio::sync::Barrier;

fn prompted(kept: &[u8]) -> Input {
    Input::Prompted {
        plugin: pin(),
        tasks: vec!["write".to_owned()],
        kept: Digest::of(kept),
    }
}

fn cancel(job: &Job) -> Change {
    Change {
        on_cancel: OnCancel::Ignore,
        ..change(job, Input::Cancel, real_now())
    }
}

pub(crate) async fn a_commit_is_state_events_and_blobs(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "work").await;
    let mut change = change(&job, prompted(b"kept"), bed.now());
    change.blobs.push((Digest::of(b"kept"), b"kept".to_vec()));
    let told = store.job_events(job.id, 0, 100).await.unwrap();
    let kinds: Vec<_> = told.iter().map(|event| event.kind).collect();
    use EventKind as K;
    assert_eq!(kinds, [K::JobQueued, K::JobStarted, K::PhaseStarted]);
    let done = store.commit(&hold, &change).await.unwrap();
    assert_eq!(done, Committed::Done { seq: 4 });
    let read = store.job(job.id).await.unwrap().unwrap();
    let expected = Job {
        host: Some(host("a")),
        ..change.step.next.clone()
    };
    assert_eq!(read, expected);
    let told = store.job_events(job.id, 3, 100).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].seq, told[0].kind, told[0].at),
        (4, K::AgentStarted, bed.now())
    );
    assert_eq!(told[0].data, change.step.events[0].data);
    assert_eq!(
        (told[0].phase.as_deref(), told[0].attempt),
        (Some("idea"), Some(1))
    );
    let kept = store.blob(&Digest::of(b"kept")).await.unwrap();
    assert_eq!(kept.as_deref(), Some(&b"kept"[..]));
    // Nothing hinders the same bytes from coming again.
    assert!(matches!(
        store.commit(&hold, &change).await.unwrap(),
        Committed::Done { .. }
    ));
}

pub(crate) async fn no_write_under_an_old_lease_changes_anything(bed: Bed) {
    let store = bed.open().await;
    let (job, old) = running(&store, "work").await;
    bed.advance(LEASE * 2);
    let expired = Ask {
        take_over: TakeOver::Expired,
        ..ask("b")
    };
    let (_, new) = claim_one(&store, &expired).await;
    let before = store.job(job.id).await.unwrap();
    let told = store.job_events(job.id, 0, 100).await.unwrap();
    let mut late = change(&job, prompted(b"late"), bed.now());
    late.blobs.push((Digest::of(b"late"), b"late".to_vec()));
    for on_cancel in [OnCancel::Refuse, OnCancel::Ignore] {
        let late = Change {
            on_cancel,
            ..late.clone()
        };
        assert_eq!(
            store.commit(&old, &late).await.unwrap(),
            Committed::LeaseLost
        );
    }
    let text = [event(EventKind::AgentMessage)];
    assert!(!store.append(&old, &text, &[line("late")]).await.unwrap());
    assert_eq!(store.reserve_slug(&old, "late", 0).await.unwrap(), None);
    assert_eq!(
        store
            .heartbeat(&old.host, std::slice::from_ref(&old), LEASE)
            .await
            .unwrap(),
        []
    );
    // The right number under the wrong name is no better.
    let forged = store::Hold {
        host: old.host,
        ..new.clone()
    };
    assert_eq!(
        store.commit(&forged, &late).await.unwrap(),
        Committed::LeaseLost
    );
    assert_eq!(store.job(job.id).await.unwrap(), before);
    assert_eq!(store.job_events(job.id, 0, 100).await.unwrap(), told);
    assert_eq!(store.logs(job.id, 0, 100).await.unwrap(), []);
    assert_eq!(store.blob(&Digest::of(b"late")).await.unwrap(), None);
    go(&store, &new, &job, prompted(b"in time")).await;
}

pub(crate) async fn a_cancel_before_a_commit_refuses_it(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "work").await;
    let acted = store
        .cancel(job.id, &Limits::default(), bed.now())
        .await
        .unwrap();
    let Acted::Done(asked) = acted else {
        panic!("{acted:?}")
    };
    assert!(asked.cancel_requested && asked.status == Status::Running);
    let late = change(&job, prompted(b""), bed.now());
    assert_eq!(
        store.commit(&hold, &late).await.unwrap(),
        Committed::CancelRequested
    );
    let read = store.job(job.id).await.unwrap().unwrap();
    assert_eq!(read, *asked);
    // A line may still be written: only what moves the job is refused.
    assert!(store.append(&hold, &[], &[line("stopping")]).await.unwrap());
    assert!(matches!(
        store.commit(&hold, &cancel(&read)).await.unwrap(),
        Committed::Done { .. }
    ));
    let read = store.job(job.id).await.unwrap().unwrap();
    assert_eq!((read.status, read.host), (Status::Cancelled, None));
    let last = store
        .job_events(job.id, 0, 100)
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!(last.kind, EventKind::JobCancelled);
}

pub(crate) async fn a_cancel_after_a_commit_is_seen_by_the_next(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "work").await;
    let job = go(&store, &hold, &job, prompted(b"")).await;
    store
        .cancel(job.id, &Limits::default(), bed.now())
        .await
        .unwrap();
    let back = change(&job, Input::GivenBack, bed.now());
    assert_eq!(
        store.commit(&hold, &back).await.unwrap(),
        Committed::CancelRequested
    );
    // The request outlives its holder.
    bed.advance(LEASE * 2);
    let expired = Ask {
        take_over: TakeOver::Expired,
        ..ask("b")
    };
    let (job, hold) = claim_one(&store, &expired).await;
    assert!(job.cancel_requested);
    store.commit(&hold, &cancel(&job)).await.unwrap();
    assert_eq!(
        store.job(job.id).await.unwrap().unwrap().status,
        Status::Cancelled
    );
}

pub(crate) async fn a_cancel_and_the_last_commit_at_once_agree(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    for round in 0..20 {
        let (job, hold) = deploying(&stores[0], &format!("round {round}")).await;
        let last = change(
            &job,
            Input::Deployed {
                plugin: pin(),
                sites: Vec::new(),
            },
            bed.now(),
        );
        let barrier = Arc::new(Barrier::new(2));
        let person = tokio::spawn({
            let (store, barrier, id, now) = (stores[1].clone(), barrier.clone(), job.id, bed.now());
            async move {
                barrier.wait().await;
                store.cancel(id, &Limits::default(), now).await.unwrap()
            }
        });
        barrier.wait().await;
        let committed = stores[0].commit(&hold, &last).await.unwrap();
        let acted = person.await.unwrap();
        let read = stores[1].job(job.id).await.unwrap().unwrap();
        match (committed, acted) {
            (Committed::Done { .. }, Acted::Illegal(late)) => {
                assert_eq!(
                    (late.state, late.input),
                    (StateName::Succeeded, InputName::Cancel)
                );
                assert_eq!(
                    (read.status, read.cancel_requested),
                    (Status::Succeeded, false)
                );
            }
            (Committed::CancelRequested, Acted::Done(_)) => {
                assert_eq!(
                    (read.status, read.cancel_requested),
                    (Status::Running, true)
                );
                stores[0].commit(&hold, &cancel(&read)).await.unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn a_job_that_rests_is_let_go_of(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "work").await;
    let back = go(&store, &hold, &job, Input::GivenBack).await;
    let read = store.job(job.id).await.unwrap().unwrap();
    assert_eq!((read.status, read.host), (Status::Queued, None));
    let again = change(&job, prompted(b""), bed.now());
    assert_eq!(
        store.commit(&hold, &again).await.unwrap(),
        Committed::LeaseLost
    );
    let (read, hold) = claim_one(&store, &ask("b")).await;
    assert_eq!((read.at, hold.lease.0), (back.at, 2));
}

pub(crate) async fn a_commit_that_fails_changes_nothing(bed: Bed) {
    let store = bed.open().await;
    let (_, mine) = deploying(&store, "mine").await;
    store.reserve_slug(&mine, "fog", 0).await.unwrap();
    let (job, hold) = deploying(&store, "other").await;
    let before = store.job(job.id).await.unwrap();
    let sites = vec![Publication {
        slug: "fog".to_owned(),
        plan: SitePlan {
            slug: "fog".to_owned(),
            title: "Fog".to_owned(),
            summary: String::new(),
            root: String::new(),
            entry: "index.html".to_owned(),
            metadata: serde_json::Map::new(),
            single_page: false,
        },
        folder: "versions/1".to_owned(),
    }];
    let theirs = change(
        &job,
        Input::Deployed {
            plugin: pin(),
            sites,
        },
        bed.now(),
    );
    let error = store.commit(&hold, &theirs).await.unwrap_err();
    assert_eq!(error.code(), "slug-taken");
    assert_eq!(store.job(job.id).await.unwrap(), before);
    assert_eq!(store.site("fog").await.unwrap(), None);
    let told = store.job_events(job.id, 0, 100).await.unwrap();
    assert!(
        told.iter()
            .all(|event| event.kind != EventKind::JobSucceeded)
    );
    // The lease holds on.
    let beats = store
        .heartbeat(
            &hold.host,
            std::slice::from_ref(&hold),
            Duration::from_secs(1),
        )
        .await;
    assert_eq!(beats.unwrap().len(), 1);
}

pub(crate) async fn what_a_later_version_wrote_of_a_job_is_kept(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "work").await;
    go(&store, &hold, &job, Input::GivenBack).await;
    let mut body: serde_json::Value = job_body(&bed).await;
    body["colour"] = "red".into();
    body["phases"][0]["attempts"][0]["mood"] = "calm".into();
    bed.set_body(job.id, &body.to_string()).await;
    // A holder's commits, and then a person's act.
    let (job, hold) = claim_one(&store, &ask("b")).await;
    let job = go(&store, &hold, &job, Input::Claimed { rescued: false }).await;
    let job = with_agent(&store, &hold, job).await;
    go(&store, &hold, &job, Input::GivenBack).await;
    let limits = Limits::default();
    let acted = store.act(job.id, Input::Cancel, &limits, bed.now()).await;
    assert!(matches!(acted.unwrap(), Acted::Done(_)));
    let read = job_body(&bed).await;
    assert_eq!(read["status"], "cancelled");
    assert_eq!(read["colour"], "red");
    assert_eq!(read["phases"][0]["attempts"][0]["mood"], "calm");
    assert_eq!(read["phases"][0]["attempts"][0]["tasks"][0]["name"], "work");
}

/// Of the only job.
async fn job_body(bed: &Bed) -> serde_json::Value {
    let bodies = bed.texts("SELECT body FROM jobs").await;
    serde_json::from_str(&bodies[0]).unwrap()
}
