//! A token that is bound to groups: to it there is no job of others, whichever way it asks.

use crate::by::By;
use crate::setup::{DEADLINE, Host, plan};
use crate::streams::Listener;
use crate::tokens::path_of;
use api::Need;
use axum::body::Body;
use axum::http::Method;
use http_body_util::BodyExt as _;
use pipeline::{Event, EventKind, JobId};
use serde_json::{Map, Value, json};
use store::{ApiStore as _, DriverStore as _, GateChange, GateKind};

const ROOT: &str = "a token of some length";
const NO_JOB: &str = "0198c0de-0000-7000-8000-000000000001";

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// A token for jobs of `acme`, which may do all that such a one can.
async fn acme(host: &Host) -> String {
    let spec = json!({ "name": "acme", "scopes": ["read", "submit"], "groups": ["acme"] });
    host.by(ROOT).create(spec).await.0
}

async fn job_of(host: &Host, group: Option<&str>) -> JobId {
    let job = json!({ "name": "fog", "group": group });
    let id = host.by(ROOT).submit(job).await;
    let folder = host.folder.join(id.to_string());
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a.txt"), "theirs").unwrap();
    id
}

fn body_of(method: &Method, path: &str) -> Value {
    match (method, path.rsplit('/').next()) {
        (&Method::POST, Some("feedback")) => json!({ "text": "more" }),
        (&Method::POST | &Method::PUT, _) => json!({}),
        _ => Value::Null,
    }
}

/// A refusal, but for what differs from request to request.
fn said(mut problem: Value, id: &str) -> String {
    problem["request_id"] = Value::Null;
    problem.to_string().replace(id, "ID")
}

#[tokio::test]
async fn a_bound_token_meets_no_job_of_another_group() {
    let host = Host::with_token(ROOT).await;
    let token = acme(&host).await;
    let by = host.by(&token);
    let others = [
        job_of(&host, Some("other")).await,
        job_of(&host, Some("Acme")).await,
        job_of(&host, None).await,
    ];
    let mut tried = 0;
    for route in api::routes() {
        if !route.path.starts_with("/api/jobs/{id}") {
            continue;
        }
        if route.need == Need::Admin {
            // Its own test says who may.
            continue;
        }
        let body = body_of(&route.method, route.path);
        let what = format!("{} {}", route.method, route.path);
        let path = path_of(route.path, NO_JOB);
        let none = by.send(route.method.clone(), &path, body.clone()).await;
        assert_eq!(none.problem(), refused(404, "not-found"), "{what}");
        for id in others.map(|id| id.to_string()) {
            let path = path_of(route.path, &id);
            let answer = by.send(route.method.clone(), &path, body.clone()).await;
            assert_eq!(answer.problem(), refused(404, "not-found"), "{what}");
            assert_eq!(said(answer.json(), &id), said(none.json(), NO_JOB));
        }
        tried += 1;
    }
    assert_eq!(tried, 12, "routes of one job");
    for id in others {
        let job = host.store.job(id).await.unwrap().unwrap();
        assert_eq!(job.status.word(), "queued");
    }
}

#[tokio::test]
async fn a_bound_token_has_its_own_jobs_to_itself() {
    let host = Host::with_token(ROOT).await;
    let token = acme(&host).await;
    let by = host.by(&token);
    let id = job_of(&host, Some("acme")).await;
    let at = |rest: &str| format!("/api/jobs/{id}{rest}");
    assert_eq!(by.get(&at("")).await.json()["group"], "acme");
    assert_eq!(
        by.get(&at("/files")).await.json()["items"][0]["path"],
        "a.txt"
    );
    assert_eq!(&by.get(&at("/files/a.txt")).await.body[..], b"theirs");
    assert_eq!(by.get(&at("/logs")).await.status, 200);
    assert_eq!(by.post(&at("/cancel"), Value::Null).await.status, 202);
    assert_eq!(by.post(&at("/retry"), Value::Null).await.status, 202);
    assert_eq!(by.post(&at("/cancel"), Value::Null).await.status, 202);
    let feedback = by.post(&at("/feedback"), json!({ "text": "more" })).await;
    assert_eq!(feedback.status, 202);
    assert_eq!(by.post(&at("/cancel"), Value::Null).await.status, 202);
    assert_eq!(by.delete(&at("")).await.status, 204);
}

