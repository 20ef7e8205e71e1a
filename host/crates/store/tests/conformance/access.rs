//! Tokens and the page's sessions, and what is of a token's groups.

use crate::setup::*;
use pipeline::{
    Digest, Input, Job, JobId, PluginPin, Publication, Scope, SitePlan, Status, TokenSpec,
};
use serde_json::Map;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use store::{Admins, Created, Filter, NewToken, Revoked, Session};
use tokio::sync::Barrier;
use uuid::Uuid;

fn words(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(ToString::to_string).collect()
}

fn new(text: &str, scopes: &[Scope], groups: Option<&[&str]>) -> NewToken {
    NewToken {
        digest: Digest::of(text.as_bytes()),
        spec: TokenSpec {
            name: format!("{text}'s"),
            scopes: scopes.iter().copied().collect(),
            groups: groups.map(words),
        },
    }
}

async fn created(store: &Arc<dyn Store>, new: &NewToken) -> pipeline::Token {
    match store.create_token(new, Admins::Any).await.unwrap() {
        Created::Done(token) => token,
        Created::NoAdmin => panic!("nobody asked for one"),
    }
}

pub(crate) async fn a_token_is_found_by_its_digest_until_it_is_revoked(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    let [here, there] = &stores;
    assert!(!there.has_tokens().await.unwrap());
    let groups: &[&str] = &["\"a\", b\0", "ö"];
    let one = new("one", &[Scope::Submit, Scope::Read], Some(groups));
    let token = created(here, &one).await;
    assert_eq!(token.id, one.digest.short());
    assert_eq!((token.created_at, token.last_used_at), (bed.now(), None));
    assert_eq!(token.spec.scopes, one.spec.scopes);
    assert_eq!(there.token(&one.digest).await.unwrap(), Some(token.clone()));
    for other in ["two", "one ", ""] {
        let digest = Digest::of(other.as_bytes());
        assert_eq!(there.token(&digest).await.unwrap(), None, "{other}");
    }
    assert_eq!(there.token(&Digest("\0".to_owned())).await.unwrap(), None);

    bed.advance(Duration::from_secs(5));
    let two = new("two", &Scope::ALL, None);
    let second = created(there, &two).await;
    assert_eq!((&second.spec.groups, second.is_live()), (&None, true));
    assert_eq!(
        here.tokens().await.unwrap(),
        [second.clone(), token.clone()]
    );

    for _ in 0..2 {
        let revoked = here.revoke_token(&token.id, Admins::One).await.unwrap();
        assert_eq!(revoked, Revoked::Done);
        bed.advance(Duration::from_secs(1));
    }
    assert_eq!(there.token(&one.digest).await.unwrap(), None);
    let listed = there.tokens().await.unwrap();
    let since = bed.now().before(Duration::from_secs(2));
    assert_eq!(listed[1].revoked_at, Some(since), "the first time counts");
    assert!(there.token(&two.digest).await.unwrap().is_some());
    let nobody = here.revoke_token("nobody\0", Admins::Any).await.unwrap();
    assert_eq!(nobody, Revoked::NotFound);
    here.revoke_token(&second.id, Admins::Any).await.unwrap();
    assert!(there.has_tokens().await.unwrap(), "there were some");
}

pub(crate) async fn one_that_can_administer_stays(bed: Bed) {
    let store = bed.open().await;
    let read = new("read", &[Scope::Read], None);
    let none = store.create_token(&read, Admins::One).await.unwrap();
    assert_eq!(none, Created::NoAdmin);
    assert!(!store.has_tokens().await.unwrap(), "nothing was kept");
    let admin = new("admin", &[Scope::Admin], None);
    let first = store.create_token(&admin, Admins::One).await.unwrap();
    let Created::Done(admin) = first else {
        panic!("{first:?}")
    };
    let done = store.create_token(&read, Admins::One).await.unwrap();
    assert!(matches!(done, Created::Done(_)), "{done:?}");
    let last = store.revoke_token(&admin.id, Admins::One).await.unwrap();
    assert_eq!(last, Revoked::LastAdmin);
    let id = read.digest.short();
    let other = store.revoke_token(id, Admins::One).await.unwrap();
    assert_eq!(other, Revoked::Done);
    let all = store.revoke_token(&admin.id, Admins::Any).await.unwrap();
    assert_eq!(all, Revoked::Done);
    // One that is revoked can't administer.
    let again = new("again", &[Scope::Read], None);
    let none = store.create_token(&again, Admins::One).await.unwrap();
    assert_eq!(none, Created::NoAdmin);
}

