//! One glance at the installation: how many of the jobs that the caller sees stand where, and what
//! the living hosts say of their agent and runner. The words are the hosts' own.

use crate::Shared;
use crate::caller::Caller;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use store::HostState;

pub(crate) async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Response, Problem> {
    let counts = shared.store.counts(caller.groups()).await?;
    let counts: Map<_, _> = counts
        .into_iter()
        .map(|(status, jobs)| (status.word().to_owned(), Value::from(jobs)))
        .collect();
    let mut hosts = shared.store.hosts().await?;
    hosts.retain(|host| host.alive);
    let breakers = shared.store.breakers().await?;
    let away: Vec<Value> = breakers
        .iter()
        .filter_map(|(provider, breaker)| {
            let (since, until) = breaker.away()?;
            Some(json!({ "provider": provider, "since": since, "until": until }))
        })
        .collect();
    let answer = json!({
        "counts": counts,
        "away": away,
        "hosts": hosts.iter().map(shown).collect::<Vec<_>>(),
        "agent": chosen(&hosts, |host| &host.report.agent, |agent| agent["demo"] == true),
        "runner": chosen(&hosts, |host| &host.report.runner, lacks),
        "version": shared.config.version,
    });
    Ok(Json(answer).into_response())
}

/// What a person should know of rules: one host that is worse than the others is shown.
fn chosen<'a>(
    hosts: &'a [HostState],
    of: impl Fn(&'a HostState) -> &'a Value,
    telling: impl Fn(&Value) -> bool,
) -> Option<&'a Value> {
    let said: Vec<_> = hosts
        .iter()
        .map(of)
        .filter(|value| value.is_object())
        .collect();
    said.iter()
        .find(|value| telling(value))
        .or(said.first())
        .copied()
}

/// Whether a runner keeps an agent less than the others do.
fn lacks(runner: &Value) -> bool {
    let unenforced = runner["unenforced"].as_array();
    runner["isolates"] == false || unenforced.is_some_and(|lines| !lines.is_empty())
}

fn shown(host: &HostState) -> Value {
    let report = &host.report;
    json!({
        "id": report.host,
        "role": report.role,
        "version": report.version,
        "started_at": report.started_at,
        "seen_at": host.seen_at,
        "runner": report.runner,
        "agent": report.agent,
    })
}
