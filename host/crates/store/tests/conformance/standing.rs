//! A driver that stands by in the process that submits. Who asks for jobs is in `claims`.

use crate::setup::*;
use pipeline::{EventKind, Input, Job, JobId, Status};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{
    Ask, Change, Claimed, GateChange, GateKind, Hold, Idempotency, NewJob, Submitted, Taker,
};

/// A driver with room for so many.
struct Driver {
    bed: Bed,
    room: Mutex<u32>,
    /// What came of each time that room was kept.
    given: Mutex<Vec<Option<Vec<Claimed>>>>,
}

impl Driver {
    fn stands_by(bed: &Bed, store: &Arc<dyn Store>, room: u32) -> (Arc<Self>, Arc<dyn Taker>) {
        let driver = Arc::new(Self {
            bed: bed.clone(),
            room: Mutex::new(room),
            given: Mutex::default(),
        });
        let taker: Arc<dyn Taker> = driver.clone();
        store.stand_by(Arc::downgrade(&taker));
        (driver, taker)
    }

    /// What it was given since it was last asked; it holds none of it any more.
    fn given(&self) -> Vec<Claimed> {
        let given = std::mem::take(&mut *self.given.lock().unwrap());
        let given = given.into_iter().flat_map(|it| it.unwrap());
        given.collect()
    }
}

impl Taker for Driver {
    fn reserve(&self, most: usize) -> Option<Ask> {
        let mut room = self.room.lock().unwrap();
        let limit = (*room).min(u32::try_from(most).unwrap());
        *room -= limit;
        (limit > 0).then(|| Ask {
            limit,
            look: false,
            ..ask("a")
        })
    }

    fn begin(&self, claimed: &Claimed) -> Option<Change> {
        assert_eq!(claimed.job.status, Status::Running);
        assert_eq!(claimed.job.host, Some(host("a")));
        let input = Input::Claimed { rescued: false };
        Some(change(&claimed.job, input, self.bed.now()))
    }

    fn given(&self, asked: u32, claimed: Option<Vec<Claimed>>) {
        *self.room.lock().unwrap() += asked;
        self.given.lock().unwrap().push(claimed);
    }
}

/// The only one that was given, which has begun; its hold.
async fn only(store: &Arc<dyn Store>, given: Vec<Claimed>, id: JobId) -> Hold {
    let [claimed] = given.as_slice() else {
        panic!("{given:?}")
    };
    assert_eq!((claimed.job.id, claimed.lease.0), (id, 1));
    assert!(claimed.begun && !claimed.rescued);
    let stored = store.job(id).await.unwrap().unwrap();
    assert_eq!(
        (stored.status, stored.host),
        (Status::Running, Some(host("a")))
    );
    assert_eq!(
        (stored.number, stored.at),
        (claimed.job.number, claimed.job.at)
    );
    assert!(stored.at.is_some(), "it has begun");
    assert_eq!(stored.phases, claimed.job.phases);
    hold_of(&claimed.job, claimed.lease, &host("a"))
}

async fn told(store: &Arc<dyn Store>, job: JobId) -> Vec<(i64, EventKind)> {
    let told = store.job_events(job, 0, 100).await.unwrap();
    told.iter().map(|it| (it.seq, it.kind)).collect()
}

const BEGUN: [(i64, EventKind); 3] = [
    (1, EventKind::JobQueued),
    (2, EventKind::JobStarted),
    (3, EventKind::PhaseStarted),
];

async fn is_queued(store: &Arc<dyn Store>, job: &Job) {
    let stored = store.job(job.id).await.unwrap().unwrap();
    assert_eq!(
        (stored.status, stored.host, stored.at),
        (Status::Queued, None, None)
    );
    assert_eq!(told(store, job.id).await, BEGUN[..1]);
}

pub(crate) async fn what_comes_to_a_driver_that_stands_by_has_begun(bed: Bed) {
    let store = bed.open().await;
    let (driver, _taker) = Driver::stands_by(&bed, &store, 1);
    let new = submit(&store, job("fog", bed.now())).await;
    let hold = only(&store, driver.given(), new.id).await;
    assert_eq!(told(&store, new.id).await, BEGUN);
    // It is held as any other: nobody else gets it, and its lease lasts.
    assert_eq!(store.claim(&ask("b")).await.unwrap(), []);
    let beats = store
        .heartbeat(&hold.host, std::slice::from_ref(&hold), LEASE)
        .await;
    assert_eq!(beats.unwrap().len(), 1);
    bed.advance(LEASE + Duration::from_secs(1));
    let other = Ask {
        take_over: store::TakeOver::Expired,
        ..ask("b")
    };
    let taken = store.claim(&other).await.unwrap();
    assert_eq!(
        (taken.len(), taken[0].lease.0, taken[0].rescued),
        (1, 2, true)
    );
}

