//! What the living hosts say of their plugins, one item for each digest, and what a person may say
//! of one: a hold in the store, which the hosts keep to. It runs none.

use crate::Shared;
use crate::caller::Caller;
use crate::problem::{Code, Problem};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pipeline::{HostId, PluginHold, PluginPin, PluginReport, PluginState, RecordedCall};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use store::{HostState, RolledBack};

/// Recorded calls in one answer at most.
const CALLS: u32 = 50;

#[derive(Serialize)]
struct Merged {
    #[serde(flatten)]
    report: PluginReport,
    hosts: Vec<HostId>,
}

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Response, Problem> {
    let hosts = shared.store.hosts().await?;
    let mut items = merged(&hosts);
    if caller.groups().is_some() {
        // What a fault says may quote the job that met it.
        for item in &mut items {
            (item.report.last_error, item.report.held) = (None, None);
        }
    }
    let refused: Vec<Value> = hosts
        .iter()
        .filter(|host| host.alive)
        .flat_map(refused)
        .collect();
    Ok(Json(json!({ "items": items, "refused": refused })).into_response())
}

fn refused(host: &HostState) -> impl Iterator<Item = Value> {
    let host = &host.report;
    let shown = |file: &pipeline::RefusedFile| json!({ "file": file.file, "reason": file.reason, "at": file.at, "host": host.host });
    host.refused.iter().map(shown)
}

/// Sorted by name, then the one that serves, then by digest.
fn merged(hosts: &[HostState]) -> Vec<Merged> {
    let mut all: BTreeMap<_, Merged> = BTreeMap::new();
    for host in hosts.iter().filter(|host| host.alive) {
        for report in &host.report.plugins {
            let id = host.report.host.clone();
            match all.entry((report.name.clone(), report.digest.clone())) {
                Entry::Vacant(entry) => {
                    entry.insert(Merged {
                        report: report.clone(),
                        hosts: vec![id],
                    });
                }
                Entry::Occupied(mut entry) => entry.get_mut().add(report, id),
            }
        }
    }
    let mut items: Vec<_> = all.into_values().collect();
    items.sort_by_key(|item| {
        (
            item.report.name.clone(),
            item.report.state != PluginState::Serving,
        )
    });
    items
}

impl Merged {
    /// Counts are sums, times those of the slowest host.
    fn add(&mut self, other: &PluginReport, host: HostId) {
        let sum = &mut self.report;
        if other.state == PluginState::Serving {
            sum.state = PluginState::Serving;
        }
        sum.generation = sum.generation.max(other.generation);
        sum.calls = sum.calls.saturating_add(other.calls);
        sum.faults = sum.faults.saturating_add(other.faults);
        sum.p50_us = sum.p50_us.max(other.p50_us);
        sum.p99_us = sum.p99_us.max(other.p99_us);
        sum.last_error = sum.last_error.take().or_else(|| other.last_error.clone());
        sum.loaded_at = sum.loaded_at.min(other.loaded_at);
        self.hosts.push(host);
    }
}

/// Takes back what serves under this name; what it held before answers from then on.
pub(crate) async fn roll_back(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let serving = serving(&shared, &name).await?;
    let pin = PluginPin {
        name: serving.name,
        version: serving.version,
        digest: serving.digest,
    };
    let message = "rolled back by hand; another digest is free of it";
    match shared.plugins.roll_back(&pin, message).await? {
        RolledBack::Held(hold) => Ok((StatusCode::ACCEPTED, Json(shown(&hold))).into_response()),
        RolledBack::NothingElse => Err(Problem::new(
            Code::WrongState,
            format!(
                "plugin `{name}` {} is the only one of its name that was ever accepted and may \
                 answer, so there is nothing to go back to: drop another version",
                pin.version
            ),
        )),
    }
}

/// Lifts the holds on this name.
pub(crate) async fn release(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let released = shared.plugins.release(&name).await?;
    if released.is_empty() {
        return Err(Problem::new(
            Code::NotFound,
            format!("no version of a plugin `{name}` is held"),
        ));
    }
    Ok(Json(json!({ "released": released })).into_response())
}

/// Recorded calls, the newest first, each as the runtime wrote it.
pub(crate) async fn calls(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let calls = shared.plugins.recorded(&name, CALLS).await?;
    let item = |call: &RecordedCall| {
        json!({
            "plugin": call.pin, "step": call.step, "job": call.job, "at": call.at,
            // JSON already, but for a host of another time.
            "recording": serde_json::from_slice::<Value>(&call.body).unwrap_or_default(),
        })
    };
    let items: Vec<Value> = calls.iter().map(item).collect();
    Ok(Json(json!({ "items": items })).into_response())
}

fn shown(hold: &PluginHold) -> Value {
    json!({
        "plugin": hold.pin, "state": hold.kind.word(), "reason": hold.message, "at": hold.at,
    })
}

/// What answers under a name; of several hosts' that differ, the one that was swapped in last.
async fn serving(shared: &Shared, name: &str) -> Result<PluginReport, Problem> {
    let hosts = shared.store.hosts().await?;
    let living = hosts.into_iter().filter(|host| host.alive);
    living
        .flat_map(|host| host.report.plugins)
        .filter(|plugin| plugin.name == name && plugin.state == PluginState::Serving)
        .max_by_key(|plugin| plugin.loaded_at)
        .ok_or_else(|| {
            let detail = format!("no plugin `{name}` serves on any host");
            Problem::new(Code::NotFound, detail)
        })
}
