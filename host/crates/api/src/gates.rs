//! Limits on pipelines and groups, and pauses: what people set, and how it stands.

use crate::caller::Caller;
use crate::problem::{Code, Problem};
use crate::{Shared, body, budgets, day_budgets};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use pipeline::check_group;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::{Gate, GateChange, GateKind, PipelineEntry, Rate};

/// Jobs at once, or in one period.
const MOST: u32 = 1_000_000;
/// The longest period of a rate, s: a day.
const LONGEST: u32 = 86_400;

type Answer = Result<Response, Problem>;

pub(crate) async fn list(State(shared): State<Arc<Shared>>, caller: Caller) -> Answer {
    let gates = shared.store.gates().await?;
    let items: Vec<Value> = gates
        .iter()
        .filter_map(|gate| shown_to(&caller, gate))
        .collect();
    Ok(Json(json!({ "items": items })).into_response())
}

/// A token that is bound to groups sees what keeps its jobs back: of what isn't its groups' alone
/// the limit, and not how many jobs there are.
fn shown_to(caller: &Caller, gate: &Gate) -> Option<Value> {
    let mut shown = shown(gate);
    let Some(groups) = caller.groups() else {
        return Some(shown);
    };
    if gate.kind == GateKind::Group && groups.contains(&gate.name) {
        return Some(shown);
    }
    (shown["running"], shown["waiting"]) = (Value::Null, Value::Null);
    (gate.kind != GateKind::Group || gate.name == "*").then_some(shown)
}

fn shown(gate: &Gate) -> Value {
    json!({
        "kind": gate.kind,
        "name": gate.name,
        "concurrency": gate.capacity,
        "rate": gate.rate.map(|rate| json!({ "jobs": rate.jobs, "seconds": rate.per.as_secs() })),
        "paused": gate.paused,
        "running": gate.taken,
        "waiting": gate.waiting,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupLimits {
    concurrency: Option<u32>,
    rate: Option<GroupRate>,
    /// Of each day.
    budget_usd: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupRate {
    jobs: u32,
    seconds: u32,
}

/// What isn't given is no limit.
pub(crate) async fn put_group(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request,
) -> Answer {
    check_group(&name, &shared.config.limits)
        .map_err(|error| Problem::new(Code::InvalidBody, error.to_string()))?;
    let (limits, _) = body::json::<GroupLimits>(&shared, request).await?;
    let between = |what: &str, number: u32, most: u32| {
        let detail = format!("`{what}` is {number}; it must be 1 to {most}");
        let fits = (1..=most).contains(&number);
        if fits {
            Ok(())
        } else {
            Err(Problem::new(Code::InvalidBody, detail))
        }
    };
    if let Some(most) = limits.concurrency {
        between("concurrency", most, MOST)?;
    }
    if let Some(rate) = &limits.rate {
        between("rate.jobs", rate.jobs, MOST)?;
        between("rate.seconds", rate.seconds, LONGEST)?;
    }
    let rate = limits.rate.map(|rate| Rate {
        jobs: rate.jobs,
        per: Duration::from_secs(u64::from(rate.seconds)),
    });
    let budget = budgets::amount("budget_usd", limits.budget_usd.as_deref())?;
    day_budgets::set(&shared, Some(&name), budget).await?;
    let change = GateChange {
        capacity: Some(limits.concurrency),
        rate: Some(rate),
        paused: None,
    };
    set(&shared, GateKind::Group, &name, change).await
}

pub(crate) async fn pause_all(State(shared): State<Arc<Shared>>) -> Answer {
    set(&shared, GateKind::All, "", paused(true)).await
}

pub(crate) async fn resume_all(State(shared): State<Arc<Shared>>) -> Answer {
    set(&shared, GateKind::All, "", paused(false)).await
}

pub(crate) async fn pause(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Answer {
    known(&shared, &name).await?;
    set(&shared, GateKind::Pipeline, &name, paused(true)).await
}

pub(crate) async fn resume(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Answer {
    known(&shared, &name).await?;
    set(&shared, GateKind::Pipeline, &name, paused(false)).await
}

fn paused(paused: bool) -> GateChange {
    GateChange {
        paused: Some(paused),
        ..GateChange::default()
    }
}

/// A pipeline that is gone can be resumed all the same, where it is paused.
async fn known(shared: &Shared, name: &str) -> Result<(), Problem> {
    let pipelines = shared.store.pipelines().await?;
    let gates = shared.store.gates().await?;
    let is_gate = |gate: &Gate| gate.kind == GateKind::Pipeline && gate.name == name;
    if pipelines.iter().any(|it| it.name() == name) || gates.iter().any(is_gate) {
        return Ok(());
    }
    let known: Vec<&str> = pipelines.iter().map(PipelineEntry::name).collect();
    let name: String = name.chars().take(100).collect();
    let detail = format!(
        "there is no pipeline `{name}`; there are {}",
        known.join(", ")
    );
    Err(Problem::new(Code::NotFound, detail))
}

async fn set(shared: &Shared, kind: GateKind, name: &str, change: GateChange) -> Answer {
    shared.store.set_gate(kind, name, &change).await?;
    let gates = shared.store.gates().await?;
    let gate = gates
        .iter()
        .find(|gate| gate.kind == kind && gate.name == name);
    let lost = || Problem::new(Code::Unavailable, "it was set, and can't be read just now");
    Ok(Json(gate.map(shown).ok_or_else(lost)?).into_response())
}
