//! Acts on jobs that are named, or chosen by a filter; never both. A filter is sent piece by
//! piece, as the host hands it back.

use super::{FAILED, jobs};
use crate::cli::{Cancel, Retry, Which};
use crate::client::Client;
use crate::show;
use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Jobs that the host is asked to act on at once.
const PIECE: u64 = 100;

pub(crate) async fn cancel(args: &Cancel) -> Result<ExitCode> {
    act("cancel", &args.which, Map::new(), Map::new()).await
}

pub(crate) async fn retry(args: &Retry) -> Result<ExitCode> {
    let mut said = Map::new();
    if let Some(feedback) = &args.feedback {
        said.insert("feedback".to_owned(), json!(feedback));
    }
    if !args.params.is_empty() {
        let params = jobs::params(&args.params)?;
        said.insert("params".to_owned(), Value::Object(params));
    }
    let mut filter = Map::new();
    if let Some(kind) = &args.error_kind {
        filter.insert("error_kind".to_owned(), json!(kind));
    }
    act("retry", &args.which, filter, said).await
}

async fn act(
    verb: &str,
    which: &Which,
    mut filter: Map<String, Value>,
    said: Map<String, Value>,
) -> Result<ExitCode> {
    let texts = [
        ("status", &which.status),
        ("pipeline", &which.pipeline),
        ("group", &which.group),
        ("q", &which.q),
        ("before", &which.before),
        ("after", &which.after),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            filter.insert(name.to_owned(), json!(text));
        }
    }
    let client = Client::new(&which.server)?;
    match (which.ids.is_empty(), filter.is_empty()) {
        (false, false) => bail!("name the jobs by their ids or by a filter, not by both"),
        (true, true) => bail!(
            "name the jobs by their ids, or by a filter such as --pipeline: without either, {verb} \
             would be for every job"
        ),
        (false, true) if which.dry_run => {
            bail!("--dry-run is for a filter: the ids say which jobs")
        }
        (false, true) => named(&client, verb, which, &Value::Object(said)).await,
        (true, false) => {
            filter.extend(said);
            chosen(&client, verb, which, filter).await
        }
    }
}

/// Each by its id; one that can't take it doesn't stop the others.
async fn named(client: &Client, verb: &str, which: &Which, said: &Value) -> Result<ExitCode> {
    let mut failed = Vec::new();
    for id in &which.ids {
        match client.post(&format!("/api/jobs/{id}/{verb}"), said).await {
            Ok(job) => show::answer(which.server.json, &job, show::job)?,
            Err(error) if which.ids.len() == 1 => return Err(error),
            Err(error) => failed.push(format!("{id}  {error:#}")),
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// All that a filter chooses, piece by piece.
async fn chosen(
    client: &Client,
    verb: &str,
    which: &Which,
    mut filter: Map<String, Value>,
) -> Result<ExitCode> {
    let mut left = which.limit.map(u64::from);
    filter.insert("dry_run".to_owned(), json!(which.dry_run));
    let mut sum =
        json!({ "matched": 0, "done": 0, "ids": [], "skipped": [], "dry_run": which.dry_run });
    while left != Some(0) {
        let piece = left.map_or(PIECE, |left| left.min(PIECE));
        filter.insert("limit".to_owned(), json!(piece));
        let body = Value::Object(filter.clone());
        let answer = client.post(&format!("/api/jobs/{verb}"), &body).await?;
        let matched = answer["matched"].as_u64().unwrap_or(0);
        left = left.map(|left| left.saturating_sub(matched));
        add(&mut sum, &answer);
        match answer["next_cursor"].as_str() {
            Some(cursor) => filter.insert("cursor".to_owned(), json!(cursor)),
            None => break,
        };
    }
    show::answer(which.server.json, &sum, |sum| show::many(verb, sum))?;
    let any_done = sum["done"] != 0 || which.dry_run || sum["matched"] == 0;
    Ok(if any_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

fn add(sum: &mut Value, answer: &Value) {
    for count in ["matched", "done"] {
        let both = sum[count].as_u64().unwrap_or(0) + answer[count].as_u64().unwrap_or(0);
        sum[count] = json!(both);
    }
    for list in ["ids", "skipped"] {
        if let (Some(all), Some(more)) = (sum[list].as_array_mut(), answer[list].as_array()) {
            all.extend(more.iter().cloned());
        }
    }
}