/// Every route that isn't of one job, and how a bound token with `read` and `submit` fares there;
/// what is in the answers is below.
const ELSEWHERE: &[(&str, &str, u16)] = &[
    ("POST", "/api/jobs", 422),
    ("GET", "/api/jobs", 200),
    ("POST", "/api/jobs/retry", 422),
    ("POST", "/api/jobs/cancel", 422),
    ("GET", "/api/events", 200),
    ("GET", "/api/sites", 200),
    ("DELETE", "/api/sites/{slug}", 403),
    ("GET", "/api/plugins", 200),
    ("POST", "/api/plugins/{name}/rollback", 403),
    ("POST", "/api/plugins/{name}/release", 403),
    ("GET", "/api/plugins/{name}/calls", 403),
    ("GET", "/api/pipelines", 200),
    ("POST", "/api/pipelines/{name}/pause", 403),
    ("POST", "/api/pipelines/{name}/resume", 403),
    ("POST", "/api/pause", 403),
    ("POST", "/api/resume", 403),
    ("GET", "/api/gates", 200),
    ("PUT", "/api/groups/{name}", 403),
    ("GET", "/api/budgets", 403),
    ("PUT", "/api/budgets/day", 403),
    ("GET", "/api/stats", 200),
    ("GET", "/api/tokens", 403),
    ("POST", "/api/tokens", 403),
    ("DELETE", "/api/tokens/{id}", 403),
    ("GET", "/api/session", 200),
    ("GET", "/metrics", 403),
];

#[tokio::test]
async fn what_is_of_all_groups_is_refused_or_confined() {
    let host = Host::with_token(ROOT).await;
    let token = acme(&host).await;
    let mut seen = Vec::new();
    for route in api::routes() {
        if route.need == Need::Public || route.path.starts_with("/api/jobs/{id}") {
            continue;
        }
        let request = host.by(&token);
        let request = request.request(route.method.clone(), &path_of(route.path, NO_JOB));
        let (status, _) = crate::tokens::answered(&host, request).await;
        seen.push((route.method.to_string(), route.path, status));
    }
    let wanted = ELSEWHERE.iter();
    let wanted: Vec<_> = wanted
        .map(|(method, path, status)| ((*method).to_owned(), *path, *status))
        .collect();
    assert_eq!(seen, wanted);
    for path in ["/metrics", "/api/plugins/idea/calls"] {
        let answer = host.by(&token).get(path).await;
        assert_eq!(answer.problem(), refused(403, "bound-token"));
        assert!(answer.detail().contains("`acme`"), "{}", answer.detail());
    }
}

#[tokio::test]
async fn a_submit_goes_into_a_group_of_the_token() {
    let host = Host::with_token(ROOT).await;
    let token = acme(&host).await;
    let by = host.by(&token);
    let job = by.post("/api/jobs", json!({ "name": "a" })).await;
    assert_eq!(
        (job.status.as_u16(), &job.json()["group"]),
        (201, &json!("acme"))
    );
    let unique = json!({ "name": "a", "unique": "refuse" });
    let open = by.post("/api/jobs", unique).await;
    assert_eq!(
        open.problem(),
        refused(409, "not-unique"),
        "its group is known"
    );
    for group in ["other", "ACME", "acme ", "*", ""] {
        let answer = by
            .post("/api/jobs", json!({ "name": "a", "group": group }))
            .await;
        assert_eq!(answer.problem(), refused(403, "wrong-group"), "{group}");
        assert!(answer.detail().contains("`acme`"), "{}", answer.detail());
    }
    let spec = json!({ "name": "two", "scopes": ["submit"], "groups": ["acme", "b"] });
    let (two, _) = host.by(ROOT).create(spec).await;
    let none = host
        .by(&two)
        .post("/api/jobs", json!({ "name": "a" }))
        .await;
    assert_eq!(none.problem(), refused(422, "invalid-job"));
    assert!(none.detail().contains("`acme`, `b`"), "{}", none.detail());
    let named = json!({ "name": "a", "group": "b" });
    assert_eq!(host.by(&two).post("/api/jobs", named).await.status, 201);
}

