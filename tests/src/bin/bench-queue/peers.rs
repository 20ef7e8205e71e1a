//! The peers of `tests/peers/queue`, each run as a process of Node's on a database of its own.
//! It judges no figure.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tests::bench::{place, say};

use crate::postgres;

/// What their scripts answer about a window.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub(crate) struct Rate {
    /// Jobs a second.
    pub(crate) rate: f64,
    jobs: f64,
    seconds: f64,
}

/// Runs `NAME.mjs`. None where the peers aren't there.
pub(crate) async fn ask<T: DeserializeOwned>(name: &str, options: &Value) -> Option<T> {
    let Some(folder) = place("GANTRY_TEST_PEERS") else {
        say(format_args!(
            "{name}: GANTRY_TEST_PEERS names no folder: not measured"
        ));
        return None;
    };
    let folder = PathBuf::from(folder);
    let database = postgres::database().await?;
    let output = Command::new(node(&folder))
        .arg(folder.join(format!("{name}.mjs")))
        .arg(options.to_string())
        .env("DATABASE_URL", database.url())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{name} {options}: {}",
        output.status
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Jobs a second of a peer, with what was counted for people.
pub(crate) async fn rate(name: &str, options: &Value) -> Option<f64> {
    let found: Rate = ask(name, options).await?;
    say(format_args!(
        "{name} {options}: {:.0} a second, {} jobs in {:.1} s",
        found.rate, found.jobs, found.seconds
    ));
    Some(found.rate)
}

/// The Node that npm brought with them, since they want a newer one than many machines have; else
/// that on `PATH`.
fn node(folder: &Path) -> PathBuf {
    let machine = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x64",
    };
    let brought = folder.join(format!("node_modules/node-linux-{machine}/bin/node"));
    if brought.is_file() {
        return brought;
    }
    "node".into()
}
