//! One run of `gantry` as a command: its exit status and what it printed. It gives it nothing to
//! read.

use std::process::{Command, Stdio};

use serde_json::Value;
use tokio::time::timeout;

use super::client::DEADLINE;
use super::host::gantry;

/// How a command ended, and what it printed.
#[derive(Clone, Debug)]
pub struct Said {
    /// 0 done, 1 failed, 2 wrong use.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Of a command without a host: only these variables, in a folder of its own.
    pub async fn alone(settings: &[(&str, &str)], args: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("gc-")
            .tempdir_in("/tmp")
            .unwrap();
        let mut command = Command::new(gantry());
        command
            .args(args)
            .env_clear()
            .current_dir(folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GANTRY_DATA", folder.path().join("d"))
            .envs(settings.iter().copied());
        Self::by(command).await
    }

    /// Of any command.
    ///
    /// # Panics
    /// Where it doesn't end in time.
    pub async fn by(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        let mut command = tokio::process::Command::from(command);
        let output = timeout(DEADLINE, command.kill_on_drop(true).output()).await;
        let output = output.expect("the command ends in time").unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// The last line of its output as JSON.
    ///
    /// # Panics
    /// Where it isn't.
    #[must_use]
    pub fn json(&self) -> Value {
        let line = self.out.trim_end().lines().next_back().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Where it ended so, and `text` is in what it printed.
    ///
    /// # Panics
    /// Where it didn't, or it isn't.
    #[track_caller]
    pub fn expect(&self, code: i32, text: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(
            self.out.contains(text) || self.err.contains(text),
            "no `{text}`: {self:?}"
        );
    }
}
