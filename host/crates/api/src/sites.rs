//! The list of published sites, and taking one back. Their files are served by `pages`.

use crate::Shared;
use crate::caller::Caller;
use crate::problem::{Code, Problem};
use crate::query::Params;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use store::Site;

pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    mut params: Params,
) -> Result<Response, Problem> {
    let limit = params.limit(200, 200)?;
    let cursor = params.place("cursor")?;
    params.done("limit and cursor")?;
    let page = shared.store.sites(limit, cursor, caller.groups());
    let page = page.await?;
    let items: Vec<Value> = page.items.iter().map(|site| shown(&shared, site)).collect();
    let next_cursor = page.next_cursor.map(|cursor| cursor.to_string());
    Ok(Json(json!({ "items": items, "next_cursor": next_cursor })).into_response())
}

fn shown(shared: &Shared, site: &Site) -> Value {
    let plan = &site.publication.plan;
    json!({
        "slug": site.slug,
        "url": shared.config.site_url(&site.slug),
        "title": plan.title,
        "summary": plan.summary,
        "metadata": plan.metadata,
        "job": site.job,
        "revision": site.revision,
        "published_at": site.published_at,
    })
}

pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Path(slug): Path<String>,
) -> Result<Response, Problem> {
    if pipeline::is_slug(&slug) && shared.store.delete_site(&slug).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(no_site())
}

fn no_site() -> Problem {
    Problem::new(Code::NotFound, "there is no site at this address")
}

/// `/sites/SLUG/…` of the host leads to the site's own origin: an agent wrote it.
pub(crate) async fn lead(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let rest = uri.path().strip_prefix("/sites/").unwrap_or_default();
    let (slug, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !pipeline::is_slug(slug) {
        return Err(no_site());
    }
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let to = format!("{}{path}{query}", shared.config.site_url(slug));
    let to = HeaderValue::from_str(&to).map_err(|_| no_site())?;
    Ok((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response())
}
