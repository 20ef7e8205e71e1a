//! Commands about a job's files: what an attempt changed, and all of them in one archive. Both ask
//! a running host.

use crate::cli::{Diff, Export};
use crate::client::Client;
use crate::show;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) async fn diff(args: &Diff) -> Result<ExitCode> {
    let client = Client::new(&args.server)?;
    let job = client.get(&format!("/api/jobs/{}", args.id)).await?;
    let revision = args.revision.map_or(job["revision"].clone(), Into::into);
    let (phase, last) = last_attempt(&job, args.phase.as_deref(), &revision)?;
    let attempt = args.attempt.map_or(last, Into::into);
    let path = format!(
        "/api/jobs/{}/attempts/{phase}/{attempt}/diff?revision={revision}",
        args.id
    );
    let changes = client.get(&path).await?;
    show::answer(args.server.json, &changes, show::changes)?;
    Ok(ExitCode::SUCCESS)
}

/// The last attempt of a phase in a revision, or of the last phase that has one.
fn last_attempt<'a>(
    job: &'a Value,
    phase: Option<&str>,
    revision: &Value,
) -> Result<(&'a str, Value)> {
    let phases = job["phases"].as_array().into_iter().flatten().rev();
    for it in phases {
        let id = it["id"].as_str().unwrap_or_default();
        let mut attempts = it["attempts"].as_array().into_iter().flatten();
        let last = attempts.rfind(|attempt| attempt["revision"] == *revision);
        match last {
            Some(last) if phase.is_none_or(|phase| phase == id) => {
                return Ok((id, last["number"].clone()));
            }
            _ => {}
        }
    }
    match phase {
        Some(phase) => bail!("phase `{phase}` has no attempt in revision {revision} of the job"),
        None => bail!("the job has no attempt in revision {revision}"),
    }
}

pub(crate) async fn export(args: &Export) -> Result<ExitCode> {
    let client = Client::new(&args.server)?;
    let mut answer = client
        .open(&format!("/api/jobs/{}/archive", args.id))
        .await?;
    let left_out = answer.headers().get("gantry-left-out");
    let left_out = left_out.and_then(|it| Some(it.to_str().ok()?.to_owned()));
    let default = PathBuf::from(format!("{}.tar", args.id));
    let to = args.output.as_ref().unwrap_or(&default);
    let mut bytes = 0;
    if to == Path::new("-") {
        let mut out = io::stdout().lock();
        while let Some(piece) = answer.chunk().await.context("the archive broke off")? {
            out.write_all(&piece)?;
        }
        out.flush()?;
        warn(left_out);
        return Ok(ExitCode::SUCCESS);
    }
    // Under its own name only once it is whole.
    let partial = PathBuf::from(format!("{}.partial", to.display()));
    let saved = async {
        let mut file = File::create(&partial).with_context(|| partial.display().to_string())?;
        while let Some(piece) = answer.chunk().await.context("the archive broke off")? {
            file.write_all(&piece)
                .with_context(|| partial.display().to_string())?;
            bytes += piece.len();
        }
        fs::rename(&partial, to).with_context(|| to.display().to_string())
    };
    if let Err(error) = saved.await {
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    let saved = serde_json::json!({
        "file": to.display().to_string(), "bytes": bytes, "left_out": left_out,
    });
    show::answer(args.server.json, &saved, |_| {
        format!("{}: {bytes} bytes", to.display())
    })?;
    warn(left_out);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "the archive may be on standard output")]
fn warn(left_out: Option<String>) {
    if let Some(left_out) = left_out {
        eprintln!("gantry: not in the archive: {}", show::plain(&left_out));
    }
}
