//! Tokens: made up, listed and revoked by whoever has the scope `admin`. A token's text is in one
//! answer and nowhere else.

use crate::caller::Caller;
use crate::problem::{Code, Problem};
use crate::{Shared, body};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pipeline::{Digest, Scope, Token, TokenSpec, token_text};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{Admins, Created, NewToken, Revoked};

type Answer = Result<Response, Problem>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    scopes: BTreeSet<Scope>,
    groups: Option<BTreeSet<String>>,
}

/// The only time that its text is seen.
#[derive(Serialize)]
struct Fresh {
    #[serde(flatten)]
    token: Token,
    #[serde(rename = "token")]
    text: String,
}

pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Answer {
    let items = shared.access.store.tokens().await?;
    Ok(Json(json!({ "items": items })).into_response())
}

pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Answer {
    let (asked, _) = body::json::<Asked>(&shared, request).await?;
    let spec = TokenSpec {
        name: asked.name,
        scopes: asked.scopes,
        groups: asked.groups,
    };
    spec.check(&shared.config.limits)
        .map_err(|error| Problem::new(Code::InvalidBody, error.to_string()))?;
    let text = token_text((shared.config.entropy)().map_err(Problem::internal)?);
    let new = NewToken {
        digest: Digest::of(text.as_bytes()),
        spec,
    };
    let created = shared.access.store.create_token(&new, admins(&shared));
    match created.await? {
        Created::Done(token) => {
            shared.access.guard();
            tracing::info!(token.id = %token.id, by = caller.submitter(), "a token was created");
            let fresh = Fresh { token, text };
            Ok((StatusCode::CREATED, Json(fresh)).into_response())
        }
        Created::NoAdmin => Err(Problem::new(
            Code::NoAdmin,
            "there is no token with the scope `admin` yet, and once there is any, nobody comes in \
             without one: create one with every scope first",
        )),
    }
}

pub(crate) async fn revoke(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let revoked = shared.access.store.revoke_token(&id, admins(&shared));
    match revoked.await? {
        Revoked::Done => {
            shared.access.forget();
            tracing::info!(token.id = %id, by = caller.submitter(), "a token was revoked");
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Revoked::LastAdmin => Err(Problem::new(
            Code::NoAdmin,
            "it is the last token with the scope `admin`: create another first, or revoke it \
             straight in the store (`gantry token revoke ID --store`)",
        )),
        Revoked::NotFound => Err(Problem::new(Code::NotFound, "there is no token of this id")),
    }
}

/// With `API_TOKEN` there is always one who can administer.
fn admins(shared: &Shared) -> Admins {
    match shared.access.has_api_token() {
        true => Admins::Any,
        false => Admins::One,
    }
}
