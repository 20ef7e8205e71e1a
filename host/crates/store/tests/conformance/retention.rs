//! Clearing up after what has ended, and what becomes of a job without its workspace. What is due
//! is `pipeline`'s matter.

use crate::setup::*;
use pipeline::{EventKind, Failure, FailureKind, Input, Job, JobId, Limits, Status};
use std::sync::Arc;
use std::time::Duration;
use store::{Acted, Ask, Deleted, Filter, Hold, Trim, Trimmed};
use tokio::sync::Barrier;

const DAY: Duration = Duration::from_secs(86_400);
const STEP: u32 = store::RETENTION_STEP;

/// A job that failed now, by the bed's clock, with its workspace in the root `r`.
async fn failed(bed: &Bed, store: &Arc<dyn Store>, name: &str) -> Job {
    let (job, hold) = at_work(bed, store, name).await;
    end(bed, store, &job, &hold).await
}

async fn at_work(bed: &Bed, store: &Arc<dyn Store>, name: &str) -> (Job, Hold) {
    submit(store, job(name, bed.now())).await;
    let ask = Ask {
        roots: vec![root("r")],
        ..ask("a")
    };
    let (mut job, hold) = claim_one(store, &ask).await;
    job.root = Some(root("r"));
    let change = change(&job, Input::Claimed { rescued: false }, bed.now());
    store.commit(&hold, &change).await.unwrap();
    (change.step.next, hold)
}

async fn end(bed: &Bed, store: &Arc<dyn Store>, job: &Job, hold: &Hold) -> Job {
    let broken = Input::Broken(Failure::new(FailureKind::Internal, "broke"));
    let change = change(job, broken, bed.now());
    store.commit(hold, &change).await.unwrap();
    change.step.next
}

async fn act(bed: &Bed, store: &Arc<dyn Store>, id: JobId, input: Input) -> Acted {
    let limits = Limits::default();
    store.act(id, input, &limits, bed.now()).await.unwrap()
}

fn feedback() -> Input {
    Input::Feedback {
        text: "more fog".to_owned(),
    }
}

pub(crate) async fn a_page_holds_what_has_ended_and_how_long_ago(bed: Bed) {
    let store = bed.open().await;
    let (work, hold) = at_work(&bed, &store, "ends").await;
    store.append(&hold, &[], &[line("one")]).await.unwrap();
    end(&bed, &store, &work, &hold).await;
    submit(&store, job("queued", bed.now())).await;
    bed.advance(DAY * 3);
    let page = store.ended_after(0).await.unwrap();
    assert_eq!((page.items.len(), page.submitted), (1, DAY * 3));
    let ended = page.items[0];
    assert_eq!((ended.job, ended.age), (work.id, DAY * 3));
    assert_eq!(
        (ended.live, ended.has_lines, ended.has_events),
        (false, true, true)
    );
    let rest = store.ended_after(page.last.unwrap()).await.unwrap();
    assert_eq!((rest.items.len(), rest.last), (0, None));
    let ages = store.ended(&[work.id]).await.unwrap();
    assert_eq!(ages[&work.id], DAY * 3);
    act(&bed, &store, work.id, Input::retry()).await;
    assert!(store.ended_after(0).await.unwrap().items.is_empty());
    assert!(store.ended(&[work.id]).await.unwrap().is_empty());
}

pub(crate) async fn rows_go_in_small_steps_and_only_of_what_ended_long_ago(bed: Bed) {
    let store = bed.open().await;
    let (work, hold) = at_work(&bed, &store, "talks").await;
    let lines: Vec<_> = (0..STEP + 7).map(|n| line(&format!("line {n}"))).collect();
    store.append(&hold, &[], &lines).await.unwrap();
    let trim = || store.trim(Trim::Logs(work.id), DAY);
    bed.advance(DAY * 2);
    assert_eq!(trim().await.unwrap(), Trimmed::Rows(0), "it runs");
    end(&bed, &store, &work, &hold).await;
    bed.advance(DAY - Duration::from_millis(1));
    assert_eq!(trim().await.unwrap(), Trimmed::Rows(0), "it ended just now");
    bed.advance(Duration::from_millis(1));
    assert_eq!(trim().await.unwrap(), Trimmed::Rows(STEP.into()));
    let left = store.logs(work.id, 0, 100).await.unwrap();
    assert_eq!(left[0].text, format!("line {STEP}"), "the oldest go first");
    assert_eq!(trim().await.unwrap(), Trimmed::Rows(7));
    assert_eq!(trim().await.unwrap(), Trimmed::Rows(0));
    assert_eq!(store.logs(work.id, 0, 100).await.unwrap(), []);
}

