//! What hosts remember of plugins together: a file's past, holds, and recorded calls.

use crate::setup::{Bed, SOON, Store, job, submit, until};
use pipeline::{
    BlameRule, Digest, EventKind, HoldKind, Job, JobId, PluginHold, PluginPin, RecordedCall,
    Timestamp,
};
use std::sync::Arc;
use std::time::Duration;
use store::{ApiStore, Faulted, Position, RolledBack, Wake};

fn pin(version: &str) -> PluginPin {
    PluginPin {
        name: "idea".into(),
        version: version.into(),
        digest: Digest::of(version.as_bytes()),
    }
}

async fn accepted(bed: &Bed, store: &Arc<dyn Store>, version: &str) {
    store
        .accepted("idea.wasm", &pin(version), version.as_bytes())
        .await
        .unwrap();
    bed.advance(Duration::from_secs(1));
}

async fn submitted_by(bed: &Bed, store: &Arc<dyn Store>, who: &str) -> JobId {
    let job = Job {
        submitter: who.into(),
        ..job("a game", bed.now())
    };
    submit(store, job).await.id
}

async fn fault(store: &Arc<dyn Store>, version: &str, job: JobId) -> Option<PluginHold> {
    let fault = Faulted {
        pin: pin(version),
        job,
        step: "prompt".into(),
        message: "trapped".into(),
    };
    store.faulted(&fault, &BlameRule::default()).await.unwrap()
}

pub(crate) async fn what_a_file_held_is_remembered_until_it_is_removed(bed: Bed) {
    let store = bed.open().await;
    for version in ["1.0.0", "2.0.0", "2.0.0", "1.0.0"] {
        accepted(&bed, &store, version).await;
    }
    let held = store.held_by("idea.wasm").await.unwrap();
    let versions: Vec<&str> = held.iter().map(|it| it.pin.version.as_str()).collect();
    assert_eq!(versions, ["1.0.0", "2.0.0"]);
    assert!(held[0].at > held[1].at);
    let bytes = store.blob(&pin("2.0.0").digest).await.unwrap();
    assert_eq!(bytes.as_deref(), Some(&b"2.0.0"[..]));

    store.forget_file("idea.wasm").await.unwrap();
    assert!(store.held_by("idea.wasm").await.unwrap().is_empty());
    // Phases that began with it go on.
    assert!(store.blob(&pin("2.0.0").digest).await.unwrap().is_some());
}

pub(crate) async fn a_job_that_faults_alone_takes_nothing_away(bed: Bed) {
    let store = bed.open().await;
    accepted(&bed, &store, "1.0.0").await;
    let job = submitted_by(&bed, &store, "local").await;
    for _ in 0..10 {
        assert_eq!(fault(&store, "1.0.0", job).await, None);
    }
    assert!(store.holds().await.unwrap().is_empty());
}

pub(crate) async fn one_submitter_takes_nothing_from_others(bed: Bed) {
    let store = bed.open().await;
    accepted(&bed, &store, "1.0.0").await;
    for other in ["token:b", "token:c"] {
        submitted_by(&bed, &store, other).await;
    }
    for _ in 0..10 {
        let job = submitted_by(&bed, &store, "token:a").await;
        assert_eq!(fault(&store, "1.0.0", job).await, None);
    }
}

pub(crate) async fn a_fresh_swap_that_faults_for_many_is_rolled_back_and_told(bed: Bed) {
    let store = bed.open().await;
    let mut wakes = ApiStore::wakes(store.as_ref());
    accepted(&bed, &store, "1.0.0").await;
    accepted(&bed, &store, "2.0.0").await;
    let mut hold = None;
    for who in ["token:a", "token:b", "token:c"] {
        assert_eq!(hold, None);
        let job = submitted_by(&bed, &store, who).await;
        hold = fault(&store, "2.0.0", job).await;
    }
    let hold = hold.unwrap();
    assert_eq!(
        (hold.kind, &hold.pin),
        (HoldKind::RolledBack, &pin("2.0.0"))
    );
    assert!(hold.message.contains("3 jobs") && hold.message.contains("trapped"));
    assert_eq!(store.holds().await.unwrap(), std::slice::from_ref(&hold));
    let woken = async { while wakes.recv().await.unwrap() != Wake::Plugins {} };
    tokio::time::timeout(SOON, woken).await.unwrap();
    // It waits for what others have open.
    let told = until("the event", || async {
        let told = store.stream(Position::default(), 100).await.unwrap();
        let of_it = |it: &&pipeline::StoredEvent| it.kind == EventKind::PluginRolledBack;
        let told = told.iter().filter(of_it).count();
        (told > 0).then_some(told)
    });
    assert_eq!(told.await, 1);
    // One more fault, of a call that was under way, changes nothing.
    let late = submitted_by(&bed, &store, "token:a").await;
    assert_eq!(fault(&store, "2.0.0", late).await, Some(hold));
}

