//! The pipelines that drivers have published, the broken ones with what is wrong. It reads no file.

mod known;

pub(crate) use known::Pipelines;

use crate::Shared;
use crate::problem::{Code, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use pipeline::PipelineSpec;
use serde_json::{Value, json};
use std::sync::Arc;
use store::PipelineEntry;

pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let entries = shared.store.pipelines().await?;
    let items: Vec<Value> = entries.iter().map(shown).collect();
    Ok(Json(json!({ "items": items })).into_response())
}

fn shown(entry: &PipelineEntry) -> Value {
    match entry {
        PipelineEntry::Ready(spec) => {
            let phases: Vec<&str> = spec.phases.iter().map(|phase| phase.id.as_str()).collect();
            json!({ "name": spec.name, "summary": spec.summary, "phases": phases })
        }
        PipelineEntry::Broken { name, error } => {
            json!({ "name": name, "summary": "", "phases": [], "error": error })
        }
    }
}

/// The pipeline of this name, for a new job.
fn wanted(entries: &[PipelineEntry], name: &str) -> Result<PipelineSpec, Problem> {
    let unknown = |detail| Err(Problem::new(Code::UnknownPipeline, detail));
    let mut known = Vec::new();
    for entry in entries {
        match entry {
            PipelineEntry::Ready(spec) if spec.name == name => return Ok(spec.clone()),
            PipelineEntry::Ready(spec) => known.push(spec.name.as_str()),
            PipelineEntry::Broken {
                name: broken,
                error,
            } if broken == name => {
                return unknown(format!("the pipeline `{name}` can't be used: {error}"));
            }
            PipelineEntry::Broken { .. } => {}
        }
    }
    let name: String = name.chars().take(100).collect();
    if known.is_empty() {
        return unknown(format!("there is no pipeline `{name}`, nor any other yet"));
    }
    unknown(format!(
        "there is no pipeline `{name}`; there are {}",
        known.join(", ")
    ))
}