fn names(page: &Value, key: &str) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    let text = |item: &Value| item[key].as_str().unwrap().to_owned();
    items.iter().map(text).collect()
}

#[tokio::test]
async fn lists_and_numbers_are_of_its_groups() {
    let host = Host::with_token(ROOT).await;
    let token = acme(&host).await;
    let by = host.by(&token);
    // Theirs, published; then its own.
    let mut sites = Vec::new();
    for group in ["other", "acme"] {
        let job = json!({ "name": "fog", "group": group });
        host.by(ROOT).submit(job).await;
        sites.push(host.publish_next(plan("index.html", false), &[]).await);
    }
    let (theirs, own_site) = (sites[0].clone(), sites[1].clone());
    job_of(&host, Some("other")).await;
    job_of(&host, None).await;
    let own = job_of(&host, Some("acme")).await.to_string();
    let all = by.get("/api/jobs").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert!(names(&all, "group").iter().all(|group| group == "acme"));
    for query in ["group=other", "group=other&status=queued"] {
        let none = by.get(&format!("/api/jobs?{query}")).await.json();
        assert_eq!(none["items"], json!([]), "{query}");
    }
    let some = by
        .get("/api/jobs?group=acme&status=queued&q=FOG")
        .await
        .json();
    assert_eq!(names(&some, "id"), [own]);
    assert_eq!(
        names(&by.get("/api/sites").await.json(), "slug"),
        std::slice::from_ref(&own_site)
    );
    let everything = host.by(ROOT).get("/api/sites").await.json();
    assert_eq!(names(&everything, "slug"), [own_site, theirs]);
    let stats = by.get("/api/stats").await.json();
    assert_eq!(
        (&stats["counts"]["queued"], &stats["counts"]["succeeded"]),
        (&json!(1), &json!(1))
    );
    let all = host.by(ROOT).get("/api/stats").await.json();
    assert_eq!(all["counts"]["queued"], 3);
}

#[tokio::test]
async fn limits_are_told_without_others_jobs() {
    let host = Host::with_token(ROOT).await;
    let token = acme(&host).await;
    let most = GateChange {
        capacity: Some(Some(1)),
        ..GateChange::default()
    };
    for (kind, name) in [
        (GateKind::Group, "acme"),
        (GateKind::Group, "other"),
        (GateKind::Group, "*"),
        (GateKind::Pipeline, "game"),
    ] {
        host.store.set_gate(kind, name, &most).await.unwrap();
    }
    for group in ["acme", "acme", "other"] {
        job_of(&host, Some(group)).await;
    }
    let gates = host.by(&token).get("/api/gates").await.json();
    let shown: Vec<_> = gates["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gate| {
            json!([
                gate["kind"],
                gate["name"],
                gate["concurrency"],
                gate["running"],
                gate["waiting"]
            ])
        })
        .collect();
    assert_eq!(
        shown,
        [
            json!(["group", "*", 1, null, null]),
            json!(["group", "acme", 1, 1, 1]),
            json!(["pipeline", "game", 1, null, null]),
        ]
    );
    assert_eq!(
        names(&host.by(ROOT).get("/api/gates").await.json(), "name"),
        ["*", "acme", "other", "game"]
    );
}

