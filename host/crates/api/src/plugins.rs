//! What the living hosts say of their plugins, one item for each digest. It runs and changes none.

use crate::Shared;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use pipeline::{HostId, PluginReport, PluginState};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use store::HostState;

#[derive(Serialize)]
struct Merged {
    #[serde(flatten)]
    report: PluginReport,
    hosts: Vec<HostId>,
}

pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let hosts = shared.store.hosts().await?;
    let items = merged(&hosts);
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