pub(crate) async fn the_last_event_of_a_job_stays_and_its_numbers_go_on(bed: Bed) {
    let store = bed.open().await;
    let work = failed(&bed, &store, "ends").await;
    let other = failed(&bed, &store, "other").await;
    let before = store.job_events(work.id, 0, 100).await.unwrap();
    bed.advance(DAY);
    let gone = u64::try_from(before.len()).unwrap() - 1;
    let trim = || store.trim(Trim::Events(work.id), DAY);
    assert_eq!(trim().await.unwrap(), Trimmed::Rows(gone));
    assert_eq!(trim().await.unwrap(), Trimmed::Rows(0));
    let left = store.job_events(work.id, 0, 100).await.unwrap();
    assert_eq!(left, before[before.len() - 1..]);
    assert_eq!(left[0].kind, EventKind::JobFailed);
    assert_eq!(
        store.job_events(other.id, 0, 100).await.unwrap().len(),
        before.len()
    );
    act(&bed, &store, work.id, Input::retry()).await;
    let told = store.job_events(work.id, left[0].seq, 100).await.unwrap();
    assert_eq!(
        (told[0].seq, told[0].kind),
        (left[0].seq + 1, EventKind::JobQueued)
    );
}

pub(crate) async fn events_of_no_job_go_by_age(bed: Bed) {
    let store = bed.open().await;
    let work = failed(&bed, &store, "has events").await;
    store.tell(&[event(EventKind::PluginLoaded)]).await.unwrap();
    bed.advance(DAY);
    store
        .tell(&[event(EventKind::PluginRefused)])
        .await
        .unwrap();
    let jobs = store.job_events(work.id, 0, 100).await.unwrap().len();
    let trim = || store.trim(Trim::Others, DAY);
    assert_eq!(trim().await.unwrap(), Trimmed::Rows(1));
    assert_eq!(trim().await.unwrap(), Trimmed::Rows(0));
    let left = until("all that is left", || async {
        let left = store.stream((0, 0), 100).await.unwrap();
        (left.len() == jobs + 1).then_some(left)
    })
    .await;
    assert!(left.iter().all(|e| e.kind != EventKind::PluginLoaded));
}

pub(crate) async fn a_job_is_forgotten_with_all_that_is_its_and_not_with_a_live_site(bed: Bed) {
    let store = bed.open().await;
    let work = failed(&bed, &store, "ends").await;
    bed.execute(
        "INSERT INTO sites (slug, job, revision, publication, published_at) \
         SELECT 'fog', id, 1, '{}', 0 FROM jobs",
    )
    .await;
    let forget = || store.forget(work.id, DAY);
    assert_eq!(forget().await.unwrap(), Trimmed::Rows(0), "too young");
    bed.advance(DAY);
    assert!(store.ended_after(0).await.unwrap().items[0].live);
    assert_eq!(
        forget().await.unwrap(),
        Trimmed::Rows(0),
        "its site is live"
    );
    assert!(store.delete_site("fog").await.unwrap());
    let by = host("a");
    let going = store.remove_workspace(work.id, &root("r"), &by).await;
    assert!(going.unwrap());
    assert_eq!(forget().await.unwrap(), Trimmed::Rows(1));
    assert_eq!(store.job(work.id).await.unwrap(), None);
    assert_eq!(store.job_events(work.id, 0, 10).await.unwrap(), []);
    assert_eq!(store.delete(work.id).await.unwrap(), Deleted::NotFound);
    assert_eq!(forget().await.unwrap(), Trimmed::Rows(0));
    let all = Filter {
        limit: 10,
        ..Filter::default()
    };
    assert_eq!(store.jobs(&all).await.unwrap().items, []);
}

