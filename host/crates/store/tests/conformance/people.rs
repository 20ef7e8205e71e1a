//! What people and hosts ask for without holding a job: submit, act, delete, reports.

use crate::setup::*;
use pipeline::{
    Digest, EventKind, Failure, FailureKind, Input, InputName, JobId, Limits, PipelineSpec,
    StateName, Status,
};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::{
    Acted, Ask, Change, Deleted, Filter, HostReport, Idempotency, NewJob, OnCancel, PipelineEntry,
    Submitted,
};
use tokio::sync::Barrier;
use uuid::Uuid;

fn request(bed: &Bed, body: &[u8]) -> NewJob {
    NewJob {
        job: job("again", bed.now()),
        idempotency: Some(Idempotency {
            key: "key\0 1".to_owned(),
            body: Digest::of(body),
        }),
        unique: None,
    }
}

pub(crate) async fn the_same_request_makes_one_job(bed: Bed) {
    let store = bed.open().await;
    let first = store.submit(&request(&bed, b"a")).await.unwrap();
    let Submitted::New(first) = first else {
        panic!("{first:?}")
    };
    assert_eq!(first.number, 1);
    let same = store.submit(&request(&bed, b"a")).await.unwrap();
    assert_eq!(same, Submitted::Same(first.clone()));
    let reused = store.submit(&request(&bed, b"b")).await.unwrap();
    assert_eq!(reused, Submitted::KeyReused);
    let page = store
        .jobs(&Filter {
            limit: 9,
            ..Filter::default()
        })
        .await
        .unwrap();
    assert_eq!(page.items, [*first.clone()]);
    // The key goes with its job.
    store.delete(first.id).await.unwrap();
    assert!(matches!(
        store.submit(&request(&bed, b"b")).await.unwrap(),
        Submitted::New(_)
    ));
}

pub(crate) async fn the_same_request_twice_at_once_makes_one_job(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    let barrier = Arc::new(Barrier::new(4));
    let mut clients = Vec::new();
    for n in 0..4 {
        let (store, barrier, new) = (stores[n % 2].clone(), barrier.clone(), request(&bed, b"a"));
        clients.push(tokio::spawn(async move {
            barrier.wait().await;
            store.submit(&new).await.unwrap()
        }));
    }
    let (mut new, mut same) = (0, 0);
    for client in clients {
        match client.await.unwrap() {
            Submitted::New(_) => new += 1,
            Submitted::Same(_) => same += 1,
            other => panic!("the body is the same: {other:?}"),
        }
    }
    assert_eq!((new, same), (1, 3));
}

pub(crate) async fn retry_and_feedback(bed: Bed) {
    let store = bed.open().await;
    let limits = Limits::default();
    let (job, hold) = running(&store, "work").await;
    let retry = || Input::retry();
    let illegal = store
        .act(job.id, retry(), &limits, bed.now())
        .await
        .unwrap();
    let Acted::Illegal(why) = illegal else {
        panic!("{illegal:?}")
    };
    assert_eq!(
        (why.state, why.input),
        (StateName::Prompting, InputName::Retry)
    );
    let nowhere = JobId(Uuid::now_v7());
    let none = store
        .act(nowhere, retry(), &limits, bed.now())
        .await
        .unwrap();
    assert_eq!(none, Acted::NotFound);

    let broken = Input::Broken(Failure::new(FailureKind::Internal, "broke"));
    go(&store, &hold, &job, broken).await;
    let last = store.job_events(job.id, 0, 100).await.unwrap().len();
    let acted = store
        .act(job.id, retry(), &limits, bed.now())
        .await
        .unwrap();
    let Acted::Done(again) = acted else {
        panic!("{acted:?}")
    };
    assert_eq!((again.status, again.revision), (Status::Queued, 1));
    assert_eq!(store.job(job.id).await.unwrap(), Some(*again));
    let told = store
        .job_events(job.id, i64::try_from(last).unwrap(), 100)
        .await
        .unwrap();
    assert_eq!(told[0].kind, EventKind::JobQueued);

    let (job, hold) = claim_one(&store, &ask("a")).await;
    let broken = Input::Broken(Failure::new(FailureKind::Internal, "broke"));
    go(&store, &hold, &job, broken).await;
    let feedback = Input::Feedback {
        text: "more fog".to_owned(),
    };
    let acted = store
        .act(job.id, feedback, &limits, bed.now())
        .await
        .unwrap();
    assert!(matches!(acted, Acted::Done(_)));
    let (job, hold) = claim_one(&store, &ask("a")).await;
    assert_eq!((job.revision, hold.lease.0), (2, 3));
    assert_eq!(job.feedback.as_deref(), Some("more fog"));
}

