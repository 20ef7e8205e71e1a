//! Lines before full groups, full pipelines and pauses. Who gets what is ready is in `claims`.

use crate::setup::*;
use pipeline::{Failure, FailureKind, Input, Job, Limits, PipelineSpec, Status, WaitReason};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::{
    Acted, Ask, Deleted, Gate, GateChange, GateKind, NewJob, PipelineEntry, Rate, Submitted,
    TakeOver, Unique,
};

fn of_group(bed: &Bed, name: &str, group: &str) -> Job {
    let mut job = job(name, bed.now());
    job.group = Some(group.to_owned());
    job
}

fn of_pipeline(bed: &Bed, name: &str, pipeline: &str) -> Job {
    let mut job = job(name, bed.now());
    job.spec.name = pipeline.to_owned();
    job
}

fn at_once(most: u32) -> GateChange {
    GateChange {
        capacity: Some(Some(most)),
        ..GateChange::default()
    }
}

fn pause(paused: bool) -> GateChange {
    GateChange {
        paused: Some(paused),
        ..GateChange::default()
    }
}

async fn limit_group(store: &Arc<dyn Store>, group: &str, most: u32) {
    let kind = GateKind::Group;
    store.set_gate(kind, group, &at_once(most)).await.unwrap();
}

async fn limit_pipeline(store: &Arc<dyn Store>, name: &str, most: u32) {
    let kind = GateKind::Pipeline;
    store.set_gate(kind, name, &at_once(most)).await.unwrap();
}

async fn gate(store: &Arc<dyn Store>, kind: GateKind, name: &str) -> Gate {
    let gates = store.gates().await.unwrap();
    let found = gates
        .into_iter()
        .find(|it| it.kind == kind && it.name == name);
    found.unwrap()
}

/// Claims all there is for this host.
async fn take(store: &Arc<dyn Store>, ask: &Ask) -> Vec<(Job, store::Hold)> {
    let claimed = store.claim(ask).await.unwrap();
    let held = |it: store::Claimed| {
        let hold = hold_of(&it.job, it.lease, &ask.host);
        (it.job, hold)
    };
    claimed.into_iter().map(held).collect()
}

/// Claims what must have just these names, in this order.
async fn take_these(store: &Arc<dyn Store>, names: &[&str]) -> Vec<(Job, store::Hold)> {
    let taken = take(store, &ask("a")).await;
    let got: Vec<&str> = taken.iter().map(|(job, _)| job.name.as_str()).collect();
    assert_eq!(got, names);
    taken
}

/// Ends a job that was just claimed.
async fn end(store: &Arc<dyn Store>, job: &Job, hold: &store::Hold) {
    let begun = go(store, hold, job, Input::Claimed { rescued: false }).await;
    let failure = Failure::new(FailureKind::Internal, "enough");
    go(store, hold, &begun, Input::Broken(failure)).await;
}

async fn wait_of(store: &Arc<dyn Store>, job: &Job) -> (Status, Option<WaitReason>) {
    let job = store.job(job.id).await.unwrap().unwrap();
    (job.status, job.wait.map(|wait| wait.reason))
}

