//! Tokens that are created: what each route wants, how the first comes about and the last stays,
//! how soon a revoke is known, and what is kept. What a bound one sees is `bound`'s.

use crate::by::By;
use crate::setup::{Host, full, now};
use crate::streams::Listener;
use api::{ApiConfig, Need, Secret};
use axum::body::Body;
use axum::http::Method;
use pipeline::{Scope, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use store::AccessStore as _;

const ROOT: &str = "a token of some length";
const NO_JOB: &str = "0198c0de-0000-7000-8000-000000000001";

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn every_scope(name: &str) -> Value {
    json!({ "name": name, "scopes": ["read", "submit", "admin"] })
}

/// A path of a route, with names in it of what isn't there.
pub(crate) fn path_of(route: &str, id: &str) -> String {
    route
        .replace("{id}", id)
        .replace("{name}", "nothing")
        .replace("{slug}", "nothing")
        .replace("{phase}", "idea")
        .replace("{attempt}", "1")
        .replace("{*path}", "a.txt")
        .replace("{*rest}", "nothing/")
}

/// What a request is answered with; of a stream, its head.
pub(crate) async fn answered(
    host: &Host,
    request: axum::http::request::Builder,
) -> (u16, Option<String>) {
    let request = request.header("content-type", "application/json");
    let answer = host.stream(request.body(full("{}")).unwrap()).await;
    let status = answer.status().as_u16();
    if answer.status().is_success() {
        return (status, None);
    }
    let (_, body) = answer.into_parts();
    let body = http_body_util::BodyExt::collect(body).await.unwrap();
    let problem: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    (status, Some(problem["detail"].to_string()))
}

#[tokio::test]
async fn every_route_wants_its_scope_and_no_other() {
    let host = Host::with_token(ROOT).await;
    let root = host.by(ROOT);
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        let spec = json!({ "name": "one", "scopes": [scope] });
        tokens.push((scope, root.create(spec).await.0));
    }
    let routes = api::routes();
    let heads = routes.iter().filter(|route| route.method == Method::GET);
    let heads = heads.map(|route| api::Route {
        method: Method::HEAD,
        ..route.clone()
    });
    let all: Vec<_> = routes.iter().cloned().chain(heads).collect();
    assert!(all.len() > 50, "{}", all.len());
    for route in all {
        let path = path_of(route.path, NO_JOB);
        let what = format!("{} {}", route.method, route.path);
        let (status, _) = answered(&host, host.request(route.method.clone(), &path)).await;
        match route.need {
            Need::Public => assert_ne!(status, 401, "{what}"),
            _ => assert_eq!(status, 401, "{what}"),
        }
        for (scope, token) in &tokens {
            let request = host.by(token).request(route.method.clone(), &path);
            let (status, detail) = answered(&host, request).await;
            let wants = route.need.scope().filter(|wants| wants != scope);
            match wants {
                None => assert!(
                    !matches!(status, 401 | 403),
                    "{what} with {scope:?}: {status}"
                ),
                Some(wants) => {
                    assert_eq!(status, 403, "{what} with {scope:?}");
                    let named = format!("`{}`", wants.word());
                    let detail = detail.unwrap();
                    let names = route.method == Method::HEAD || detail.contains(&named);
                    assert!(names, "{what} with {scope:?}: {detail}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_no_row_of_the_table_is_about_wants_a_token() {
    let host = Host::with_token(ROOT).await;
    for path in ["/api/nothing", "/api", "/api/jobs/x/y/z"] {
        assert_eq!(host.get(path).await.problem(), refused(401, "unauthorized"));
        let known = host.by(ROOT).get(path).await;
        assert_eq!(known.problem(), refused(404, "not-found"), "{path}");
    }
    let patch = answered(&host, host.request(Method::PATCH, "/api/jobs")).await;
    assert_eq!(patch.0, 401);
    let patch = answered(&host, host.by(ROOT).request(Method::PATCH, "/api/jobs")).await;
    assert_eq!(patch.0, 405);
}

#[tokio::test]
async fn a_token_is_shown_once_and_kept_nowhere() {
    let host = Host::with_token(ROOT).await;
    let root = host.by(ROOT);
    let spec = json!({ "name": "ci", "scopes": ["submit", "read"], "groups": ["b", "a"] });
    let answer = root.post("/api/tokens", spec).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let fresh = answer.json();
    for (key, value) in [
        ("name", json!("ci")),
        ("scopes", json!(["read", "submit"])),
        ("groups", json!(["a", "b"])),
        ("last_used_at", Value::Null),
        ("revoked_at", Value::Null),
    ] {
        assert_eq!(fresh[key], value, "{key}");
    }
    let text = fresh["token"].as_str().unwrap();
    assert!(text.starts_with("gantry_") && text.len() == 71, "{text}");
    let id = fresh["id"].as_str().unwrap();
    let list = root.get("/api/tokens").await;
    assert_eq!(list.json()["items"][0]["id"], id);
    assert!(!list.json().to_string().contains(text));
    for name in ["store.db", "store.db-wal"] {
        let bytes = std::fs::read(host.folder.join(name)).unwrap();
        let holds = |text: &str| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(!holds(text) && !holds(&text[7..]), "{name}");
        assert!(name == "store.db" || holds("\"a\",\"b\""), "it was written");
    }
    let other = root.create(every_scope("other")).await;
    assert_ne!(other.0, text);
}

#[tokio::test]
async fn a_token_that_cant_be_is_refused_with_the_reason() {
    let host = Host::with_token(ROOT).await;
    let read = json!(["read"]);
    for (spec, said) in [
        (json!({ "name": " ", "scopes": read }), "name is empty"),
        (
            json!({ "name": "x".repeat(101), "scopes": read }),
            "101 bytes",
        ),
        (json!({ "name": "a\nb", "scopes": read }), "control"),
        (json!({ "name": "a", "scopes": [] }), "no scope"),
        (json!({ "name": "a", "scopes": ["write"] }), "`read`"),
        (json!({ "name": "a" }), "scopes"),
        (
            json!({ "name": "a", "scopes": read, "groups": [] }),
            "empty",
        ),
        (
            json!({ "name": "a", "scopes": read, "groups": ["*"] }),
            "`*`",
        ),
        (
            json!({ "name": "a", "scopes": ["admin"], "groups": ["a"] }),
            "can't be bound",
        ),
        (
            json!({ "name": "a", "scopes": read, "group": ["a"] }),
            "group",
        ),
    ] {
        let answer = host.by(ROOT).post("/api/tokens", spec.clone()).await;
        assert_eq!(answer.problem(), refused(422, "invalid-body"), "{spec}");
        assert!(
            answer.detail().contains(said),
            "{spec}: {}",
            answer.detail()
        );
    }
    let none = host.by(ROOT).get("/api/tokens").await.json();
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn the_first_token_shuts_an_open_host_and_can_administer() {
    let host = Host::start().await;
    assert_eq!(host.get("/api/jobs").await.status, 200);
    let ci = json!({ "name": "ci", "scopes": ["submit"] });
    let answer = host.post("/api/tokens", &ci).await;
    assert_eq!(answer.problem(), refused(409, "no-admin"));
    assert_eq!(host.get("/api/jobs").await.status, 200, "still open");
    let me = host.post("/api/tokens", every_scope("me")).await;
    assert_eq!(me.status, 201);
    let me = me.json()["token"].as_str().unwrap().to_owned();
    let shut = host.get("/api/jobs").await;
    assert_eq!(shut.problem(), refused(401, "unauthorized"));
    let me = host.by(&me);
    assert_eq!(me.get("/api/jobs").await.status, 200);
    me.create(ci).await;
}

#[tokio::test]
async fn the_last_that_can_administer_stays_unless_there_is_another_way_in() {
    let host = Host::start().await;
    let one = host.post("/api/tokens", every_scope("one")).await.json();
    let (one, id) = (one["token"].as_str().unwrap(), one["id"].as_str().unwrap());
    let one = host.by(one);
    let (ci, ci_id) = one
        .create(json!({ "name": "ci", "scopes": ["read"] }))
        .await;
    let last = one.delete(&format!("/api/tokens/{id}")).await;
    assert_eq!(last.problem(), refused(409, "no-admin"));
    assert_eq!(
        one.delete(&format!("/api/tokens/{ci_id}")).await.status,
        204
    );
    assert_eq!(
        host.by(&ci).get("/api/jobs").await.problem(),
        refused(401, "unauthorized")
    );
    let (two, two_id) = one.create(every_scope("two")).await;
    assert_eq!(
        host.by(&two)
            .delete(&format!("/api/tokens/{id}"))
            .await
            .status,
        204
    );
    // With the configured token somebody always can; that none is left opens nothing.
    let set = |config: &mut ApiConfig| config.api_token = Some(Secret::new(ROOT));
    let beside = host.beside(set).await;
    let root = beside.by(ROOT);
    assert_eq!(
        root.delete(&format!("/api/tokens/{two_id}")).await.status,
        204
    );
    assert_eq!(
        root.delete(&format!("/api/tokens/{two_id}")).await.status,
        204
    );
    assert_eq!(root.delete("/api/tokens/nobody").await.problem().0, 404);
    let third = host.beside(|_| ()).await;
    for host in [&host, &third] {
        let shut = host.get("/api/jobs").await;
        assert_eq!(shut.problem(), refused(401, "unauthorized"));
    }
}

/// A clock that a test moves.
fn by_hand() -> (Arc<AtomicI64>, impl Fn(&mut ApiConfig)) {
    let clock = Arc::new(AtomicI64::new(now().as_millis()));
    let read = clock.clone();
    let set = move |config: &mut ApiConfig| {
        let read = read.clone();
        config.now = Arc::new(move || Timestamp::from_millis(read.load(Ordering::SeqCst)));
    };
    (clock, set)
}

#[tokio::test]
async fn a_revoke_is_known_here_at_once_and_elsewhere_after_three_seconds() {
    let (clock, set) = by_hand();
    let root = |config: &mut ApiConfig| config.api_token = Some(Secret::new(ROOT));
    let here = Host::with_token(ROOT).await;
    let there = here
        .beside(|config| {
            set(config);
            root(config);
        })
        .await;
    let (ci, id) = here.by(ROOT).create(every_scope("ci")).await;
    // Created here, and good there at once.
    assert_eq!(there.by(&ci).get("/api/jobs").await.status, 200);
    assert_eq!(here.by(&ci).get("/api/jobs").await.status, 200);
    let path = format!("/api/tokens/{id}");
    assert_eq!(here.by(ROOT).delete(&path).await.status, 204);
    assert_eq!(here.by(&ci).get("/api/jobs").await.status, 401);
    clock.fetch_add(2_999, Ordering::SeqCst);
    assert_eq!(there.by(&ci).get("/api/jobs").await.status, 200);
    clock.fetch_add(1, Ordering::SeqCst);
    assert_eq!(there.by(&ci).get("/api/jobs").await.status, 401);
    let list = here.by(ROOT).get("/api/tokens").await.json();
    assert!(list["items"][0]["revoked_at"].is_string(), "{list}");
}

#[tokio::test]
async fn an_open_host_learns_of_a_first_token_elsewhere_after_three_seconds() {
    let (clock, set) = by_hand();
    let here = Host::start().await;
    let there = here.beside(set).await;
    assert_eq!(there.get("/api/jobs").await.status, 200);
    let me = here.post("/api/tokens", every_scope("me")).await;
    assert_eq!(me.status, 201);
    clock.fetch_add(2_999, Ordering::SeqCst);
    assert_eq!(there.get("/api/jobs").await.status, 200);
    clock.fetch_add(1, Ordering::SeqCst);
    assert_eq!(there.get("/api/jobs").await.status, 401);
}

async fn signed_in(host: &Host, token: &str) -> String {
    let request = host
        .request(Method::POST, "/api/session")
        .header("content-type", "application/json")
        .body(full(json!({ "token": token }).to_string()));
    let answer = host.send(request.unwrap()).await;
    assert_eq!(answer.status, 204, "{:?}", answer.body);
    let cookie = answer.header("set-cookie");
    cookie.split(';').next().unwrap().to_owned()
}

async fn with_cookie(host: &Host, cookie: &str, method: Method, path: &str) -> (u16, Value) {
    let own = format!("http://localhost:{}", host.port);
    let request = host
        .request(method, path)
        .header("cookie", cookie)
        .header("origin", own)
        .body(Body::empty());
    let answer = host.send(request.unwrap()).await;
    let json = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status.as_u16(), json)
}

#[tokio::test]
async fn a_session_is_its_tokens_and_ends_with_it() {
    let host = Host::with_token(ROOT).await;
    let root = host.by(ROOT);
    let spec = json!({ "name": "acme", "scopes": ["read"], "groups": ["acme"] });
    let (token, id) = root.create(spec).await;
    let cookie = signed_in(&host, &token).await;
    let (status, who) = with_cookie(&host, &cookie, Method::GET, "/api/session").await;
    let acme = json!({ "name": "acme", "scopes": ["read"], "groups": ["acme"] });
    assert_eq!((status, who), (200, acme));
    let job = format!("/api/jobs/{}", root.submit(json!({ "name": "a" })).await);
    assert_eq!(with_cookie(&host, &cookie, Method::GET, &job).await.0, 404);
    let delete = with_cookie(&host, &cookie, Method::DELETE, &job).await;
    assert_eq!(
        (delete.0, &delete.1["code"]),
        (403, &json!("missing-scope"))
    );
    root.delete(&format!("/api/tokens/{id}")).await;
    let stats = |cookie: &str| {
        let cookie = cookie.to_owned();
        let host = &host;
        async move {
            with_cookie(host, &cookie, Method::GET, "/api/stats")
                .await
                .0
        }
    };
    assert_eq!(stats(&cookie).await, 401);

    // So does that of the configured token, where another host has another one.
    let cookie = signed_in(&host, ROOT).await;
    assert_eq!(stats(&cookie).await, 200);
    let set = |config: &mut ApiConfig| config.api_token = Some(Secret::new("another token"));
    let other = host.beside(set).await;
    let there = with_cookie(&other, &cookie, Method::GET, "/api/stats").await;
    assert_eq!(there.0, 401);
}

#[tokio::test]
async fn who_is_signed_in_is_told() {
    let open = Host::start().await;
    let all = json!({ "name": null, "scopes": ["read", "submit", "admin"], "groups": null });
    assert_eq!(open.get("/api/session").await.json(), all);
    let host = Host::with_token(ROOT).await;
    assert_eq!(host.get("/api/session").await.status, 401);
    let who = host.by(ROOT).get("/api/session").await.json();
    assert_eq!(who["name"], "API_TOKEN");
    let nothing = open.post("/api/session", json!({ "token": "x" })).await;
    assert_eq!(nothing.problem(), refused(401, "unauthorized"));
    assert!(
        nothing.detail().contains("asks for none"),
        "{}",
        nothing.detail()
    );
}

#[tokio::test]
async fn a_use_is_noted_to_the_minute() {
    let host = Host::with_token(ROOT).await;
    let (token, _) = host.by(ROOT).create(every_scope("ci")).await;
    assert_eq!(host.by(&token).get("/api/jobs").await.status, 200);
    // Beside the request: it comes in its time.
    let noted = async {
        loop {
            let tokens = host.store.tokens().await.unwrap();
            if let Some(at) = tokens[0].last_used_at {
                return at;
            }
            tokio::task::yield_now().await;
        }
    };
    let at = tokio::time::timeout(crate::setup::DEADLINE, noted).await;
    assert!(now().since(at.unwrap()) < Duration::from_secs(60));
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let host = Host::with_token(ROOT).await;
    let root = host.by(ROOT);
    let (token, id) = root.create(every_scope("ci")).await;
    let job = root.submit(json!({ "name": "a" })).await;
    let listen = async |by: By<'_>, path: &str| {
        let request = by.request(Method::GET, path).body(Body::empty()).unwrap();
        Listener::of(&host, request).await
    };
    let path = format!("/api/jobs/{job}/events");
    let mut one = listen(host.by(&token), &path).await;
    assert_eq!(one.next().await.unwrap().1["type"], "job.queued");
    let mut all = listen(host.by(&token), "/api/events").await;
    let mut roots = listen(root, "/api/events").await;
    root.delete(&format!("/api/tokens/{id}")).await;
    let later = root.submit(json!({ "name": "b" })).await;
    // What was being read at that moment may still come.
    for stream in [&mut one, &mut all] {
        let ended = async { while stream.next().await.is_some() {} };
        let ended = tokio::time::timeout(crate::setup::DEADLINE, ended).await;
        ended.unwrap();
    }
    assert_eq!(roots.next().await.unwrap().1["job"], json!(later));
}

#[tokio::test]
async fn a_key_is_its_clients_own() {
    let host = Host::with_token(ROOT).await;
    let root = host.by(ROOT);
    let (one, _) = root.create(every_scope("one")).await;
    let (two, _) = root.create(every_scope("two")).await;
    let send = async |token: &str, name: &str| {
        let request = host
            .by(token)
            .request(Method::POST, "/api/jobs")
            .header("content-type", "application/json")
            .header("idempotency-key", "k")
            .body(full(json!({ "name": name }).to_string()));
        let answer = host.send(request.unwrap()).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let first = send(&one, "a").await;
    assert_eq!(send(&one, "a").await, first);
    assert_ne!(send(&two, "a").await, first);
    assert_ne!(send(ROOT, "b").await, first);
    let jobs = host.jobs().await;
    let submitters: BTreeSet<String> = jobs.into_iter().map(|job| job.submitter).collect();
    assert_eq!(submitters.len(), 3, "{submitters:?}");
    assert!(submitters.iter().all(|it| it.starts_with("token:")));
}
