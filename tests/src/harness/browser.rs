//! A page in a real browser, driven by a small script. What it saw is for the test to judge.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use super::parts::{Part, Parts};

const LIMIT: Duration = Duration::from_secs(90);

/// What a player sees.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Played {
    /// Of the document.
    pub title: String,
    /// Of the main button.
    pub action: String,
    /// Below the score, and of the others.
    pub currencies: Vec<String>,
    /// Names.
    pub upgrades: Vec<String>,
    /// The score at first.
    pub before: String,
    /// After some presses of the main button.
    pub after: String,
    /// After a reload.
    pub reloaded: String,
    /// Everything that went wrong in the page: errors of the console, exceptions, requests.
    pub errors: Vec<String>,
}

/// Opens the page, presses the main button three times, and loads it again.
///
/// # Panics
/// Where the browser or the page fails.
pub async fn play(parts: Parts, url: &str) -> Played {
    let seen = browse(parts, "play.mjs", url, &[]).await;
    serde_json::from_value(seen).unwrap()
}

/// What a script of `tests/browser` saw of a page, given these variables.
///
/// # Panics
/// Where the browser or the page fails.
pub async fn browse(parts: Parts, script: &str, url: &str, given: &[(&str, &str)]) -> Value {
    let profile = tempfile::Builder::new()
        .prefix("gantry-browser-")
        .tempdir()
        .unwrap();
    let script = format!("{}/browser/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut node = Command::new("node");
    node.arg(script)
        .arg(url)
        .envs(given.iter().copied())
        .env("PLAYWRIGHT", parts.place(Part::Playwright))
        .env("CHROMIUM", parts.place(Part::Chromium))
        .env("PROFILE", profile.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, node.output()).await;
    let output = output
        .expect("the browser is done in time")
        .expect("node is on PATH");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{url}: {errors}{said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{errors}"))
}