pub(crate) async fn a_full_group_keeps_jobs_back_and_a_place_that_comes_free_lets_one_through(
    bed: Bed,
) {
    let store = bed.open().await;
    limit_group(&store, "acme", 2).await;
    let mut sent = Vec::new();
    for name in ["one", "two", "three", "four"] {
        sent.push(submit(&store, of_group(&bed, name, "acme")).await);
    }
    submit(&store, of_group(&bed, "other's", "free")).await;
    let group = (Status::Waiting, Some(WaitReason::Group));
    assert_eq!(
        (sent[0].status, sent[2].status),
        (Status::Queued, Status::Waiting)
    );
    assert_eq!(wait_of(&store, &sent[1]).await, (Status::Queued, None));
    assert_eq!(wait_of(&store, &sent[2]).await, group);
    let events = store.job_events(sent[2].id, 0, 10).await.unwrap();
    assert_eq!(events[0].kind.word(), "job.waiting");
    assert_eq!(events[0].data["reason"], "group");
    let standing = gate(&store, GateKind::Group, "acme").await;
    assert_eq!((standing.taken, standing.waiting), (2, 2));

    let taken = take_these(&store, &["one", "two", "other's"]).await;
    assert_eq!(take(&store, &ask("b")).await, []);
    end(&store, &taken[0].0, &taken[0].1).await;
    // The oldest that is left; the free group's place lets nobody through.
    end(&store, &taken[2].0, &taken[2].1).await;
    take_these(&store, &["three"]).await;
    assert_eq!(wait_of(&store, &sent[3]).await, group);
    // More room lets more through; none at all, all of them.
    limit_group(&store, "acme", 3).await;
    take_these(&store, &["four"]).await;
    submit(&store, of_group(&bed, "five", "acme")).await;
    take_these(&store, &[]).await;
    let unlimited = GateChange {
        capacity: Some(None),
        ..GateChange::default()
    };
    store
        .set_gate(GateKind::Group, "acme", &unlimited)
        .await
        .unwrap();
    take_these(&store, &["five"]).await;
}

