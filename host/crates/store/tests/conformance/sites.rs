//! Addresses and what is published under them. The files are `deploy`'s.

use crate::setup::*;
use pipeline::{EventKind, Input, Job, Limits, Publication, SitePlan};
use serde_json::Map;
use std::sync::Arc;
use store::Hold;
use tokio::sync::Barrier;

fn publication(slug: &str, title: &str) -> Publication {
    Publication {
        slug: slug.to_owned(),
        plan: SitePlan {
            slug: slug.to_owned(),
            title: title.to_owned(),
            summary: String::new(),
            root: "dist".to_owned(),
            entry: "index.html".to_owned(),
            metadata: Map::new(),
            single_page: true,
        },
        folder: format!("versions/{slug}-{title}"),
    }
}

async fn publish(store: &Arc<dyn Store>, hold: &Hold, job: &Job, sites: Vec<Publication>) -> Job {
    go(
        store,
        hold,
        job,
        Input::Deployed {
            plugin: pin(),
            sites,
        },
    )
    .await
}

pub(crate) async fn an_address_belongs_to_its_first_job(bed: Bed) {
    let store = bed.open().await;
    let (_, first) = deploying(&store, "first").await;
    let (_, second) = deploying(&store, "second").await;
    let reserve = |hold: Hold, wish: &'static str, index| {
        let store = store.clone();
        async move {
            store
                .reserve_slug(&hold, wish, index)
                .await
                .unwrap()
                .unwrap()
        }
    };
    assert_eq!(reserve(first.clone(), "fog", 0).await, "fog");
    assert_eq!(reserve(first.clone(), "other wish", 0).await, "fog");
    assert_eq!(reserve(first.clone(), "fog", 1).await, "fog-2");
    assert_eq!(reserve(second.clone(), "fog", 0).await, "fog-3");
    assert_eq!(reserve(second.clone(), "fog", 0).await, "fog-3");
    // What looks like a suffix may be somebody's wish.
    assert_eq!(reserve(second.clone(), "rain-2", 1).await, "rain-2");
    assert_eq!(reserve(second.clone(), "rain", 2).await, "rain");
    assert_eq!(reserve(second.clone(), "rain", 3).await, "rain-3");
    assert_eq!(reserve(second.clone(), "../Ä\0!", 4).await, "site");
}

pub(crate) async fn two_jobs_that_wish_at_once_get_two_addresses(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    let (_, first) = deploying(&stores[0], "first").await;
    let (_, second) = deploying(&stores[0], "second").await;
    for round in 0..10_u32 {
        let wish = format!("wish-number-{round}-x");
        let barrier = Arc::new(Barrier::new(2));
        let reserve = |store: &Arc<dyn Store>, hold: &Hold| {
            let (store, hold) = (store.clone(), hold.clone());
            let (barrier, wish) = (barrier.clone(), wish.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                store
                    .reserve_slug(&hold, &wish, round)
                    .await
                    .unwrap()
                    .unwrap()
            })
        };
        let (one, two) = (reserve(&stores[0], &first), reserve(&stores[1], &second));
        let mut got = [one.await.unwrap(), two.await.unwrap()];
        got.sort();
        assert_eq!(got, [wish.clone(), format!("{wish}-2")]);
    }
}

