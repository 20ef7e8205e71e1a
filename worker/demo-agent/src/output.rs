//! What the host reads of a run: the lines in `agent.jsonl` and the state in
//! `status.json`. It decides nothing about the run's success.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;

/// The pace of a run and the moment at which its time is up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) pause: Duration,
    pub(crate) limit_seconds: Option<u64>,
}

/// The open output of one run.
#[derive(Debug)]
pub(crate) struct Output {
    lines: File,
    path: PathBuf,
    session_id: String,
    pace: Pace,
    since: Instant,
    turns: u32,
}

impl Output {
    pub(crate) fn create(out_dir: &str, session_id: &str, pace: Pace) -> Result<Self, Error> {
        let path = PathBuf::from(out_dir).join("agent.jsonl");
        let lines = File::create(&path).map_err(Error::io(&path))?;
        Ok(Self {
            lines,
            path,
            session_id: session_id.to_owned(),
            pace,
            since: Instant::now(),
            turns: 0,
        })
    }

    pub(crate) fn init(&mut self, workspace: &str) -> Result<(), Error> {
        self.line(json!({
            "type": "system", "subtype": "init", "cwd": workspace, "model": "demo-agent", "tools": ["Write"],
        }))
    }

    /// A sentence for people: once as a live delta, once whole.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Error> {
        self.line(json!({
            "type": "stream_event",
            "event": {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        }))?;
        self.assistant(json!({"type": "text", "text": text}))
    }

    pub(crate) fn wrote(&mut self, path: &std::path::Path) -> Result<(), Error> {
        let id = format!("toolu_demo_{}", self.turns + 1);
        self.assistant(
            json!({"type": "tool_use", "id": id, "name": "Write", "input": {"file_path": path}}),
        )
    }

    /// The last line. It is written whatever the time is.
    pub(crate) fn result(&mut self, is_error: bool, text: &str) -> Result<(), Error> {
        let subtype = if is_error {
            "error_during_execution"
        } else {
            "success"
        };
        let duration_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.put(json!({
            "type": "result", "subtype": subtype, "is_error": is_error, "result": text,
            "num_turns": self.turns, "duration_ms": duration_ms, "total_cost_usd": 0,
            "usage": {
                "input_tokens": 0, "output_tokens": 0,
                "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            },
            "permission_denials": [],
        }))
    }

    fn assistant(&mut self, block: Value) -> Result<(), Error> {
        self.turns += 1;
        let id = format!("msg_demo_{}", self.turns);
        self.line(json!({
            "type": "assistant",
            "message": {
                "id": id, "type": "message", "role": "assistant", "model": "demo-agent",
                "content": [block], "usage": {"input_tokens": 0, "output_tokens": 0},
            },
        }))
    }

    fn line(&mut self, line: Value) -> Result<(), Error> {
        let left = self
            .pace
            .limit_seconds
            .map(|limit| Duration::from_secs(limit).saturating_sub(self.since.elapsed()));
        if !self.pace.pause.is_zero() {
            std::thread::sleep(left.map_or(self.pace.pause, |left| left.min(self.pace.pause)));
        }
        if let Some(limit) = self.pace.limit_seconds
            && self.since.elapsed() >= Duration::from_secs(limit)
        {
            return Err(Error::OutOfTime(limit));
        }
        self.put(line)
    }

    fn put(&mut self, mut line: Value) -> Result<(), Error> {
        line["session_id"] = Value::from(self.session_id.as_str());
        self.lines
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| self.lines.flush())
            .map_err(Error::io(&self.path))
    }
}

/// `status.json`, replaced as a whole at each change.
#[derive(Debug)]
pub(crate) struct Status {
    folder: PathBuf,
    phase: String,
    task: String,
    started_at: String,
}

impl Status {
    pub(crate) fn new(out_dir: &str, phase: &str, task: &str) -> Self {
        Self {
            folder: PathBuf::from(out_dir),
            phase: phase.to_owned(),
            task: task.to_owned(),
            started_at: now(),
        }
    }

    pub(crate) fn running(&self) -> Result<(), Error> {
        self.put("running", None, None)
    }

    pub(crate) fn completed(&self) -> Result<(), Error> {
        self.put("completed", None, Some(now()))
    }

    pub(crate) fn failed(&self, reason: &str) -> Result<(), Error> {
        self.put("failed", Some(reason), Some(now()))
    }

    fn put(
        &self,
        state: &str,
        reason: Option<&str>,
        finished_at: Option<String>,
    ) -> Result<(), Error> {
        let status = json!({
            "phase": self.phase, "task": self.task, "state": state, "reason": reason,
            "started_at": self.started_at, "finished_at": finished_at,
        });
        let path = self.folder.join("status.json");
        let new = self.folder.join(".status.json.new");
        fs::write(&new, format!("{status}\n"))
            .and_then(|()| fs::rename(&new, &path))
            .map_err(Error::io(path))
    }
}

/// In seconds: a date's fraction would have a varying length.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0)
        .unwrap_or(now)
        .format(&Rfc3339)
        .unwrap_or_default()
}
