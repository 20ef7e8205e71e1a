//! Wake-ups on another handle than the one that writes. That none is needed, `claims` shows.

use crate::setup::*;
use pipeline::{EventKind, Input, Limits};
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