pub(crate) async fn two_admins_revoked_at_once_leave_one(bed: Bed) {
    for round in 0..8 {
        let stores = [bed.open().await, bed.open().await];
        let barrier = Arc::new(Barrier::new(2));
        let mut both = Vec::new();
        for (n, store) in stores.iter().enumerate() {
            let admin = new(&format!("{round} {n}"), &[Scope::Admin], None);
            both.push((store.clone(), created(store, &admin).await.id));
        }
        let mut revokes = Vec::new();
        for (store, id) in both {
            let barrier = barrier.clone();
            revokes.push(tokio::spawn(async move {
                barrier.wait().await;
                store.revoke_token(&id, Admins::One).await.unwrap()
            }));
        }
        let mut ended = Vec::new();
        for revoke in revokes {
            ended.push(revoke.await.unwrap());
        }
        ended.sort_by_key(|it| *it == Revoked::LastAdmin);
        assert_eq!(ended, [Revoked::Done, Revoked::LastAdmin]);
        for token in stores[0].tokens().await.unwrap() {
            stores[0]
                .revoke_token(&token.id, Admins::Any)
                .await
                .unwrap();
        }
    }
}

pub(crate) async fn a_use_is_noted_once_a_minute(bed: Bed) {
    let store = bed.open().await;
    let one = new("one", &[Scope::Read], None);
    let id = created(&store, &one).await.id;
    let used = async || {
        store.token_used(&id).await.unwrap();
        let token = store.token(&one.digest).await.unwrap().unwrap();
        token.last_used_at
    };
    let first = Some(bed.now());
    assert_eq!(used().await, first);
    bed.advance(Duration::from_millis(59_999));
    assert_eq!(used().await, first);
    bed.advance(Duration::from_millis(1));
    assert_eq!(used().await, Some(bed.now()));
    store.token_used("nobody").await.unwrap();
}

pub(crate) async fn what_a_later_version_wrote_gives_a_token_no_more(bed: Bed) {
    let store = bed.open().await;
    let one = new("one", &[Scope::Read], None);
    created(&store, &one).await;
    bed.execute("UPDATE tokens SET scopes = 'read reboot'")
        .await;
    let token = store.token(&one.digest).await.unwrap().unwrap();
    assert_eq!(token.spec.scopes, [Scope::Read].into());
    bed.execute("UPDATE tokens SET group_keys = '{\"all\": true}'")
        .await;
    let error = store.token(&one.digest).await.unwrap_err();
    assert_eq!(error.code(), "store-unreadable", "{error}");
    assert_eq!(store.tokens().await.unwrap(), []);
    // A session that a version without tokens has begun is nobody's.
    bed.execute("INSERT INTO sessions (digest, expires) VALUES ('old', 9000000000000000)")
        .await;
    let old = Digest("old".to_owned());
    assert_eq!(store.session(&old).await.unwrap(), None);
}

pub(crate) async fn sessions_end_by_the_databases_clock(bed: Bed) {
    let store = bed.open().await;
    let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
    let until = |secs| Session {
        token: Digest::of(b"token"),
        expires: bed.now().after(Duration::from_secs(secs)),
    };
    let (short, long) = (until(60), until(120));
    store.put_session(&one, &short).await.unwrap();
    store.put_session(&two, &long).await.unwrap();
    assert_eq!(store.session(&one).await.unwrap(), Some(short));
    assert_eq!(store.session(&Digest("\0".to_owned())).await.unwrap(), None);
    bed.advance(Duration::from_secs(60));
    assert_eq!(store.session(&one).await.unwrap(), None);
    assert_eq!(store.session(&two).await.unwrap(), Some(long));
    store.delete_session(&two).await.unwrap();
    assert_eq!(store.session(&two).await.unwrap(), None);
}

pub(crate) async fn sessions_end_with_their_token(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    let (one, two) = (new("one", &Scope::ALL, None), new("two", &Scope::ALL, None));
    let id = created(&stores[0], &one).await.id;
    created(&stores[0], &two).await;
    let sessions = [&one, &one, &two].map(|new| Session {
        token: new.digest.clone(),
        expires: bed.now().after(Duration::from_secs(60)),
    });
    let digest = |n: usize| Digest::of(format!("session {n}").as_bytes());
    for (n, session) in sessions.iter().enumerate() {
        stores[0].put_session(&digest(n), session).await.unwrap();
    }
    stores[0].revoke_token(&id, Admins::One).await.unwrap();
    for n in 0..2 {
        assert_eq!(stores[1].session(&digest(n)).await.unwrap(), None);
    }
    let left = stores[1].session(&digest(2)).await.unwrap();
    assert_eq!(left.as_ref(), Some(&sessions[2]));
}