pub(crate) async fn it_holds_and_writes_what_it_was_given(bed: Bed) {
    let store = bed.open().await;
    let (driver, _taker) = Driver::stands_by(&bed, &store, 1);
    let new = submit(&store, job("fog", bed.now())).await;
    let given = driver.given();
    let hold = only(&store, given.clone(), new.id).await;
    let job = with_agent(&store, &hold, given[0].job.clone()).await;
    assert_eq!(store.job(new.id).await.unwrap().unwrap().at, job.at);
    let kinds = told(&store, new.id).await;
    assert_eq!((kinds.len(), kinds[3].0), (4, 4));
}

pub(crate) async fn it_is_given_as_many_as_it_has_room_for(bed: Bed) {
    let store = bed.open().await;
    let (driver, _taker) = Driver::stands_by(&bed, &store, 0);
    let queued = submit(&store, job("fog", bed.now())).await;
    assert_eq!(driver.given(), []);
    is_queued(&store, &queued).await;
    *driver.room.lock().unwrap() = 3;
    let here = ask("a");
    assert_eq!(store.claim(&here).await.unwrap().len(), 1);
    // Many at once.
    let all = (0..8).map(|n| {
        let (store, job) = (store.clone(), job(&format!("job {n}"), bed.now()));
        tokio::spawn(async move { submit(&store, job).await.id })
    });
    let mut ids = BTreeSet::new();
    for id in all.collect::<Vec<_>>() {
        ids.insert(id.await.unwrap());
    }
    let mut got: Vec<JobId> = driver.given().iter().map(|it| it.job.id).collect();
    got.extend(store.claim(&here).await.unwrap().iter().map(|it| it.job.id));
    assert_eq!(got.len(), 8, "each once");
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), ids);
}

pub(crate) async fn who_waits_already_comes_first(bed: Bed) {
    let store = bed.open().await;
    let older = submit(&store, job("older", bed.now())).await;
    let (driver, _taker) = Driver::stands_by(&bed, &store, 4);
    let younger = submit(&store, job("younger", bed.now())).await;
    assert_eq!(driver.given(), []);
    is_queued(&store, &younger).await;
    let claimed = store.claim(&ask("a")).await.unwrap();
    let ids: Vec<JobId> = claimed.iter().map(|it| it.job.id).collect();
    assert_eq!(ids, [older.id, younger.id]);
}

pub(crate) async fn a_pause_and_a_time_keep_back_from_it(bed: Bed) {
    let store = bed.open().await;
    let (driver, _taker) = Driver::stands_by(&bed, &store, 4);
    let at = bed.now().after(Duration::from_secs(60));
    let later = job("later", bed.now()).not_before(Some(at));
    let later = submit(&store, later).await;
    let stored = store.job(later.id).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.host), (Status::Waiting, None));
    let paused = GateChange {
        paused: Some(true),
        ..GateChange::default()
    };
    store.set_gate(GateKind::All, "", &paused).await.unwrap();
    let kept_back = submit(&store, job("paused", bed.now())).await;
    assert_eq!(kept_back.status, Status::Waiting);
    let kinds = told(&store, kept_back.id).await;
    assert_eq!(kinds, [(1, EventKind::JobWaiting)]);
    assert_eq!(driver.given(), []);
    assert_eq!(store.claim(&ask("a")).await.unwrap(), []);
}

pub(crate) async fn a_group_is_counted_before_it_is_given(bed: Bed) {
    let store = bed.open().await;
    let (driver, _taker) = Driver::stands_by(&bed, &store, 4);
    let one = GateChange {
        capacity: Some(Some(1)),
        ..GateChange::default()
    };
    store
        .set_gate(GateKind::Group, "tenant", &one)
        .await
        .unwrap();
    let of_group = |name| Job {
        group: Some("tenant".to_owned()),
        ..job(name, bed.now())
    };
    let first = submit(&store, of_group("first")).await;
    let second = submit(&store, of_group("second")).await;
    only(&store, driver.given(), first.id).await;
    let stored = store.job(second.id).await.unwrap().unwrap();
    assert_eq!(stored.status, Status::Waiting);
}

pub(crate) async fn a_request_that_comes_twice_is_given_once(bed: Bed) {
    let store = bed.open().await;
    let (driver, _taker) = Driver::stands_by(&bed, &store, 4);
    let request = |job: Job| NewJob {
        idempotency: Some(Idempotency {
            key: "key".to_owned(),
            body: pipeline::Digest::of(b"body"),
        }),
        ..NewJob::of(job)
    };
    let new = store.submit(&request(job("fog", bed.now()))).await.unwrap();
    let Submitted::New(new) = new else {
        panic!("{new:?}")
    };
    let again = store.submit(&request(job("fog", bed.now()))).await.unwrap();
    assert!(matches!(again, Submitted::Same(same) if same.id == new.id));
    only(&store, driver.given(), new.id).await;
}