pub(crate) async fn a_workspace_is_removed_of_ended_jobs_of_this_root_only(bed: Bed) {
    let store = bed.open().await;
    let (work, hold) = at_work(&bed, &store, "runs").await;
    let remove = |place: &'static str, by: &'static str| {
        let (store, id) = (store.clone(), work.id);
        async move {
            let removed = store.remove_workspace(id, &root(place), &host(by)).await;
            removed.unwrap()
        }
    };
    assert!(!remove("r", "a").await, "it runs");
    end(&bed, &store, &work, &hold).await;
    assert!(!remove("elsewhere", "a").await);
    assert!(remove("r", "a").await);
    assert!(remove("r", "a").await, "it died, and does it again");
    assert!(!remove("r", "b").await, "the other one is at it");
    bed.advance(Duration::from_secs(3_601));
    assert!(remove("r", "b").await, "the other one is gone");
    // It is too late to say so.
    store.workspace_removed(work.id, &host("a")).await.unwrap();
    let acted = act(&bed, &store, work.id, feedback()).await;
    assert!(matches!(acted, Acted::WorkspaceGone { going: true, .. }));
}

pub(crate) async fn a_job_without_its_workspace_begins_anew_or_not_at_all(bed: Bed) {
    let store = bed.open().await;
    let work = failed(&bed, &store, "first phase").await;
    let mut later = failed(&bed, &store, "later phase").await;
    later.at.as_mut().unwrap().phase = 1;
    let body = serde_json::to_string(&later).unwrap();
    bed.set_body(later.id, &body).await;
    let at = bed.now();
    for id in [work.id, later.id] {
        let (place, by) = (root("r"), host("a"));
        assert!(store.remove_workspace(id, &place, &by).await.unwrap());
        for input in [Input::retry(), feedback()] {
            let acted = act(&bed, &store, id, input).await;
            assert_eq!(acted, Acted::WorkspaceGone { at, going: true });
        }
        store.workspace_removed(id, &by).await.unwrap();
    }
    bed.advance(DAY);
    let acted = act(&bed, &store, later.id, Input::retry()).await;
    assert_eq!(acted, Acted::WorkspaceGone { at, going: false });
    let kept = store.job(later.id).await.unwrap().unwrap();
    assert_eq!(kept.status, Status::Failed);
    for (id, input) in [(work.id, Input::retry()), (later.id, feedback())] {
        let Acted::Done(going) = act(&bed, &store, id, input).await else {
            panic!("it begins from its first phase")
        };
        assert_eq!(going.status, Status::Queued);
        let told = store.logs(id, 0, 10).await.unwrap();
        assert!(
            told[0].text.contains("begins with an empty one"),
            "{told:?}"
        );
        // It has a workspace again, and nothing is said the next time.
        store
            .cancel(id, &Limits::default(), bed.now())
            .await
            .unwrap();
        let acted = act(&bed, &store, id, Input::retry()).await;
        assert!(matches!(acted, Acted::Done(_)), "{acted:?}");
        assert_eq!(store.logs(id, 0, 10).await.unwrap().len(), 1);
    }
}

pub(crate) async fn a_removal_and_a_retry_at_once_agree(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    for round in 0..20 {
        let work = failed(&bed, &stores[0], &format!("round {round}")).await;
        let barrier = Arc::new(Barrier::new(2));
        let person = tokio::spawn({
            let (store, barrier, bed) = (stores[1].clone(), barrier.clone(), bed.clone());
            async move {
                barrier.wait().await;
                act(&bed, &store, work.id, Input::retry()).await
            }
        });
        barrier.wait().await;
        let removed = stores[0]
            .remove_workspace(work.id, &root("r"), &host("a"))
            .await;
        match (removed.unwrap(), person.await.unwrap()) {
            (true, Acted::WorkspaceGone { going: true, .. }) | (false, Acted::Done(_)) => {}
            other => panic!("{other:?}"),
        }
        stores[0]
            .cancel(work.id, &Limits::default(), bed.now())
            .await
            .unwrap();
    }
}
