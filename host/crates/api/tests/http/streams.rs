//! Events and lines as they come, and after a cut. How the store orders them is its own suite's.

use crate::setup::{DEADLINE, Held, Host};
use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pipeline::{Event, EventKind, Failure, FailureKind, Input, Level, LogLine, Timestamp};
use serde_json::{Value, json};
use std::collections::VecDeque;
use store::DriverStore as _;

/// A client of a stream.
pub(crate) struct Listener {
    body: Incoming,
    text: String,
    events: VecDeque<(String, Value)>,
}

impl Listener {
    async fn open(host: &Host, path: &str, last: Option<&str>) -> Self {
        let mut request = host.request(Method::GET, path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        Self::of(host, request.body(Body::empty()).unwrap()).await
    }

    /// Of any request.
    pub(crate) async fn of(host: &Host, request: Request<Body>) -> Self {
        let answer = host.stream(request).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.headers()["content-type"],
            "text/event-stream; charset=utf-8"
        );
        assert_eq!(answer.headers()["cache-control"], "no-store");
        Self {
            body: answer.into_body(),
            text: String::new(),
            events: VecDeque::new(),
        }
    }

    /// The next event with its id; none at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let frame = tokio::time::timeout(DEADLINE, self.body.frame())
                .await
                .expect("an event in time")?;
            self.text += std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap();
            while let Some((one, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| one.lines().find_map(|line| line.strip_prefix(name));
                if let Some(data) = field("data: ") {
                    let data: Value = serde_json::from_str(data).unwrap();
                    assert_eq!(data["type"], field("event: ").unwrap());
                    let id = field("id: ").unwrap_or_default();
                    assert_eq!(id.is_empty(), data["type"] == "agent.delta", "{one}");
                    self.events.push_back((id.to_owned(), data));
                }
                self.text = rest.to_owned();
            }
        }
    }

    async fn types(&mut self, n: usize) -> Vec<String> {
        let mut types = Vec::new();
        for _ in 0..n {
            let (_, event) = self.next().await.expect("an event");
            types.push(event["type"].as_str().unwrap().to_owned());
        }
        types
    }
}

async fn fail(held: &mut Held) {
    held.give(Input::Broken(Failure::new(FailureKind::Internal, "x")))
        .await;
}

#[tokio::test]
async fn a_jobs_stream_begins_at_its_begin_and_goes_on_after_a_cut() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    let path = format!("/api/jobs/{id}/events");
    let mut listener = Listener::open(&host, &path, None).await;
    let (first, event) = listener.next().await.unwrap();
    assert_eq!(
        (first.as_str(), &event["seq"], &event["job"]),
        ("1", &json!(1), &json!(id))
    );
    assert_eq!(event["data"], json!({}));
    let mut held = host.claim().await;
    assert_eq!(listener.types(2).await, ["job.started", "phase.started"]);
    drop(listener);
    fail(&mut held).await;
    let mut again = Listener::open(&host, &path, Some("2")).await;
    let (next, event) = again.next().await.unwrap();
    assert_eq!(
        (next.as_str(), &event["type"]),
        ("3", &json!("phase.started"))
    );
    let mut by_query = Listener::open(&host, &format!("{path}?after=2"), None).await;
    assert_eq!(by_query.next().await.unwrap().0, "3");
}

#[tokio::test]
async fn a_jobs_stream_ends_with_the_job_where_that_is_asked_for() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    let mut listener =
        Listener::open(&host, &format!("/api/jobs/{id}/events?until=final"), None).await;
    let mut held = host.claim().await;
    fail(&mut held).await;
    let mut last = Value::Null;
    while let Some((_, event)) = listener.next().await {
        last = event["type"].clone();
    }
    assert_eq!(last, "job.failed");
}

#[tokio::test]
async fn a_jobs_stream_goes_on_past_the_end_that_a_retry_undid() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    let mut held = host.claim().await;
    fail(&mut held).await;
    let retried = host.post(&format!("/api/jobs/{id}/retry"), "").await;
    assert_eq!(retried.status, 202, "{:?}", retried.body);
    let path = format!("/api/jobs/{id}/events?until=final");
    let mut listener = Listener::open(&host, &path, None).await;
    let types = listener.types(5).await;
    assert_eq!(types[3..], ["job.failed", "job.queued"]);
    // Open, and silent, while the job has work before it.
    let mut held = host.claim().await;
    fail(&mut held).await;
    let mut last = Value::Null;
    while let Some((place, event)) = listener.next().await {
        assert!(place.parse::<u32>().unwrap() > 5, "{event}");
        last = event["type"].clone();
    }
    assert_eq!(last, "job.failed");
}

#[tokio::test]
async fn a_stream_that_has_all_of_a_final_job_ends_at_once() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    let mut held = host.claim().await;
    fail(&mut held).await;
    let path = format!("/api/jobs/{id}/events?until=final");
    let mut listener = Listener::open(&host, &path, None).await;
    let mut last = String::new();
    while let Some((place, _)) = listener.next().await {
        last = place;
    }
    let mut again = Listener::open(&host, &path, Some(&last)).await;
    // Comments come all the while, so each of them would be in time.
    let ended = tokio::time::timeout(DEADLINE, again.next()).await;
    assert!(ended.expect("an end in time").is_none());
}

