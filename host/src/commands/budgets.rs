//! Commands about money. Each asks a running host and shows what it answers.

use super::gates::segment;
use crate::cli::{Budget, One, Server};
use crate::client::Client;
use crate::show;
use anyhow::Result;
use serde_json::{Value, json};
use std::process::ExitCode;

pub(crate) async fn list(server: &Server) -> Result<ExitCode> {
    let today = Client::new(server)?.get("/api/budgets").await?;
    show::answer(server.json, &today, show::budgets)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn set(args: &Budget) -> Result<ExitCode> {
    let path = format!("/api/jobs/{}/budget", segment(&args.id)?);
    let budget = json!({ "usd": args.usd, "phase": args.phase });
    let client = Client::new(&args.server)?;
    client.put(&path, &budget).await?;
    job(&client, &args.id, &args.server).await
}

pub(crate) async fn go_on(args: &One) -> Result<ExitCode> {
    let path = format!("/api/jobs/{}/resume", segment(&args.id)?);
    let client = Client::new(&args.server)?;
    client.post(&path, &json!({})).await?;
    job(&client, &args.id, &args.server).await
}

/// Shows the job as it is now.
async fn job(client: &Client, id: &str, server: &Server) -> Result<ExitCode> {
    let job: Value = client.get(&format!("/api/jobs/{}", segment(id)?)).await?;
    show::answer(server.json, &job, show::job)?;
    Ok(ExitCode::SUCCESS)
}
