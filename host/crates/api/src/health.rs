//! Whether this process lives, whether it can take work, and numbers for Prometheus. What is amiss
//! goes to the log; the answer names the part only.

use crate::Shared;
use crate::problem::{Code, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use store::HostState;

/// A probe's own patience is about as long.
const PING_WITHIN: Duration = Duration::from_secs(2);

pub(crate) async fn live() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let unready = |part: &str, why: String| {
        tracing::warn!(part, reason = %why, "not ready");
        Err(Problem::new(
            Code::Unavailable,
            format!("the {part} isn't ready"),
        ))
    };
    match tokio::time::timeout(PING_WITHIN, shared.store.ping()).await {
        Err(_) => return unready("store", format!("no answer within {PING_WITHIN:?}")),
        Ok(Err(error)) => return unready("store", error.to_string()),
        Ok(Ok(())) => {}
    }
    if !shared.store.hears() {
        let why = "wake-ups of other hosts don't arrive, so it polls";
        return unready("listener", why.to_owned());
    }
    match (shared.config.ready)() {
        Err(why) => unready("host", why),
        Ok(()) if shared.stopping.is_cancelled() => unready("host", "it shuts down".to_owned()),
        Ok(()) => Ok(Json(json!({ "status": "ready" })).into_response()),
    }
}

pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let mut text = Text::default();
    text.head("gantry_jobs", "gauge", "Jobs by status");
    for (status, jobs) in shared.store.counts(None).await? {
        text.line("gantry_jobs", &[("status", status.word())], jobs);
    }
    text.head(
        "gantry_wake_ups_heard",
        "gauge",
        "Whether wake-ups of other hosts arrive at this one; where they don't, it polls",
    );
    let heard = u64::from(shared.store.hears());
    text.line("gantry_wake_ups_heard", &[], heard);
    let hosts = shared.store.hosts().await?;
    of_hosts(&mut text, &hosts);
    text.head(
        "gantry_http_requests_total",
        "counter",
        "Requests to this host since its start",
    );
    for ((method, route, status), count) in shared.requests.all() {
        let status = status.to_string();
        let labels = [
            ("method", method),
            ("route", route.as_str()),
            ("status", status.as_str()),
        ];
        text.line("gantry_http_requests_total", &labels, count);
    }
    let mime = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, mime)], text.0).into_response())
}

fn of_hosts(text: &mut Text, hosts: &[HostState]) {
    text.head(
        "gantry_host_alive",
        "gauge",
        "Whether a host was heard of within a lease",
    );
    for host in hosts {
        let labels = [
            ("host", host.report.host.0.as_str()),
            ("role", host.report.role.as_str()),
        ];
        text.line("gantry_host_alive", &labels, u64::from(host.alive));
    }
    for (name, what) in [
        (
            "gantry_plugin_calls_total",
            "Calls of a plugin since its host's start",
        ),
        ("gantry_plugin_faults_total", "Of these, faults"),
    ] {
        text.head(name, "counter", what);
        for host in hosts.iter().filter(|host| host.alive) {
            for plugin in &host.report.plugins {
                let labels = [
                    ("host", host.report.host.0.as_str()),
                    ("plugin", plugin.name.as_str()),
                    ("version", plugin.version.as_str()),
                    ("digest", plugin.digest.short()),
                ];
                let is_calls = name == "gantry_plugin_calls_total";
                text.line(
                    name,
                    &labels,
                    if is_calls {
                        plugin.calls
                    } else {
                        plugin.faults
                    },
                );
            }
        }
    }
}

/// Prometheus's text form. Writing to a String can't fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, what: &str) {
        let _ = writeln!(self.0, "# HELP {name} {what}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let quoted = |value: &str| {
            value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n")
        };
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", quoted(value)))
            .collect();
        let _ = match labels.as_slice() {
            [] => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{}}} {value}", labels.join(",")),
        };
    }
}
