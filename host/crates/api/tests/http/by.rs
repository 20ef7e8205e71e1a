//! A client that says who it is by a token. It checks no more than that a job or a token is taken.

use crate::setup::{Answer, Host, full};
use axum::body::Body;
use axum::http::Method;
use pipeline::JobId;
use serde_json::Value;

/// A client with a token.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    host: &'a Host,
    token: &'a str,
}

impl<'a> By<'a> {
    pub(crate) fn new(host: &'a Host, token: &'a str) -> Self {
        Self { host, token }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let request = self.host.request(method, path);
        request.header("authorization", format!("Bearer {}", self.token))
    }

    /// With this body as JSON, or with none where it is null.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, path);
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request
                .header("content-type", "application/json")
                .body(full(body.to_string())),
        };
        self.host.send(request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, Value::Null).await
    }

    /// A new token's text and id.
    pub(crate) async fn create(&self, spec: Value) -> (String, String) {
        let answer = self.post("/api/tokens", spec).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        let fresh = answer.json();
        let text = |key: &str| fresh[key].as_str().unwrap().to_owned();
        (text("token"), text("id"))
    }

    pub(crate) async fn submit(&self, job: Value) -> JobId {
        let answer = self.post("/api/jobs", job).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        answer.json()["id"].as_str().unwrap().parse().unwrap()
    }
}
