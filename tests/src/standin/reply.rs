//! What a script answers: blocks of a message, an error, and how the answer
//! comes: at once, slowly, behind a gate, cut. It doesn't write bytes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) what: What,
    pub(super) usage: ReplyUsage,
    pub(super) pace: Pace,
    /// None: as its blocks say.
    pub(super) stop_reason: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Message(Vec<Block>),
    Error {
        status: u16,
        kind: String,
        retry_after_seconds: Option<u32>,
    },
    Redirect(String),
}

/// How an answer comes.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// Before anything at all.
    pub(super) before: Option<Gate>,
    /// After the first event of a stream.
    pub(super) silence: Option<Duration>,
    /// Between any two events.
    pub(super) gap: Option<Duration>,
    /// Before the event of this index.
    pub(super) within: Option<(usize, Gate)>,
    /// The connection ends in the middle.
    pub(super) cut: bool,
}

/// A part of the model's message.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// What it says.
    Text(String),
    /// The same, as it comes in these pieces.
    Pieces(Vec<String>),
    /// A tool that it wants to be used.
    Tool {
        /// `Write`, …
        name: String,
        /// The tool's arguments.
        input: Value,
    },
}

/// The tokens that an answer claims.
#[derive(Debug, Clone, Copy)]
pub struct ReplyUsage {
    /// `input_tokens`
    pub input: u64,
    /// `output_tokens`, at the end.
    pub output: u64,
    /// `cache_read_input_tokens`
    pub cache_read: u64,
    /// `cache_creation_input_tokens`
    pub cache_creation: u64,
}

impl Default for ReplyUsage {
    fn default() -> Self {
        Self {
            input: 100,
            output: 20,
            cache_read: 0,
            cache_creation: 0,
        }
    }
}

/// Holds answers back until a test opens it.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Gate {
    /// Lets through whoever waits and whoever comes.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn passed(&self) {
        // An error would mean that the gate is gone, and this is one of its ends.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl Reply {
    /// A message of these blocks; it ends the turn where none is a tool.
    #[must_use]
    pub fn blocks(blocks: impl IntoIterator<Item = Block>) -> Self {
        Self {
            what: What::Message(blocks.into_iter().collect()),
            usage: ReplyUsage::default(),
            pace: Pace::default(),
            stop_reason: None,
        }
    }

    /// Says something and ends the turn.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::blocks([Block::Text(text.into())])
    }

    /// Uses one tool.
    #[must_use]
    pub fn tool(name: impl Into<String>, input: Value) -> Self {
        Self::blocks([Block::tool(name, input)])
    }

    /// Writes a file with the CLI's own tool; `path` is absolute.
    #[must_use]
    pub fn write_file(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self::write_files([(path.into(), content.into())])
    }

    /// Writes several in one turn.
    #[must_use]
    pub fn write_files(files: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::blocks(
            files
                .into_iter()
                .map(|(path, content)| Block::write(path, content)),
        )
    }

    /// An error of the API: 429 `rate_limit_error`, 529 `overloaded_error`, …
    #[must_use]
    pub fn error(status: u16, kind: impl Into<String>, retry_after_seconds: Option<u32>) -> Self {
        Self {
            what: What::Error {
                status,
                kind: kind.into(),
                retry_after_seconds,
            },
            ..Self::text("")
        }
    }

    /// Asks to be asked elsewhere.
    #[must_use]
    pub fn redirect(location: impl Into<String>) -> Self {
        Self {
            what: What::Redirect(location.into()),
            ..Self::text("")
        }
    }

    /// Claims these tokens.
    #[must_use]
    pub fn usage(mut self, usage: ReplyUsage) -> Self {
        self.usage = usage;
        self
    }

    /// Ends the connection in the middle of the message.
    #[must_use]
    pub fn cut_stream(mut self) -> Self {
        self.pace.cut = true;
        self
    }

    /// Begins, and then says nothing for so long.
    #[must_use]
    pub fn silence(mut self, duration: Duration) -> Self {
        self.pace.silence = Some(duration);
        self
    }

    /// Pauses before each event but the first.
    #[must_use]
    pub fn slow(mut self, gap: Duration) -> Self {
        self.pace.gap = Some(gap);
        self
    }

    /// Sends this many events of the stream, and then none until the gate is open.
    #[must_use]
    pub fn behind_after(mut self, events: usize, gate: &Gate) -> Self {
        self.pace.within = Some((events, gate.clone()));
        self
    }

    /// The model declines.
    #[must_use]
    pub fn refusal(mut self) -> Self {
        self.stop_reason = Some("refusal");
        self
    }

    /// Says nothing until the gate is open.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.pace.before = Some(gate.clone());
        self
    }
}

impl Block {
    /// A tool to be used.
    #[must_use]
    pub fn tool(name: impl Into<String>, input: Value) -> Self {
        Self::Tool {
            name: name.into(),
            input,
        }
    }

    /// The CLI's `Write`, which creates folders as well.
    #[must_use]
    pub fn write(path: impl Into<String>, content: impl Into<String>) -> Self {
        let (path, content) = (path.into(), content.into());
        Self::tool("Write", json!({"file_path": path, "content": content}))
    }

    /// The CLI's `Read`, which it wants before a file is written over.
    #[must_use]
    pub fn read(path: impl Into<String>) -> Self {
        let path = path.into();
        Self::tool("Read", json!({"file_path": path}))
    }
}