#[tokio::test]
async fn the_stream_of_all_begins_now_and_goes_on_after_a_cut() {
    let host = Host::start().await;
    let before = host.submit("before").await;
    let mut listener = Listener::open(&host, "/api/events", None).await;
    let second = host.submit("second").await;
    let (place, event) = listener.next().await.unwrap();
    assert_eq!(
        (&event["job"], &event["type"]),
        (&json!(second), &json!("job.queued"))
    );
    drop(listener);
    let third = host.submit("third").await;
    let mut again = Listener::open(&host, "/api/events", Some(&place)).await;
    assert_eq!(again.next().await.unwrap().1["job"], json!(third));
    let mut all = Listener::open(&host, "/api/events?after=0-0", None).await;
    assert_eq!(all.next().await.unwrap().1["job"], json!(before));
}

fn delta(n: usize) -> Event {
    Event {
        kind: EventKind::AgentDelta,
        phase: Some("idea".into()),
        attempt: Some(1),
        data: serde_json::Map::from_iter([("piece".to_owned(), n.into())]),
    }
}

#[tokio::test]
async fn what_is_not_stored_comes_between_what_is_and_to_who_watches_the_job_alone() {
    let host = Host::start().await;
    let job = host.submit("a").await;
    let path = format!("/api/jobs/{job}/events");
    assert!(!host.store.is_watched(job));
    let mut all = Listener::open(&host, "/api/events", None).await;
    assert!(!host.store.is_watched(job), "of all jobs nobody could hear");
    let mut stored_and_live = Listener::open(&host, &path, None).await;
    let mut live = Listener::open(&host, &format!("{path}?live=only"), None).await;
    assert_eq!(stored_and_live.types(1).await, ["job.queued"]);
    host.store.say(job, delta(0));
    let (_, event) = stored_and_live.next().await.unwrap();
    assert_eq!(
        event,
        json!({"job": job, "type": "agent.delta", "phase": "idea", "attempt": 1, "data": {"piece": 0}})
    );
    let mut held = host.claim().await;
    assert_eq!(
        stored_and_live.types(2).await,
        ["job.started", "phase.started"]
    );
    host.store.say(job, delta(1));
    for piece in [0, 1] {
        assert_eq!(live.next().await.unwrap().1["data"]["piece"], piece);
    }
    assert_eq!(stored_and_live.types(1).await, ["agent.delta"]);
    fail(&mut held).await;
    assert_eq!(all.types(2).await, ["job.started", "phase.started"]);
    assert_ne!(all.types(1).await, ["agent.delta"]);
    drop((stored_and_live, live));
    let unwatched = async {
        while host.store.is_watched(job) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, unwatched).await.unwrap();
    let wrong = host.get(&format!("{path}?live=yes")).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_flood_of_what_is_not_stored_holds_up_nothing_that_is() {
    let host = Host::start().await;
    let job = host.submit("a").await;
    let mut listener = Listener::open(&host, &format!("/api/jobs/{job}/events"), None).await;
    assert_eq!(listener.types(1).await, ["job.queued"]);
    for n in 0..50_000 {
        host.store.say(job, delta(n));
    }
    let _held = host.claim().await;
    let mut floods = 0;
    loop {
        let (_, event) = listener.next().await.unwrap();
        if event["type"] == "job.started" {
            break;
        }
        assert_eq!(event["type"], "agent.delta");
        floods += 1;
    }
    assert!(floods <= 64, "{floods}");
}

#[tokio::test]
async fn an_open_stream_does_not_hold_the_host_back() {
    let host = Host::start().await;
    let mut all = Listener::open(&host, "/api/events", None).await;
    let id = host.submit("a").await;
    assert_eq!(all.types(1).await, ["job.queued"]);
    let mut one = Listener::open(&host, &format!("/api/jobs/{id}/events"), None).await;
    assert_eq!(one.types(1).await, ["job.queued"]);
    host.stop().await;
    assert!(all.next().await.is_none() && one.next().await.is_none());
}

#[tokio::test]
async fn streams_are_limited() {
    let host = Host::start().await;
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(Listener::open(&host, "/api/events", None).await);
    }
    let refused = host.get("/api/events").await;
    assert_eq!(refused.problem(), (503, "too-many-streams".to_owned()));
    assert_eq!(host.get("/api/jobs").await.status, 200);
}

#[tokio::test]
async fn a_log_is_read_page_by_page() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    let held = host.claim().await;
    let line = |text: &str| LogLine {
        seq: 0,
        at: Timestamp::default(),
        phase: Some("idea".into()),
        attempt: Some(1),
        level: Level::Warn,
        text: text.into(),
    };
    let lines = [line("one"), line("two"), line("three")];
    assert!(host.store.append(&held.hold, &[], &lines).await.unwrap());
    let path = format!("/api/jobs/{id}/logs");
    let page = host.get(&format!("{path}?limit=2")).await.json();
    assert_eq!(page["next_cursor"], "2");
    let first = &page["items"][0];
    for (key, value) in [
        ("seq", json!(1)),
        ("phase", json!("idea")),
        ("attempt", json!(1)),
        ("level", json!("warn")),
        ("text", json!("one")),
    ] {
        assert_eq!(first[key], value, "{key}");
    }
    let rest = host.get(&format!("{path}?after=2&limit=2")).await.json();
    assert_eq!(
        (&rest["items"][0]["text"], &rest["next_cursor"]),
        (&json!("three"), &Value::Null)
    );
    assert_eq!(
        host.get(&format!("{path}?after=3")).await.json()["items"],
        json!([])
    );
}