pub(crate) async fn the_only_one_is_quarantined_and_can_be_released(bed: Bed) {
    let store = bed.open().await;
    accepted(&bed, &store, "1.0.0").await;
    let mut hold = None;
    // One token has submitted everything: different jobs are enough.
    for _ in 0..3 {
        let job = submitted_by(&bed, &store, "token:a").await;
        hold = fault(&store, "1.0.0", job).await;
    }
    assert_eq!(hold.unwrap().kind, HoldKind::Quarantined);
    assert_eq!(store.release("idea").await.unwrap(), [pin("1.0.0").digest]);
    assert!(store.release("idea").await.unwrap().is_empty());
    assert!(store.holds().await.unwrap().is_empty());
    // It begins anew.
    let job = submitted_by(&bed, &store, "token:a").await;
    assert_eq!(fault(&store, "1.0.0", job).await, None);
}

pub(crate) async fn faults_at_once_are_judged_together(bed: Bed) {
    let store = bed.open().await;
    accepted(&bed, &store, "1.0.0").await;
    let mut faults = Vec::new();
    for _ in 0..3 {
        let job = submitted_by(&bed, &store, "local").await;
        let store = store.clone();
        faults.push(tokio::spawn(
            async move { fault(&store, "1.0.0", job).await },
        ));
    }
    let mut holds = Vec::new();
    for fault in faults {
        holds.extend(fault.await.unwrap());
    }
    assert_eq!(holds.len(), 1, "the last of the three sees all of them");
}

pub(crate) async fn a_person_rolls_back_what_has_something_older(bed: Bed) {
    let store = bed.open().await;
    accepted(&bed, &store, "1.0.0").await;
    let nothing = store.roll_back(&pin("1.0.0"), "by hand").await.unwrap();
    assert_eq!(nothing, RolledBack::NothingElse);
    accepted(&bed, &store, "2.0.0").await;
    let RolledBack::Held(hold) = store.roll_back(&pin("2.0.0"), "by hand").await.unwrap() else {
        panic!("1.0.0 is there")
    };
    assert_eq!(
        (hold.kind, hold.message.as_str()),
        (HoldKind::RolledBack, "by hand")
    );
    // What is held is nothing to go back to.
    let nothing = store.roll_back(&pin("1.0.0"), "by hand").await.unwrap();
    assert_eq!(nothing, RolledBack::NothingElse);
}

pub(crate) async fn recorded_calls_are_the_newest_of_each_plugin(bed: Bed) {
    let store = bed.open().await;
    let job = submitted_by(&bed, &store, "local").await;
    let call = |name: &str, body: Vec<u8>, ms: i64| RecordedCall {
        pin: PluginPin {
            name: name.into(),
            ..pin("1.0.0")
        },
        step: "prompt".into(),
        job,
        at: Timestamp::from_millis(ms),
        body,
    };
    for ms in 0..60 {
        let body = format!("{ms}\0").into_bytes();
        store.record(&call("idea", body, ms)).await.unwrap();
    }
    store.record(&call("plan", b"p".to_vec(), 0)).await.unwrap();
    let recorded = store.recorded("idea", 100).await.unwrap();
    assert_eq!(recorded.len(), 50);
    assert_eq!(recorded[0], call("idea", b"59\0".to_vec(), 59));
    assert_eq!(store.recorded("plan", 100).await.unwrap().len(), 1);

    // Their bytes together have a limit too; the newest stays in any case that fits.
    for ms in 60..63 {
        store
            .record(&call("idea", vec![7; 30 << 20], ms))
            .await
            .unwrap();
    }
    let recorded = store.recorded("idea", 100).await.unwrap();
    let times: Vec<i64> = recorded.iter().map(|call| call.at.as_millis()).collect();
    assert_eq!(times, [62, 61]);
    store.delete(job).await.unwrap();
    assert!(store.recorded("idea", 100).await.unwrap().is_empty());
}