/// A job of this group that has published a site.
async fn published(store: &Arc<dyn Store>, group: Option<&str>) -> (JobId, String) {
    let group = group.map(str::to_owned);
    let new = Job {
        group,
        ..job("Fog", real_now())
    };
    submit(store, new).await;
    let (job, hold) = claim_one(store, &ask("a")).await;
    let mut job = go(store, &hold, &job, Input::Claimed { rescued: false }).await;
    let prompted = Input::Prompted {
        plugin: pin(),
        tasks: Vec::new(),
        kept: Digest::of(b""),
    };
    let accepted = Input::Validated {
        plugin: pin(),
        verdict: None,
    };
    for input in [prompted, accepted] {
        job = go(store, &hold, &job, input).await;
    }
    let slug = store.reserve_slug(&hold, "fog", 0).await.unwrap().unwrap();
    let plan = SitePlan {
        slug: slug.clone(),
        title: "Fog".to_owned(),
        summary: String::new(),
        root: String::new(),
        entry: "index.html".to_owned(),
        metadata: Map::new(),
        single_page: false,
    };
    let site = Publication {
        slug: slug.clone(),
        plan,
        folder: "v".to_owned(),
    };
    let deployed = Input::Deployed {
        plugin: PluginPin { ..pin() },
        sites: vec![site],
    };
    go(store, &hold, &job, deployed).await;
    (job.id, slug)
}

pub(crate) async fn lists_and_counts_are_of_groups_where_asked(bed: Bed) {
    let store = bed.open().await;
    let odd = "a\",\"b";
    let mut jobs = Vec::new();
    for group in [Some("a"), Some("b"), Some(odd), None, Some("a")] {
        jobs.push(published(&store, group).await);
    }
    let waits = Job {
        group: Some("b".to_owned()),
        ..job("Fog", real_now())
    };
    let waits = submit(&store, waits).await.id;
    let ids = |page: store::Page<Job>| -> Vec<JobId> {
        page.items.into_iter().map(|job| job.id).collect()
    };
    let of = |groups: &[&str]| Filter {
        groups: Some(words(groups)),
        limit: 9,
        ..Filter::default()
    };
    let list = async |filter: Filter| ids(store.jobs(&filter).await.unwrap());
    assert_eq!(list(of(&["a"])).await, [jobs[4].0, jobs[0].0]);
    assert_eq!(
        list(of(&["a", "b"])).await,
        [waits, jobs[4].0, jobs[1].0, jobs[0].0]
    );
    assert_eq!(list(of(&[odd])).await, [jobs[2].0]);
    assert_eq!(list(of(&["c"])).await, []);
    assert_eq!(list(of(&[])).await, []);
    assert_eq!(list(of(&["a\0"])).await, []);
    let both = Filter {
        group: Some("b".to_owned()),
        status: Some(Status::Queued),
        ..of(&["a", "b"])
    };
    assert_eq!(list(both).await, [waits]);
    let elsewhere = Filter {
        group: Some("b".to_owned()),
        ..of(&["a"])
    };
    assert_eq!(list(elsewhere).await, []);
    // Page by page.
    let first = Filter {
        limit: 1,
        ..of(&["a"])
    };
    let page = store.jobs(&first).await.unwrap();
    let next = Filter {
        cursor: page.next_cursor,
        ..first
    };
    assert_eq!(
        (ids(page), list(next).await),
        (vec![jobs[4].0], vec![jobs[0].0])
    );

    let groups = words(&["a"]);
    let page = store.sites(1, None, Some(&groups)).await.unwrap();
    let rest = store
        .sites(9, page.next_cursor, Some(&groups))
        .await
        .unwrap();
    let slugs: Vec<String> = page
        .items
        .into_iter()
        .chain(rest.items)
        .map(|it| it.slug)
        .collect();
    assert_eq!(slugs, [jobs[4].1.clone(), jobs[0].1.clone()]);
    assert_eq!(store.sites(9, None, None).await.unwrap().items.len(), 5);
    assert_eq!(
        store.sites(9, None, Some(&words(&[]))).await.unwrap().items,
        []
    );

    let counts = store.counts(Some(&words(&["b"]))).await.unwrap();
    assert_eq!(
        (counts[&Status::Queued], counts[&Status::Succeeded]),
        (1, 1)
    );
    assert_eq!(counts.len(), Status::ALL.len());
    assert_eq!(store.counts(None).await.unwrap()[&Status::Succeeded], 5);

    let all: Vec<JobId> = jobs
        .iter()
        .map(|it| it.0)
        .chain([JobId(Uuid::now_v7())])
        .collect();
    let own = store.in_groups(&all, &words(&["a", odd])).await.unwrap();
    assert_eq!(own, [jobs[0].0, jobs[2].0, jobs[4].0].into());
    assert_eq!(store.in_groups(&[], &groups).await.unwrap(), [].into());
    assert_eq!(store.in_groups(&all, &words(&[])).await.unwrap(), [].into());
}