pub(crate) async fn a_groups_limit_is_exact_over_hosts_that_claim_and_finish_at_once(bed: Bed) {
    const JOBS: usize = 60;
    const HOSTS: usize = 5;
    let stores = [bed.open().await, bed.open().await];
    limit_group(&stores[0], "acme", 3).await;
    limit_pipeline(&stores[0], "game", 2).await;
    let under_way = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for n in 0..HOSTS {
        let store = stores[n % 2].clone();
        let (under_way, ended, bed) = (under_way.clone(), ended.clone(), bed.clone());
        tasks.push(tokio::spawn(async move {
            for n in n * JOBS / HOSTS..(n + 1) * JOBS / HOSTS {
                submit(&store, of_group(&bed, &format!("job {n}"), "acme")).await;
            }
            let ask = ask(&format!("host {n}"));
            until("every job", || async {
                for (job, hold) in take(&store, &ask).await {
                    let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
                    assert!(now <= 2, "{now} at once, of a pipeline that may have 2");
                    tokio::task::yield_now().await;
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    end(&store, &job, &hold).await;
                    ended.fetch_add(1, Ordering::SeqCst);
                }
                (ended.load(Ordering::SeqCst) == JOBS).then_some(())
            })
            .await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let left = gate(&stores[0], GateKind::Group, "acme").await;
    assert_eq!((left.taken, left.waiting), (0, 0));
    let left = gate(&stores[0], GateKind::Pipeline, "game").await;
    assert_eq!((left.taken, left.waiting), (0, 0));
}

pub(crate) async fn a_pipelines_limit_holds_with_a_groups(bed: Bed) {
    let store = bed.open().await;
    limit_group(&store, "acme", 2).await;
    limit_pipeline(&store, "game", 1).await;
    let mut sent = Vec::new();
    for name in ["one", "two", "three"] {
        sent.push(submit(&store, of_group(&bed, name, "acme")).await);
    }
    let stray = submit(&store, job("stray", bed.now())).await;
    let mut elsewhere = of_group(&bed, "elsewhere", "acme");
    elsewhere.spec.name = "page".to_owned();
    submit(&store, elsewhere).await;
    let waits = |reason| (Status::Waiting, Some(reason));
    // A group's jobs go in their order: the second has its place and waits for the pipeline's.
    assert_eq!(wait_of(&store, &sent[1]).await, waits(WaitReason::Pipeline));
    assert_eq!(wait_of(&store, &sent[2]).await, waits(WaitReason::Group));
    assert_eq!(wait_of(&store, &stray).await, waits(WaitReason::Pipeline));
    let taken = take_these(&store, &["one"]).await;
    end(&store, &taken[0].0, &taken[0].1).await;
    let taken = take_these(&store, &["two"]).await;
    end(&store, &taken[0].0, &taken[0].1).await;
    // By age within a pipeline, and `elsewhere` has its place in the group by now.
    let taken = take_these(&store, &["three", "elsewhere"]).await;
    end(&store, &taken[0].0, &taken[0].1).await;
    take_these(&store, &["stray"]).await;
}

pub(crate) async fn a_job_that_is_rescued_or_given_back_keeps_its_place(bed: Bed) {
    let store = bed.open().await;
    limit_group(&store, "acme", 1).await;
    submit(&store, of_group(&bed, "one", "acme")).await;
    submit(&store, of_group(&bed, "two", "acme")).await;
    let taken = take_these(&store, &["one"]).await;
    let (job, hold) = &taken[0];
    let job = go(&store, hold, job, Input::Claimed { rescued: false }).await;
    go(&store, hold, &job, Input::GivenBack).await;
    let (_, _) = take_these(&store, &["one"]).await.remove(0);
    bed.advance(LEASE + Duration::from_millis(1));
    let rescue = Ask {
        take_over: TakeOver::Expired,
        ..ask("b")
    };
    let (job, hold) = take(&store, &rescue).await.remove(0);
    assert_eq!((job.name.as_str(), hold.lease.0), ("one", 3));
    take_these(&store, &[]).await;
    end(&store, &job, &hold).await;
    take_these(&store, &["two"]).await;
}

pub(crate) async fn a_job_that_pauses_gives_up_its_place(bed: Bed) {
    let store = bed.open().await;
    limit_group(&store, "acme", 1).await;
    submit(&store, of_group(&bed, "one", "acme")).await;
    submit(&store, of_group(&bed, "two", "acme")).await;
    let (job, hold) = take_these(&store, &["one"]).await.remove(0);
    let job = go(&store, &hold, &job, Input::Claimed { rescued: false }).await;
    let away = Failure::new(FailureKind::Engine, "away");
    go(&store, &hold, &job, Input::Broken(away)).await;
    let (two, hold) = take_these(&store, &["two"]).await.remove(0);
    // Its time has come, and its place is taken.
    bed.advance(Duration::from_secs(600));
    take_these(&store, &[]).await;
    let (status, reason) = wait_of(&store, &job).await;
    assert_eq!((status, reason), (Status::Waiting, Some(WaitReason::Group)));
    end(&store, &two, &hold).await;
    take_these(&store, &["one"]).await;
}

pub(crate) async fn a_place_of_a_job_that_is_cancelled_or_deleted_comes_free(bed: Bed) {
    let store = bed.open().await;
    limit_group(&store, "acme", 1).await;
    let mut sent = Vec::new();
    for name in ["one", "two", "three"] {
        sent.push(submit(&store, of_group(&bed, name, "acme")).await);
    }
    let cancelled = store
        .cancel(sent[0].id, &Limits::default(), bed.now())
        .await;
    assert!(matches!(cancelled.unwrap(), Acted::Done(_)));
    assert_eq!(wait_of(&store, &sent[1]).await, (Status::Queued, None));
    assert_eq!(store.delete(sent[1].id).await.unwrap(), Deleted::Done(None));
    let (job, hold) = take_these(&store, &["three"]).await.remove(0);
    end(&store, &job, &hold).await;
    // One that is tried again comes anew, behind the others.
    let four = submit(&store, of_group(&bed, "four", "acme")).await;
    let retry = Input::retry();
    let limits = Limits::default();
    let acted = store.act(job.id, retry, &limits, bed.now()).await.unwrap();
    assert!(matches!(acted, Acted::Done(_)), "{acted:?}");
    assert_eq!(
        wait_of(&store, &job).await,
        (Status::Waiting, Some(WaitReason::Group))
    );
    let (job, hold) = take_these(&store, &["four"]).await.remove(0);
    assert_eq!(job.id, four.id);
    end(&store, &job, &hold).await;
    take_these(&store, &["three"]).await;
}

pub(crate) async fn a_rate_lets_so_many_start_in_a_period(bed: Bed) {
    let store = bed.open().await;
    let rate = GateChange {
        rate: Some(Some(Rate {
            jobs: 2,
            per: Duration::from_secs(10),
        })),
        ..GateChange::default()
    };
    store
        .set_gate(GateKind::Group, "acme", &rate)
        .await
        .unwrap();
    let mut sent = Vec::new();
    for name in ["one", "two", "three", "four"] {
        sent.push(submit(&store, of_group(&bed, name, "acme")).await);
    }
    take_these(&store, &["one", "two"]).await;
    let read = store.job(sent[2].id).await.unwrap().unwrap();
    let wait = read.wait.unwrap();
    assert_eq!(wait.reason, WaitReason::Rate);
    assert_eq!(wait.until, Some(bed.now().after(Duration::from_secs(5))));
    assert_eq!(
        store.idle_for(&ask("b")).await.unwrap(),
        Some(Duration::from_secs(5))
    );
    bed.advance(Duration::from_millis(4_999));
    take_these(&store, &[]).await;
    bed.advance(Duration::from_millis(1));
    take_these(&store, &["three"]).await;
    bed.advance(Duration::from_secs(5));
    take_these(&store, &["four"]).await;
    // What nobody used isn't saved up beyond one period.
    bed.advance(Duration::from_secs(1_000));
    for name in ["a", "b", "c"] {
        submit(&store, of_group(&bed, name, "acme")).await;
    }
    take_these(&store, &["a", "b"]).await;
}

pub(crate) async fn a_pause_keeps_back_and_its_end_lets_through(bed: Bed) {
    let store = bed.open().await;
    limit_pipeline(&store, "game", 1).await;
    let before = submit(&store, job("before", bed.now())).await;
    submit(&store, of_pipeline(&bed, "other", "page")).await;
    store
        .set_gate(GateKind::Pipeline, "game", &pause(true))
        .await
        .unwrap();
    let during = submit(&store, job("during", bed.now())).await;
    let paused = (Status::Waiting, Some(WaitReason::Pause));
    assert_eq!(wait_of(&store, &before).await, paused);
    assert_eq!(wait_of(&store, &during).await, paused);
    take_these(&store, &["other"]).await;
    store
        .set_gate(GateKind::Pipeline, "game", &pause(false))
        .await
        .unwrap();
    let (job, hold) = take_these(&store, &["before"]).await.remove(0);
    assert_eq!(
        wait_of(&store, &during).await,
        (Status::Waiting, Some(WaitReason::Pipeline))
    );
    end(&store, &job, &hold).await;
    take_these(&store, &["during"]).await;
}

pub(crate) async fn a_pause_of_everything_stops_no_rescue(bed: Bed) {
    let store = bed.open().await;
    submit(&store, job("runs", bed.now())).await;
    take_these(&store, &["runs"]).await;
    submit(&store, job("ready", bed.now())).await;
    store
        .set_gate(GateKind::All, "", &pause(true))
        .await
        .unwrap();
    let during = submit(&store, job("during", bed.now())).await;
    assert_eq!(
        wait_of(&store, &during).await,
        (Status::Waiting, Some(WaitReason::Pause))
    );
    take_these(&store, &[]).await;
    bed.advance(LEASE + Duration::from_millis(1));
    let rescue = Ask {
        take_over: TakeOver::Expired,
        ..ask("b")
    };
    assert_eq!(store.idle_for(&rescue).await.unwrap(), Some(Duration::ZERO));
    assert_eq!(take(&store, &rescue).await.len(), 1);
    store
        .set_gate(GateKind::All, "", &pause(false))
        .await
        .unwrap();
    // `runs` is a's own by what it says it holds.
    let names: BTreeSet<String> = take(&store, &ask("c"))
        .await
        .into_iter()
        .map(|(job, _)| job.name)
        .collect();
    assert_eq!(
        names,
        BTreeSet::from(["ready".to_owned(), "during".to_owned()])
    );
}

pub(crate) async fn a_new_limit_counts_what_runs_and_keeps_back_what_is_ready(bed: Bed) {
    let store = bed.open().await;
    submit(&store, of_group(&bed, "one", "acme")).await;
    let (job, hold) = take_these(&store, &["one"]).await.remove(0);
    for name in ["two", "three"] {
        submit(&store, of_group(&bed, name, "acme")).await;
    }
    limit_group(&store, "acme", 2).await;
    limit_pipeline(&store, "game", 2).await;
    take_these(&store, &["two"]).await;
    end(&store, &job, &hold).await;
    take_these(&store, &["three"]).await;
}

pub(crate) async fn groups_without_limits_of_their_own_have_those_of_the_star(bed: Bed) {
    let store = bed.open().await;
    limit_group(&store, "*", 1).await;
    limit_group(&store, "large", 2).await;
    for group in ["small", "large"] {
        for n in 1..=3 {
            submit(&store, of_group(&bed, &format!("{group} {n}"), group)).await;
        }
    }
    let taken = take_these(&store, &["small 1", "large 1", "large 2"]).await;
    end(&store, &taken[0].0, &taken[0].1).await;
    take_these(&store, &["small 2"]).await;
    limit_group(&store, "*", 2).await;
    take_these(&store, &["small 3"]).await;
}

pub(crate) async fn a_pipelines_file_says_its_limit(bed: Bed) {
    let store = bed.open().await;
    let spec = |most: &str| {
        let text = format!("name = \"game\"\n{most}[[phase]]\nid = \"a\"\nplugin = \"a\"\n");
        PipelineEntry::Ready(PipelineSpec::parse(&text).unwrap())
    };
    store
        .put_pipelines(&[spec("concurrency = 1\n")])
        .await
        .unwrap();
    for name in ["one", "two"] {
        submit(&store, job(name, bed.now())).await;
    }
    take_these(&store, &["one"]).await;
    store.put_pipelines(&[spec("")]).await.unwrap();
    take_these(&store, &["two"]).await;
}

async fn send(store: &Arc<dyn Store>, bed: &Bed, name: &str, unique: Unique) -> Submitted {
    let new = NewJob {
        unique: Some(unique),
        ..NewJob::of(of_group(bed, name, "acme"))
    };
    store.submit(&new).await.unwrap()
}

pub(crate) async fn unique_keeps_replaces_or_refuses(bed: Bed) {
    let store = bed.open().await;
    let open = |submitted: Submitted| match submitted {
        Submitted::Open(job) => job.name,
        other => panic!("{other:?}"),
    };
    let new = |submitted: Submitted| match submitted {
        Submitted::New(job) => *job,
        other => panic!("{other:?}"),
    };
    let first = new(send(&store, &bed, "first", Unique::Keep).await);
    assert_eq!(
        open(send(&store, &bed, "second", Unique::Keep).await),
        "first"
    );
    assert_eq!(
        open(send(&store, &bed, "second", Unique::Refuse).await),
        "first"
    );
    let third = new(send(&store, &bed, "third", Unique::Replace).await);
    assert_eq!(wait_of(&store, &first).await.0, Status::Cancelled);
    // What runs isn't replaced, and is kept.
    let (job, hold) = take_these(&store, &["third"]).await.remove(0);
    assert_eq!(
        open(send(&store, &bed, "fourth", Unique::Keep).await),
        "third"
    );
    new(send(&store, &bed, "fifth", Unique::Replace).await);
    new(send(&store, &bed, "sixth", Unique::Replace).await);
    assert_eq!(wait_of(&store, &third).await.0, Status::Running);
    end(&store, &job, &hold).await;
    let (job, hold) = take_these(&store, &["sixth"]).await.remove(0);
    end(&store, &job, &hold).await;
    // Nobody is in the way any more; another group never was.
    new(send(&store, &bed, "seventh", Unique::Refuse).await);
    submit(&store, of_group(&bed, "other", "free")).await;
}

pub(crate) async fn unique_at_once_takes_in_one(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    let mut tasks = Vec::new();
    for n in 0..12 {
        let (store, bed) = (stores[n % 2].clone(), bed.clone());
        tasks.push(tokio::spawn(async move {
            let name = format!("job {n}");
            matches!(
                send(&store, &bed, &name, Unique::Refuse).await,
                Submitted::New(_)
            )
        }));
    }
    let mut new = 0;
    for task in tasks {
        new += usize::from(task.await.unwrap());
    }
    assert_eq!(new, 1);
}