pub(crate) async fn cancel_of_what_rests_and_of_what_runs(bed: Bed) {
    let store = bed.open().await;
    let limits = Limits::default();
    let later = Some(bed.now().after(Duration::from_secs(9)));
    for rests in [
        job("queued", bed.now()),
        job("waiting", bed.now()).not_before(later),
    ] {
        let rests = submit(&store, rests).await;
        let acted = store.cancel(rests.id, &limits, bed.now()).await.unwrap();
        assert!(matches!(acted, Acted::Done(job) if job.status == Status::Cancelled));
        let acted = store.cancel(rests.id, &limits, bed.now()).await.unwrap();
        assert!(matches!(acted, Acted::Illegal(_)), "{acted:?}");
    }
    bed.advance(Duration::from_secs(10));
    assert_eq!(store.claim(&ask("a")).await.unwrap(), []);

    let (job, hold) = running(&store, "runs").await;
    for _ in 0..2 {
        let acted = store.cancel(job.id, &limits, bed.now()).await.unwrap();
        assert!(matches!(acted, Acted::Done(job) if job.cancel_requested));
    }
    let job = store.job(job.id).await.unwrap().unwrap();
    let change = Change {
        on_cancel: OnCancel::Ignore,
        ..change(&job, Input::Cancel, bed.now())
    };
    store.commit(&hold, &change).await.unwrap();
    // Going again, nobody asks for its end any more.
    let retry = Input::retry();
    store.act(job.id, retry, &limits, bed.now()).await.unwrap();
    assert!(!store.job(job.id).await.unwrap().unwrap().cancel_requested);
    let (job, hold) = claim_one(&store, &ask("a")).await;
    go(&store, &hold, &job, Input::GivenBack).await;
}

pub(crate) async fn delete_takes_all_that_is_the_jobs(bed: Bed) {
    let store = bed.open().await;
    let (mut job, hold) = running(&store, "work").await;
    job.root = Some(root("blue"));
    let mut failed = change(
        &job,
        Input::Broken(Failure::new(FailureKind::Internal, "broke")),
        bed.now(),
    );
    failed.blobs.push((Digest::of(b"mine"), b"mine".to_vec()));
    store.append(&hold, &[], &[line("text")]).await.unwrap();
    let slug = store.reserve_slug(&hold, "fog", 0).await.unwrap();
    assert_eq!(slug.as_deref(), Some("fog"));
    assert_eq!(store.delete(job.id).await.unwrap(), Deleted::Running);
    store.commit(&hold, &failed).await.unwrap();
    // Another job has the same bytes: they are its own.
    let (other, theirs) = running(&store, "other").await;
    let mut kept = change(&other, Input::GivenBack, bed.now());
    kept.blobs.push((Digest::of(b"mine"), b"mine".to_vec()));
    store.commit(&theirs, &kept).await.unwrap();

    assert_eq!(
        store.delete(job.id).await.unwrap(),
        Deleted::Done(Some(root("blue")))
    );
    assert_eq!(store.delete(job.id).await.unwrap(), Deleted::NotFound);
    assert_eq!(store.job(job.id).await.unwrap(), None);
    assert_eq!(store.job_events(job.id, 0, 9).await.unwrap(), []);
    assert_eq!(store.logs(job.id, 0, 9).await.unwrap(), []);
    assert!(store.blob(&Digest::of(b"mine")).await.unwrap().is_some());
    assert_eq!(store.delete(other.id).await.unwrap(), Deleted::Done(None));
    assert_eq!(store.blob(&Digest::of(b"mine")).await.unwrap(), None);
    // Its address is free, its number isn't.
    let (next, hold) = running(&store, "next").await;
    assert_eq!(next.number, 3);
    assert_eq!(store.reserve_slug(&hold, "fog", 0).await.unwrap(), slug);
}

fn report(bed: &Bed, name: &str) -> HostReport {
    HostReport {
        host: host(name),
        role: "driver".to_owned(),
        version: "0.1.0".to_owned(),
        started_at: bed.now(),
        runner: json!({ "kind": "process", "nul": "\0" }),
        agent: json!(null),
        plugins: Vec::new(),
        refused: Vec::new(),
        roots: vec![root("blue")],
    }
}

