//! `gantry token …`: asked of a running host, or done in the store itself, by a host's settings.
//! The second is for the first token, and for whoever has none that may. A token's text is printed
//! once, and kept nowhere.

use super::gates::segment;
use crate::cli::{Place, Role, Token, TokenCreate, TokenRevoke};
use crate::client::Client;
use crate::settings::Settings;
use crate::{cli, data, parts, show};
use anyhow::{Context, Result, bail};
use pipeline::{Digest, Limits, Scope, TokenSpec, token_text};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use store::{AccessStore, Admins, Created, NewToken, Revoked};

pub(super) async fn run(command: Token) -> Result<ExitCode> {
    match command {
        Token::Create(args) => create(&args).await?,
        Token::List(args) => {
            let tokens = match opened(&args.place).await? {
                Some((store, _)) => json!({ "items": store.tokens().await? }),
                None => Client::new(&args.place.server)?.get("/api/tokens").await?,
            };
            show::answer(args.place.server.json, &tokens, show::tokens)?;
        }
        Token::Revoke(args) => revoke(&args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(args: &TokenCreate) -> Result<()> {
    let groups = (!args.groups.is_empty()).then_some(&args.groups);
    let fresh = match opened(&args.place).await? {
        Some((store, settings)) => {
            let spec = TokenSpec {
                name: args.name.clone(),
                scopes: args
                    .scopes
                    .iter()
                    .filter_map(|word| Scope::from_word(word))
                    .collect(),
                groups: groups.map(|groups| groups.iter().cloned().collect()),
            };
            create_in(&*store, spec, &settings).await?
        }
        None => {
            let asked = json!({ "name": args.name, "scopes": args.scopes, "groups": groups });
            let client = Client::new(&args.place.server)?;
            client.post("/api/tokens", &asked).await?
        }
    };
    show::answer(args.place.server.json, &fresh, show::fresh_token)?;
    Ok(())
}

/// As a host does it.
async fn create_in(store: &dyn AccessStore, spec: TokenSpec, settings: &Settings) -> Result<Value> {
    spec.check(&Limits::default())?;
    let text = token_text(parts::random().context("/dev/urandom")?);
    let new = NewToken {
        digest: Digest::of(text.as_bytes()),
        spec,
    };
    let admins = match settings.api_token {
        Some(_) => Admins::Any,
        None => Admins::One,
    };
    match store.create_token(&new, admins).await? {
        Created::Done(token) => {
            let mut fresh = serde_json::to_value(token)?;
            fresh["token"] = json!(text);
            Ok(fresh)
        }
        Created::NoAdmin => bail!(
            "there is no token with the scope `admin` yet, and once there is any, nobody comes in \
             without one: create one with every scope first"
        ),
    }
}

async fn revoke(args: &TokenRevoke) -> Result<()> {
    let id = &args.id;
    match opened(&args.place).await? {
        // Whoever has the store can make another.
        Some((store, _)) => match store.revoke_token(id, Admins::Any).await? {
            Revoked::Done | Revoked::LastAdmin => {}
            Revoked::NotFound => bail!("there is no token of this id"),
        },
        None => {
            let path = format!("/api/tokens/{}", segment(id)?);
            Client::new(&args.place.server)?.delete(&path).await?;
        }
    }
    let answer = json!({ "id": id, "revoked": true });
    show::answer(args.place.server.json, &answer, |_| {
        format!("{id} is revoked: within a few seconds every host refuses it")
    })?;
    Ok(())
}

/// The store of these settings, where that is asked for. A host may run on it.
async fn opened(place: &Place) -> Result<Option<(Arc<dyn AccessStore>, Settings)>> {
    if !place.store {
        return Ok(None);
    }
    let settings = super::settings(&cli::Settings {
        config: place.config.clone(),
        set: place.set.clone(),
    })?;
    data::make(&settings.data)?;
    let stores = parts::store(&settings, Role::All).await?;
    Ok(Some((stores.access, settings)))
}
