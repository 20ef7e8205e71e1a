//! Commands about limits and pauses. Each asks a running host and shows what it answers.

use crate::cli::{Group, Pause, Server};
use crate::client::Client;
use crate::show;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::process::ExitCode;

pub(crate) async fn list(server: &Server) -> Result<ExitCode> {
    let gates = Client::new(server)?.get("/api/gates").await?;
    show::answer(server.json, &gates, show::gates)?;
    Ok(ExitCode::SUCCESS)
}

/// `verb` is `pause` or `resume`.
pub(crate) async fn pause(args: &Pause, verb: &str) -> Result<ExitCode> {
    let path = match &args.pipeline {
        Some(name) => format!("/api/pipelines/{}/{verb}", segment(name)?),
        None => format!("/api/{verb}"),
    };
    let gate = Client::new(&args.server)?.post(&path, &json!({})).await?;
    show::answer(args.server.json, &gate, show::gate)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn group(args: &Group) -> Result<ExitCode> {
    let rate = args.rate.as_deref().map(rate).transpose()?;
    let limits = json!({
        "concurrency": args.concurrency,
        "rate": rate,
        "budget_usd": args.budget,
    });
    let path = format!("/api/groups/{}", segment(&args.name)?);
    let gate = Client::new(&args.server)?.put(&path, &limits).await?;
    show::answer(args.server.json, &gate, show::gate)?;
    Ok(ExitCode::SUCCESS)
}

fn rate(text: &str) -> Result<Value> {
    let (jobs, seconds) = text
        .split_once('/')
        .with_context(|| format!("--rate {text}: must be JOBS/SECONDS, such as 100/3600"))?;
    let number = |part: &str| -> Result<u32> {
        let number = part.trim().parse();
        number.with_context(|| format!("--rate {text}: `{part}` isn't a whole number"))
    };
    Ok(json!({ "jobs": number(jobs)?, "seconds": number(seconds)? }))
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> Result<String> {
    if matches!(name, "" | "." | "..") {
        bail!("`{name}` isn't a name");
    }
    let mut segment = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                segment.push(char::from(byte));
            }
            other => segment.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(segment("a/b ü").unwrap(), "a%2Fb%20%C3%BC");
        assert!(segment("..").is_err());
    }

    #[test]
    fn a_rate_is_two_numbers() {
        assert_eq!(rate("2/60").unwrap(), json!({ "jobs": 2, "seconds": 60 }));
        for wrong in ["2", "2/", "x/60", "-1/2"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
