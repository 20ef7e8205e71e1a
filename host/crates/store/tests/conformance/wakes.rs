//! Wake-ups on another handle than the one that writes. That none is needed, `claims` shows.

use crate::setup::*;
use pipeline::{EventKind, Input, Limits};
use std::time::Duration;
use store::{DriverStore, Wake};
use tokio::sync::broadcast::Receiver;

/// Waits until this hint comes; others may come before it.
pub(crate) async fn heard(wakes: &mut Receiver<Wake>, wanted: Wake) {
    let listen = async { while wakes.recv().await.unwrap() != wanted {} };
    tokio::time::timeout(SOON, listen)
        .await
        .unwrap_or_else(|_| panic!("{wanted:?} didn't come"));
}

pub(crate) async fn others_are_woken(bed: Bed) {
    let (here, there) = (bed.open().await, bed.open().await);
    let mut wakes = DriverStore::wakes(&*there);
    let mut own = DriverStore::wakes(&*here);
    let (job, hold) = running(&here, "work").await;
    heard(&mut wakes, Wake::Ready).await;
    heard(&mut wakes, Wake::Events(Some(job.id))).await;
    // One's own come at once.
    assert_eq!(own.try_recv(), Ok(Wake::Events(Some(job.id))));
    here.cancel(job.id, &Limits::default(), bed.now())
        .await
        .unwrap();
    heard(&mut wakes, Wake::Cancel(job.id)).await;
    heard(&mut own, Wake::Cancel(job.id)).await;
    here.append(&hold, &[event(EventKind::AgentTool)], &[])
        .await
        .unwrap();
    heard(&mut wakes, Wake::Events(Some(job.id))).await;
    here.tell(&[event(EventKind::PluginLoaded)]).await.unwrap();
    heard(&mut wakes, Wake::Events(None)).await;
    here.put_pipelines(&[]).await.unwrap();
    heard(&mut wakes, Wake::Pipelines).await;
    heard(&mut own, Wake::Pipelines).await;

    let (job, hold) = deploying(&here, "site").await;
    here.reserve_slug(&hold, "fog", 0).await.unwrap();
    let mut sites = change(
        &job,
        Input::Deployed {
            plugin: pin(),
            sites: Vec::new(),
        },
        bed.now(),
    );
    sites.step.publish =
        vec![serde_json::from_value(serde_json::json!({
        "slug": "fog", "folder": "versions/1",
        "plan": { "slug": "fog", "title": "Fog", "summary": "", "root": "", "entry": "i.html",
            "metadata": {}, "single_page": false },
    }))
    .unwrap()];
    sites.step.next.sites = vec![pipeline::SiteRef {
        slug: "fog".to_owned(),
        title: "Fog".to_owned(),
    }];
    here.commit(&hold, &sites).await.unwrap();
    heard(&mut wakes, Wake::Sites).await;
    here.delete_site("fog").await.unwrap();
    heard(&mut wakes, Wake::Sites).await;
}

pub(crate) async fn what_is_not_kept_is_heard_by_who_watches(bed: Bed) {
    let (here, there) = (bed.open().await, bed.open().await);
    let (job, hold) = running(&here, "work").await;
    let (other, _) = running(&here, "other").await;
    let delta = |text: &str| {
        let mut delta = event(EventKind::AgentDelta);
        delta.data.insert("text".to_owned(), text.into());
        delta
    };
    assert!(!here.is_watched(job.id));
    here.say(job.id, delta("to nobody"));
    let mut own = here.watch(job.id);
    let mut watching = there.watch(job.id);
    here.say(job.id, delta("one"));
    let heard = tokio::time::timeout(SOON, own.next()).await.unwrap();
    // One's own come at once.
    assert_eq!(heard.data["text"], "one");
    drop(own);
    // Elsewhere it takes a moment until anybody knows.
    let watched = async {
        while !here.is_watched(job.id) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, watched).await.unwrap();
    assert!(!here.is_watched(other.id));
    here.say(other.id, delta("of another"));
    here.say(job.id, delta("two \"quoted\"\n"));
    let two = async { while watching.next().await.data["text"] != "two \"quoted\"\n" {} };
    tokio::time::timeout(SOON, two).await.unwrap();
    here.append(&hold, &[delta("never")], &[]).await.unwrap();
    let kept = here.job_events(job.id, 0, 100).await.unwrap();
    assert!(kept.iter().all(|event| event.kind != EventKind::AgentDelta));
}
