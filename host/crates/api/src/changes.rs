//! What an attempt changed in its job's workspace, as JSON. It compares nothing itself.

use crate::caller::Caller;
use crate::files::blocking;
use crate::problem::{Code, Problem};
use crate::query::Params;
use crate::{FilesError, Shared, jobs};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use pipeline::AttemptKey;
use serde_json::json;
use std::sync::Arc;

pub(crate) async fn read(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((id, phase, attempt)): Path<(String, String, String)>,
    mut params: Params,
) -> Result<Response, Problem> {
    let revision = params.parsed("revision", "a number from 1")?;
    params.done("revision")?;
    let job = jobs::find(&shared, &caller, &id).await?;
    let no_such = |detail: String| Problem::new(Code::NotFound, detail);
    let Ok(attempt) = attempt.parse() else {
        return Err(no_such(format!(
            "attempts are numbered from 1: `{}` is none",
            attempt.escape_debug()
        )));
    };
    let key = AttemptKey {
        revision: revision.unwrap_or(job.revision),
        phase,
        attempt,
    };
    if job.snapshots_of(&key).is_none() {
        return Err(no_such(format!(
            "the job has no attempt {} of phase `{}` in revision {}: its `phases` list those that it has",
            key.attempt,
            key.phase.escape_debug(),
            key.revision
        )));
    }
    let (files, asked) = (Arc::clone(&shared.files), key.clone());
    let changes = match blocking(move || files.changes(&job, &asked)).await {
        Err(FilesError::NotFound) => {
            let detail = "there is no snapshot of this attempt: none of its tasks has ended yet, \
                none could be taken (the job's log says so), or they were cleared away with the workspace";
            return Err(no_such(detail.to_owned()));
        }
        changes => changes?,
    };
    let said = changes.left_out.to_string();
    Ok(Json(json!({
        "phase": key.phase,
        "revision": key.revision,
        "attempt": key.attempt,
        "items": changes.items,
        "more": changes.more,
        "left_out": (!said.is_empty()).then_some(said),
    }))
    .into_response())
}
