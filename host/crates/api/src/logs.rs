//! A job's log, a page at a time. It follows nothing: that is what events are for.

use crate::caller::Caller;
use crate::problem::Problem;
use crate::query::Params;
use crate::{Shared, jobs};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

pub(crate) async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Response, Problem> {
    let after = params.place("after")?.unwrap_or(0);
    let limit = params.limit(1000, 200)?;
    params.done("after and limit")?;
    let job = jobs::find(&shared, &caller, &id).await?;
    let items = shared.store.logs(job.id, after, limit).await?;
    let full = items.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = items
        .last()
        .filter(|_| full)
        .map(|line| line.seq.to_string());
    Ok(Json(json!({ "items": items, "next_cursor": next_cursor })).into_response())
}
