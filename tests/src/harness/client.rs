//! A client of a host's HTTP API, as a stranger would write it: paths, JSON, server-sent events.
//! Every wait is for an event, with a deadline that says what was seen.

use std::sync::Once;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::events::{Event, Events};
use super::log::Log;

/// For anything that a host does; far more than it takes.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// Before a host that doesn't answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A client of one host.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    port: u16,
    log: Log,
}

/// What a host answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200, …
    pub status: u16,
    /// All of them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it isn't.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}: {}", self.status, self.text()))
    }

    /// A header's text; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Whether nothing more happens to a job by itself.
#[must_use]
pub fn is_final(job: &Value) -> bool {
    matches!(
        job["status"].as_str(),
        Some("succeeded" | "failed" | "cancelled")
    )
}

impl Client {
    pub(super) fn new(port: u16, log: Log) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let http = reqwest::Client::builder().no_proxy();
        let http = http
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { http, port, log }
    }

    /// The host's address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A request of any kind.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url()))
    }

    /// Sends a request and takes the whole answer.
    ///
    /// # Panics
    /// Where the host doesn't answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        match self.try_send(request).await {
            Ok(answer) => answer,
            Err(error) => panic!("no answer: {error:?}\n{}", self.log.tail()),
        }
    }

    async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.timeout(DEADLINE).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer {
            status,
            headers,
            body: response.bytes().await?.to_vec(),
        })
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Submits a job by its name; its id.
    pub async fn submit(&self, name: &str) -> String {
        self.submit_with(&json!({ "name": name })).await
    }

    /// Submits a job; its id.
    ///
    /// # Panics
    /// Where it isn't taken.
    pub async fn submit_with(&self, body: &Value) -> String {
        let answer = self.post("/api/jobs", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let job = answer.json();
        let id = job["id"].as_str().expect("a job has an id").to_owned();
        assert!(
            answer
                .header("location")
                .ends_with(&format!("/api/jobs/{id}"))
        );
        id
    }

    /// Submits a job under a key, as who isn't sure of having been heard does. None: there was
    /// no answer.
    ///
    /// # Panics
    /// Where it isn't taken.
    pub async fn try_submit(&self, body: &Value, key: &str) -> Option<String> {
        let request = self.request(Method::POST, "/api/jobs").json(body);
        let request = request.header("idempotency-key", key);
        let answer = self.try_send(request).await.ok()?;
        if answer.status >= 500 {
            return None;
        }
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        answer.json()["id"].as_str().map(str::to_owned)
    }

    /// Asks for a job's end; false where it had come before. None: there was no answer.
    ///
    /// # Panics
    /// Where there is no such job.
    pub async fn try_cancel(&self, id: &str) -> Option<bool> {
        let request = self.request(Method::POST, &format!("/api/jobs/{id}/cancel"));
        let answer = self.try_send(request).await.ok()?;
        match answer.status {
            202 => Some(true),
            409 => Some(false),
            500.. => None,
            _ => panic!("{}", answer.text()),
        }
    }

    /// A job as it is now.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn job(&self, id: &str) -> Value {
        let answer = self.get(&format!("/api/jobs/{id}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Waits until a job is as `wanted` says; looks again at each of its events.
    ///
    /// # Panics
    /// After [`DEADLINE`], with the job and the host's last lines.
    pub async fn wait_for(
        &self,
        id: &str,
        what: &str,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Value {
        let mut last = Value::Null;
        let look = async {
            loop {
                // Opened before the job is looked at, so that no change is missed in between.
                let mut events = self.events_after(id, "").await;
                loop {
                    if let Some(job) = self.try_job(id).await {
                        last = job;
                        if wanted(&last) {
                            return last.clone();
                        }
                    }
                    let next = async { events.as_mut()?.next().await };
                    if next.await.is_none() {
                        break;
                    }
                }
                // It restarts, or its store is away.
                sleep(ASK_AGAIN).await;
            }
        };
        if let Ok(job) = timeout(DEADLINE, look).await {
            return job;
        }
        let (job, log) = (format!("{last:#}"), self.log.tail());
        panic!("job {id} isn't {what} within {DEADLINE:?}: {job}\n{log}")
    }

    /// Waits for a job's end, whatever it is.
    pub async fn ended(&self, id: &str) -> Value {
        self.wait_for(id, "ended", is_final).await
    }

    /// Waits for a job's end.
    ///
    /// # Panics
    /// Where it isn't a good one.
    pub async fn succeeded(&self, id: &str) -> Value {
        let job = self.ended(id).await;
        assert_eq!(job["status"], "succeeded", "{job:#}\n{}", self.log.tail());
        job
    }

    async fn try_job(&self, id: &str) -> Option<Value> {
        let request = self.request(Method::GET, &format!("/api/jobs/{id}"));
        let answer = self.try_send(request).await.ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    async fn events_after(&self, id: &str, last: &str) -> Option<Events> {
        let request = self.request(Method::GET, &format!("/api/jobs/{id}/events"));
        let request = match last {
            "" => request,
            last => request.header("last-event-id", last),
        };
        let response = request.send().await.ok()?;
        response
            .status()
            .is_success()
            .then(|| Events::new(response))
    }

    /// The stream of a path, after the event with the id `last`; from the start where it is empty.
    ///
    /// # Panics
    /// Where the host gives none.
    pub async fn stream(&self, path: &str, last: &str) -> Events {
        let mut request = self.request(Method::GET, path);
        if !last.is_empty() {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("the host answers");
        assert_eq!(response.status(), 200, "{path}");
        let kind = response.headers().get("content-type").cloned().unwrap();
        assert!(
            kind.to_str().unwrap().starts_with("text/event-stream"),
            "{kind:?}"
        );
        Events::new(response)
    }

    /// Waits for an event of a job.
    ///
    /// # Panics
    /// After [`DEADLINE`], with the job and the host's last lines.
    pub async fn event(&self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/jobs/{id}/events");
        let mut events = self.stream(&path, "").await;
        let look = async {
            while let Some(event) = events.next().await {
                if wanted(&event.data) {
                    return Some(event.data);
                }
            }
            None
        };
        match timeout(DEADLINE, look).await {
            Ok(Some(event)) => event,
            _ => {
                let job = self.job(id).await;
                panic!("no event: {what}: {job:#}\n{}", self.log.tail())
            }
        }
    }

    /// All kept events of a job that has ended, in order.
    pub async fn events(&self, id: &str) -> Vec<Event> {
        let path = format!("/api/jobs/{id}/events?until=final");
        let mut stream = self.stream(&path, "").await;
        let mut events = Vec::new();
        let read = async {
            while let Some(event) = stream.next().await {
                events.push(event);
            }
        };
        let read = timeout(DEADLINE, read).await;
        assert!(
            read.is_ok(),
            "no end after {events:#?}\n{}",
            self.log.tail()
        );
        events
    }

    /// Asks a path until its JSON is as `wanted` says: for what no event tells of.
    ///
    /// # Panics
    /// After [`DEADLINE`], with the last answer.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let look = async {
            loop {
                last = self.get(path).await.json();
                if wanted(&last) {
                    return last.clone();
                }
                sleep(ASK_AGAIN).await;
            }
        };
        if let Ok(found) = timeout(DEADLINE, look).await {
            return found;
        }
        panic!(
            "{path} isn't as wanted within {DEADLINE:?}: {last:#}\n{}",
            self.log.tail()
        )
    }

    /// The lines of a job's log.
    pub async fn logs(&self, id: &str) -> Vec<String> {
        let page = self
            .get(&format!("/api/jobs/{id}/logs?limit=200"))
            .await
            .json();
        let lines = page["items"].as_array().cloned().unwrap_or_default();
        lines
            .iter()
            .map(|line| line["text"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// The published sites.
    pub async fn sites(&self) -> Vec<Value> {
        let answer = self.get("/api/sites").await.json();
        answer["items"].as_array().cloned().unwrap_or_default()
    }

    /// A page of a site, asked for by the site's own name.
    pub async fn site(&self, slug: &str, path: &str) -> Answer {
        let host = format!("{slug}.localhost:{}", self.port);
        self.send(self.request(Method::GET, path).header("host", host))
            .await
    }
}