pub(crate) async fn a_revision_is_published_once_and_replaced_by_the_next(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = deploying(&store, "game").await;
    for index in 0..2 {
        store.reserve_slug(&hold, "fog", index).await.unwrap();
    }
    let sites = vec![publication("fog", "One"), publication("fog-2", "Notes")];
    publish(&store, &hold, &job, sites.clone()).await;
    // Its holder asks again: the job rests, and nothing is published twice.
    let again = change(
        &job,
        Input::Deployed {
            plugin: pin(),
            sites: sites.clone(),
        },
        bed.now(),
    );
    let lost = store.commit(&hold, &again).await.unwrap();
    assert_eq!(lost, store::Committed::LeaseLost);
    let listed = store.published().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].publication, sites[0]);
    assert_eq!((listed[0].revision, listed[0].published_at), (1, bed.now()));
    let told = store.job_events(job.id, 0, 100).await.unwrap();
    let deployed = told
        .iter()
        .filter(|event| event.kind == EventKind::JobDeployed);
    assert_eq!(deployed.count(), 1);

    let feedback = Input::Feedback {
        text: "more".to_owned(),
    };
    store
        .act(job.id, feedback, &Limits::default(), bed.now())
        .await
        .unwrap();
    assert_eq!(store.site("fog").await.unwrap().unwrap().revision, 1);
    let (job, hold) = redeploy(&store).await;
    assert_eq!(
        store
            .reserve_slug(&hold, "new wish", 0)
            .await
            .unwrap()
            .as_deref(),
        Some("fog")
    );
    publish(&store, &hold, &job, vec![publication("fog", "Two")]).await;
    let site = store.site("fog").await.unwrap().unwrap();
    assert_eq!(
        (site.revision, site.publication.plan.title.as_str()),
        (2, "Two")
    );
    assert_eq!(site.number, listed[0].number);
    // What the new revision doesn't publish is gone; the address stays the job's.
    assert_eq!(store.site("fog-2").await.unwrap(), None);
    assert_eq!(store.sites(10, None, None).await.unwrap().items, [site]);
    let (_, other) = deploying(&store, "other").await;
    assert_eq!(
        store
            .reserve_slug(&other, "fog", 0)
            .await
            .unwrap()
            .as_deref(),
        Some("fog-3")
    );
}

/// The job that was sent back, at its deploy again.
async fn redeploy(store: &Arc<dyn Store>) -> (Job, Hold) {
    let (job, hold) = claim_one(store, &ask("b")).await;
    let job = go(store, &hold, &job, Input::Claimed { rescued: false }).await;
    let prompted = Input::Prompted {
        plugin: pin(),
        tasks: Vec::new(),
        kept: pipeline::Digest::of(b""),
    };
    let job = go(store, &hold, &job, prompted).await;
    let accepted = Input::Validated {
        plugin: pin(),
        verdict: None,
    };
    let job = go(store, &hold, &job, accepted).await;
    (job, hold)
}

pub(crate) async fn an_address_is_freed_with_its_site(bed: Bed) {
    let store = bed.open().await;
    let mut jobs = Vec::new();
    for slug in ["one", "two", "three"] {
        let (job, hold) = deploying(&store, slug).await;
        store.reserve_slug(&hold, slug, 0).await.unwrap();
        jobs.push(publish(&store, &hold, &job, vec![publication(slug, "T")]).await);
    }
    let page = store.sites(2, None, None).await.unwrap();
    let slugs = |items: &[store::Site]| -> Vec<String> {
        items.iter().map(|site| site.slug.clone()).collect()
    };
    assert_eq!(slugs(&page.items), ["three", "two"]);
    let rest = store.sites(2, page.next_cursor, None).await.unwrap();
    assert_eq!(
        (slugs(&rest.items), rest.next_cursor),
        (vec!["one".to_owned()], None)
    );

    assert!(store.delete_site("two").await.unwrap());
    assert!(!store.delete_site("two").await.unwrap());
    assert!(!store.delete_site("\0").await.unwrap());
    assert_eq!(store.site("\0").await.unwrap(), None);
    // The job doesn't speak of it any more, and the address is free.
    let read = store.job(jobs[1].id).await.unwrap().unwrap();
    assert_eq!(read.sites, []);
    assert_eq!(store.job(jobs[0].id).await.unwrap().unwrap().sites.len(), 1);
    let (_, hold) = deploying(&store, "next").await;
    assert_eq!(
        store
            .reserve_slug(&hold, "two", 0)
            .await
            .unwrap()
            .as_deref(),
        Some("two")
    );
    // With the job goes its site.
    store.delete(jobs[0].id).await.unwrap();
    assert_eq!(store.site("one").await.unwrap(), None);
}