pub(crate) async fn hosts_are_alive_for_a_lease(bed: Bed) {
    let store = bed.open().await;
    // A heartbeat before the first report shows nothing, and takes nothing from it.
    store.heartbeat(&host("a"), &[], LEASE).await.unwrap();
    assert_eq!(store.hosts().await.unwrap(), []);
    store.report_host(&report(&bed, "a")).await.unwrap();
    store.report_host(&report(&bed, "b")).await.unwrap();
    let hosts = store.hosts().await.unwrap();
    assert_eq!(hosts[0].report, report(&bed, "a"));
    assert!(
        hosts
            .iter()
            .all(|host| host.alive && host.seen_at == bed.now())
    );
    bed.advance(LEASE);
    let alive = || async {
        let hosts = store.hosts().await.unwrap();
        hosts.iter().map(|host| host.alive).collect::<Vec<_>>()
    };
    assert_eq!(alive().await, [false, true]);
    store.heartbeat(&host("a"), &[], LEASE).await.unwrap();
    assert_eq!(alive().await, [true, true]);
    bed.advance(Duration::from_secs(7 * 86_400));
    store.report_host(&report(&bed, "b")).await.unwrap();
    assert_eq!(alive().await, [false, true]);
    bed.advance(Duration::from_millis(1));
    store.report_host(&report(&bed, "b")).await.unwrap();
    assert_eq!(alive().await, [true]);
}

pub(crate) async fn pipelines_are_replaced(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    let spec: PipelineSpec = job("x", bed.now()).spec;
    let broken = PipelineEntry::Broken {
        name: "book".to_owned(),
        error: "line 3".to_owned(),
    };
    let both = vec![broken.clone(), PipelineEntry::Ready(spec)];
    let barrier = Arc::new(Barrier::new(2));
    let put = |store: Arc<dyn Store>| {
        let (barrier, both) = (barrier.clone(), both.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            store.put_pipelines(&both).await.unwrap();
        })
    };
    let (one, two) = (put(stores[0].clone()), put(stores[1].clone()));
    one.await.unwrap();
    two.await.unwrap();
    assert_eq!(stores[0].pipelines().await.unwrap(), both);
    stores[1]
        .put_pipelines(std::slice::from_ref(&broken))
        .await
        .unwrap();
    assert_eq!(stores[0].pipelines().await.unwrap(), [broken]);
}

pub(crate) async fn a_pipeline_of_a_later_version_stays(bed: Bed) {
    let store = bed.open().await;
    let mine = PipelineEntry::Ready(job("x", bed.now()).spec);
    bed.execute(
        "INSERT INTO pipelines (name, entry) VALUES ('later', '{\"ready\":{\"lanes\":3}}'), \
         ('gone', '{\"broken\":{\"name\":\"gone\",\"error\":\"x\"}}')",
    )
    .await;
    // This host has a file of the same name, and can't read it, either.
    let later = PipelineEntry::Broken {
        name: "later".to_owned(),
        error: "`lanes` isn't known".to_owned(),
    };
    store.put_pipelines(&[mine.clone(), later]).await.unwrap();
    assert_eq!(store.pipelines().await.unwrap(), [mine]);
    assert_eq!(
        bed.texts("SELECT entry FROM pipelines WHERE name <> 'game'")
            .await,
        ["{\"ready\":{\"lanes\":3}}"]
    );
}

pub(crate) async fn counts_and_blobs_and_names(bed: Bed) {
    let store = bed.open().await;
    running(&store, "runs").await;
    for _ in 0..2 {
        submit(&store, job("queued", bed.now())).await;
    }
    let counts = store.counts(None).await.unwrap();
    assert_eq!(counts.len(), Status::ALL.len());
    assert_eq!((counts[&Status::Running], counts[&Status::Queued]), (1, 2));
    assert_eq!(counts[&Status::Failed], 0);
    let digest = store.put_blob(b"plugin").await.unwrap();
    assert_eq!(store.put_blob(b"plugin").await.unwrap(), digest);
    assert_eq!(
        store.blob(&digest).await.unwrap().as_deref(),
        Some(&b"plugin"[..])
    );
    assert_eq!(store.blob(&Digest::of(b"none")).await.unwrap(), None);
    let name = store.installation().await.unwrap();
    assert!(
        name.len() == 12 && name.bytes().all(|c| c.is_ascii_hexdigit()),
        "{name}"
    );
    assert_eq!(bed.open().await.installation().await.unwrap(), name);
    let ask = Ask {
        limit: 1,
        ..ask("b")
    };
    assert_eq!(store.claim(&ask).await.unwrap().len(), 1);
    store::DriverStore::ping(&*store).await.unwrap();
    store::ApiStore::ping(&*store).await.unwrap();
}