#[tokio::test]
async fn a_filter_of_a_bound_token_takes_its_own_jobs_only() {
    let host = Host::with_token(ROOT).await;
    let token = acme(&host).await;
    let by = host.by(&token);
    let other = job_of(&host, Some("other")).await;
    let own = job_of(&host, Some("acme")).await;
    let all = json!({ "q": "fog" });
    let none = by
        .post("/api/jobs/cancel", json!({ "group": "other" }))
        .await
        .json();
    assert_eq!((&none["matched"], &none["ids"]), (&json!(0), &json!([])));
    let cancelled = by.post("/api/jobs/cancel", all.clone()).await.json();
    assert_eq!(cancelled["ids"], json!([own]));
    let by_root = host
        .by(ROOT)
        .post("/api/jobs/cancel", all.clone())
        .await
        .json();
    assert_eq!(by_root["ids"], json!([other]));
    let retry = json!({ "q": "fog", "status": "cancelled" });
    let dry = json!({ "q": "fog", "status": "cancelled", "dry_run": true });
    for filter in [dry, retry] {
        let retried = by.post("/api/jobs/retry", filter).await.json();
        assert_eq!(
            (&retried["matched"], &retried["ids"]),
            (&json!(1), &json!([own]))
        );
    }
    let job = host.store.job(other).await.unwrap().unwrap();
    assert_eq!(job.status.word(), "cancelled");
}

async fn listen(host: &Host, by: By<'_>, path: &str) -> Listener {
    let request = by.request(Method::GET, path).body(Body::empty()).unwrap();
    Listener::of(host, request).await
}

#[tokio::test]
async fn the_stream_of_all_is_of_its_groups_jobs() {
    let host = Host::with_token(ROOT).await;
    let token = acme(&host).await;
    let by = host.by(&token);
    let before = job_of(&host, Some("acme")).await;
    job_of(&host, Some("other")).await;
    let mut stream = listen(&host, by, "/api/events?after=0-0").await;
    let (place, event) = stream.next().await.unwrap();
    assert_eq!(event["job"], json!(before));
    // More of others' than one read gives, plugins' among them.
    let told = Event {
        kind: EventKind::PluginLoaded,
        phase: None,
        attempt: None,
        data: Map::new(),
    };
    host.store.tell(&vec![told; 450]).await.unwrap();
    job_of(&host, None).await;
    let after = job_of(&host, Some("acme")).await;
    let (_, event) = stream.next().await.unwrap();
    assert_eq!(
        (&event["job"], &event["type"]),
        (&json!(after), &json!("job.queued"))
    );
    // And from where it was, once more.
    let mut again = listen(&host, by, &format!("/api/events?after={place}")).await;
    assert_eq!(again.next().await.unwrap().1["job"], json!(after));
    // What is written from now on, as the page asks.
    let mut fresh = listen(&host, by, "/api/events").await;
    job_of(&host, Some("other")).await;
    let last = job_of(&host, Some("acme")).await;
    assert_eq!(fresh.next().await.unwrap().1["job"], json!(last));
}

#[tokio::test]
async fn a_silent_stream_says_how_far_it_is() {
    let host = Host::with_token(ROOT).await;
    let token = acme(&host).await;
    let by = host.by(&token);
    job_of(&host, Some("other")).await;
    let request = by.request(Method::GET, "/api/events?after=0-0");
    let mut silent = host.stream(request.body(Body::empty()).unwrap()).await;
    let frame = tokio::time::timeout(DEADLINE, silent.body_mut().frame());
    let comment = frame.await.unwrap().unwrap().unwrap().into_data().unwrap();
    let comment = std::str::from_utf8(&comment).unwrap();
    let place = comment.strip_prefix(": alive\nid: ").unwrap().trim();
    assert_ne!(place, "0-0", "past the other's event");
    let own = job_of(&host, Some("acme")).await;
    let mut stream = listen(&host, by, &format!("/api/events?after={place}")).await;
    assert_eq!(stream.next().await.unwrap().1["job"], json!(own));
}

#[tokio::test]
async fn what_a_plugin_says_of_a_fault_is_not_for_a_bound_token() {
    let host = Host::with_token(ROOT).await;
    let token = acme(&host).await;
    crate::views::report_fault(&host, "the secret of a job").await;
    let own = host.by(&token).get("/api/plugins").await.json();
    assert_eq!(own["items"][0]["name"], "idea");
    assert_eq!(own["items"][0]["last_error"], Value::Null);
    assert!(!own.to_string().contains("secret"), "{own}");
    let all = host.by(ROOT).get("/api/plugins").await.json();
    assert_eq!(all["items"][0]["last_error"], "the secret of a job");
    assert_eq!(all["items"][0]["held"], "the secret of a job");
}
