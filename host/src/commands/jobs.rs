//! Commands about jobs. Each asks a running host and shows what it answers.

use super::FAILED;
use crate::cli::{Jobs, Logs, One, Server, Submit};
use crate::client::Client;
use crate::show;
use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

pub(crate) async fn submit(args: &Submit) -> Result<ExitCode> {
    let client = Client::new(&args.server)?;
    let mut body = Map::from_iter([("name".to_owned(), json!(args.name))]);
    if let Some(pipeline) = &args.pipeline {
        body.insert("pipeline".to_owned(), json!(pipeline));
    }
    if let Some(priority) = args.priority {
        body.insert("priority".to_owned(), json!(priority));
    }
    if let Some(group) = &args.group {
        body.insert("group".to_owned(), json!(group));
    }
    if let Some(unique) = &args.unique {
        body.insert("unique".to_owned(), json!(unique));
    }
    if let Some(run_at) = &args.run_at {
        body.insert("run_at".to_owned(), json!(run_at));
    }
    body.insert("params".to_owned(), Value::Object(params(&args.params)?));
    let job = client.post("/api/jobs", &Value::Object(body)).await?;
    let id = job["id"].as_str().unwrap_or_default().to_owned();
    if args.watch {
        return follow(&client, &id, &args.server).await;
    }
    show::answer(args.server.json, &job, |job| {
        format!(
            "{}  {}",
            job["id"].as_str().unwrap_or_default(),
            job["status"].as_str().unwrap_or_default()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A value that is JSON is taken as such, anything else as text.
pub(super) fn params(pairs: &[String]) -> Result<Map<String, Value>> {
    let mut params = Map::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("--param {pair}: must be K=V");
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        params.insert(key.to_owned(), value);
    }
    Ok(params)
}

pub(crate) async fn jobs(args: &Jobs) -> Result<ExitCode> {
    let mut path = format!("/api/jobs?limit={}", args.limit);
    if let Some(status) = &args.status {
        path.push_str("&status=");
        path.push_str(status);
    }
    let page = Client::new(&args.server)?.get(&path).await?;
    show::answer(args.server.json, &page, show::jobs)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn job(args: &One) -> Result<ExitCode> {
    let job = Client::new(&args.server)?
        .get(&format!("/api/jobs/{}", args.id))
        .await?;
    show::answer(args.server.json, &job, show::job)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn watch(args: &One) -> Result<ExitCode> {
    follow(&Client::new(&args.server)?, &args.id, &args.server).await
}

/// A line for each event, and at the end the job; success only where the job succeeded.
async fn follow(client: &Client, id: &str, server: &Server) -> Result<ExitCode> {
    let mut after = 0;
    loop {
        let mut events = client
            .open(&format!("/api/jobs/{id}/events?after={after}"))
            .await?;
        let mut buffer = Vec::new();
        while let Ok(Some(chunk)) = events.chunk().await {
            buffer.extend_from_slice(&chunk);
            let mut ends = false;
            while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = buffer.drain(..end + 2).collect();
                let Some(event) = data_of(&String::from_utf8_lossy(&block)) else {
                    continue;
                };
                let kind = event["type"].as_str().unwrap_or_default();
                // A line of its own for each piece of a text would be none.
                if kind == "agent.delta" {
                    continue;
                }
                after = event["seq"].as_i64().unwrap_or(after);
                show::answer(server.json, &event, show::event)?;
                ends = matches!(kind, "job.succeeded" | "job.failed" | "job.cancelled");
            }
            // It may be the end before a retry, and the job goes on since then.
            if ends && let Some(code) = ended(client, id, server).await? {
                return Ok(code);
            }
        }
        // The host restarts, or the line was cut: on from the last event.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}

fn data_of(block: &str) -> Option<Value> {
    let data = block.lines().find_map(|line| line.strip_prefix("data:"))?;
    serde_json::from_str(data.trim()).ok()
}

/// Shows the job and says how it ended; nothing of that where it goes on.
async fn ended(client: &Client, id: &str, server: &Server) -> Result<Option<ExitCode>> {
    let job = client.get(&format!("/api/jobs/{id}")).await?;
    let code = match job["status"].as_str() {
        Some("succeeded") => ExitCode::SUCCESS,
        Some("failed" | "cancelled") => ExitCode::from(FAILED),
        _ => return Ok(None),
    };
    show::answer(server.json, &job, show::job)?;
    Ok(Some(code))
}

pub(crate) async fn logs(args: &Logs) -> Result<ExitCode> {
    let client = Client::new(&args.server)?;
    let mut after = 0;
    loop {
        // Asked before the lines, so that none is missed that was written before the end.
        let status = client.get(&format!("/api/jobs/{}", args.id)).await?["status"].clone();
        loop {
            let path = format!("/api/jobs/{}/logs?after={after}&limit=200", args.id);
            let page = client.get(&path).await?;
            let lines = page["items"].as_array().cloned().unwrap_or_default();
            for line in &lines {
                after = line["seq"].as_i64().unwrap_or(after);
                show::answer(args.server.json, line, show::log_line)?;
            }
            if lines.len() < 200 {
                break;
            }
        }
        let ended = matches!(status.as_str(), Some("succeeded" | "failed" | "cancelled"));
        if !args.follow || ended {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}
