//! What an agent prints: JSON lines become events, its last message and its result; anything
//! else is a line of the log. Secrets are taken out here, before anything is cut or told. It reads
//! no file; the cost is the agent's own account, for people to see and nothing to be decided by.

use crate::typing::Typing;
use pipeline::{Event, EventKind, Level, LogLine, Redactor, RunKey, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

/// Where a line came from, and what it must not say.
#[derive(Clone, Debug)]
pub(crate) struct From {
    /// The phase's id.
    pub(crate) phase: String,
    /// Of the phase.
    pub(crate) attempt: u32,
    /// The task's name.
    pub(crate) task: String,
    /// What is taken out of all that is told.
    pub(crate) secrets: Redactor,
}

impl From {
    pub(crate) fn of(key: &RunKey, secrets: Redactor) -> Self {
        Self {
            phase: key.phase.clone(),
            attempt: key.attempt,
            task: key.task.clone(),
            secrets,
        }
    }

    /// An event of it. Its texts have no secrets any more.
    pub(crate) fn event(&self, kind: EventKind, data: Value) -> Event {
        Event {
            kind,
            phase: Some(self.phase.clone()),
            attempt: Some(self.attempt),
            data: match data {
                Value::Object(data) => data,
                _ => Map::new(),
            },
        }
    }
}

/// What the lines so far came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    /// The last line of type `result`.
    pub(crate) result: Option<AgentResult>,
    /// The agent's last text.
    pub(crate) answer: String,
    /// The text that it is writing.
    pub(crate) typing: Typing,
    /// The last tools that were used: id and name.
    pub(crate) tools: VecDeque<(String, String)>,
}

/// The agent's own account of its run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AgentResult {
    pub(crate) subtype: String,
    pub(crate) is_error: bool,
    pub(crate) text: String,
    /// What went wrong, where it has no text.
    pub(crate) errors: String,
    /// The provider's HTTP status, where that was the reason.
    pub(crate) api_status: Option<u64>,
    /// A form was asked for, and the answer hasn't it.
    pub(crate) lacks_form: bool,
    /// What it says that it cost, in millionths of a dollar.
    pub(crate) cost_micro_usd: u64,
}

/// What is told of one line.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) events: Vec<Event>,
    pub(crate) logs: Vec<LogLine>,
}

/// Bytes of a message or a tool's input that an event carries.
const EVENT_TEXT: usize = 4 << 10;
/// Bytes of one line of the log.
const LOG_TEXT: usize = 2 << 10;
/// Bytes of what is said about a tool, and of a tool's name.
const ABOUT: usize = 300;
/// Tools whose results may be under way.
const TOOLS: usize = 64;

impl Output {
    /// Takes one line.
    pub(crate) fn line(&mut self, line: &str, from: &From, told: &mut Told) {
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        let Ok(Value::Object(json)) = serde_json::from_str::<Value>(line) else {
            return told.log(from, Level::Info, line);
        };
        match text(&json, "type") {
            "assistant" => self.message(&json, from, told),
            "user" => self.results(&json, from, told),
            "result" => self.end(&json, from, told),
            // What an agent of the agent says comes whole.
            "stream_event" if is_main(&json) => self.typing.event(&json, &from.secrets),
            // Unknown types are of later CLIs.
            _ => {}
        }
    }

    fn message(&mut self, json: &Map<String, Value>, from: &From, told: &mut Told) {
        for block in blocks(json) {
            match text(block, "type") {
                "text" => {
                    let said = from.secrets.text(text(block, "text"));
                    let mut data = json!({ "task": from.task, "text": cut(&said, EVENT_TEXT) });
                    if is_main(json) {
                        data["part"] = self.typing.end_of_part().into();
                    }
                    told.event(from, EventKind::AgentMessage, data);
                    told.log(from, Level::Info, &said);
                    self.answer = said;
                }
                "tool_use" => {
                    let tool = from.secrets.text(text(block, "name"));
                    let about = about(block.get("input"), &from.secrets);
                    let data =
                        json!({ "task": from.task, "tool": cut(&tool, ABOUT), "about": about });
                    told.event(from, EventKind::AgentTool, data);
                    told.log(from, Level::Info, format!("{tool} {about}").trim());
                    self.tools.truncate(TOOLS - 1);
                    let id = cut(text(block, "id"), ABOUT);
                    self.tools.push_front((id, cut(&tool, ABOUT)));
                }
                "thinking" | "redacted_thinking" => {
                    let data = json!({ "task": from.task });
                    told.event(from, EventKind::AgentThinking, data);
                }
                _ => {}
            }
        }
    }

    /// What tools gave. Only a failure is worth a line of the log.
    fn results(&mut self, json: &Map<String, Value>, from: &From, told: &mut Told) {
        for block in blocks(json).filter(|block| text(block, "type") == "tool_result") {
            let id = text(block, "tool_use_id");
            let used = self.tools.iter().find(|(used, _)| used == id);
            let tool = used.map(|(_, name)| name.clone()).unwrap_or_default();
            let failed = block.get("is_error") == Some(&Value::Bool(true));
            let gave = from.secrets.text(&words(block.get("content")));
            let about = first_line(&gave);
            let data = json!({
                "task": from.task, "tool": tool, "is_error": failed, "about": about,
                "bytes": gave.len(),
            });
            told.event(from, EventKind::AgentToolResult, data);
            if failed {
                told.log(from, Level::Warn, &format!("{tool} failed: {about}"));
            }
        }
    }

    fn end(&mut self, json: &Map<String, Value>, from: &From, told: &mut Told) {
        let subtype = text(json, "subtype");
        let is_error = json.get("is_error").and_then(Value::as_bool);
        let result = AgentResult {
            subtype: from.secrets.text(subtype),
            // One that was interrupted needn't call itself an error.
            is_error: is_error.unwrap_or(false) || subtype.starts_with("error"),
            text: from.secrets.text(text(json, "result")),
            errors: from.secrets.text(&errors(json)),
            api_status: json.get("api_error_status").and_then(Value::as_u64),
            lacks_form: json.get("structured_output") == Some(&Value::Null),
            cost_micro_usd: micro_usd(json.get("total_cost_usd")),
        };
        for tool in denied(json) {
            let line = format!("{} was denied", from.secrets.text(tool));
            told.log(from, Level::Warn, &line);
        }
        if result.is_error {
            let said = format!("{}\n{}", result.text, result.errors);
            told.log(from, Level::Error, &said);
        } else if !result.text.is_empty() {
            self.answer.clone_from(&result.text);
        }
        self.result = Some(result);
    }
}

impl Told {
    pub(crate) fn log(&mut self, from: &From, level: Level, text: &str) {
        let text = from.secrets.text(text);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            self.logs.push(LogLine {
                seq: 0,
                at: Timestamp::default(),
                phase: Some(from.phase.clone()),
                attempt: Some(from.attempt),
                level,
                text: printable(&cut(line, LOG_TEXT)),
            });
        }
    }

    fn event(&mut self, from: &From, kind: EventKind, data: Value) {
        self.events.push(from.event(kind, data));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.logs.is_empty()
    }
}

/// Whether it is the agent's own, and not of an agent that it has started.
fn is_main(json: &Map<String, Value>) -> bool {
    json.get("parent_tool_use_id").is_none_or(Value::is_null)
}

/// The parts of a message.
fn blocks(json: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let content = json.get("message").and_then(|m| m.get("content"));
    let blocks = content.and_then(Value::as_array);
    blocks.into_iter().flatten().filter_map(Value::as_object)
}

/// A tool's result as text: images and the like are left out.
fn words(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => {
            let texts = blocks.iter().filter_map(Value::as_object);
            let texts: Vec<&str> = texts.map(|block| text(block, "text")).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// What a result that is an error lists, in a line.
fn errors(json: &Map<String, Value>) -> String {
    let listed = json.get("errors").and_then(Value::as_array);
    let listed = listed.into_iter().flatten().filter_map(Value::as_str);
    listed.collect::<Vec<_>>().join("; ")
}

/// The tools that the agent wasn't allowed to use, once each.
fn denied(json: &Map<String, Value>) -> Vec<&str> {
    let denials = json.get("permission_denials").and_then(Value::as_array);
    let denials = denials.into_iter().flatten().filter_map(Value::as_object);
    let mut tools: Vec<&str> = denials.map(|denial| text(denial, "tool_name")).collect();
    tools.sort_unstable();
    tools.dedup();
    tools.truncate(TOOLS);
    tools
}

/// What a tool's input is about, in one line: a path or a command rather than content.
fn about(input: Option<&Value>, secrets: &Redactor) -> String {
    let Some(input) = input.and_then(Value::as_object) else {
        return String::new();
    };
    let known = [
        "file_path",
        "path",
        "command",
        "pattern",
        "query",
        "description",
    ];
    let found = known
        .iter()
        .find_map(|key| input.get(*key).and_then(Value::as_str));
    first_line(&secrets.text(found.unwrap_or_default()))
}

fn first_line(text: &str) -> String {
    cut(text.lines().next().unwrap_or_default(), ABOUT)
}

/// Dollars as millionths; zero where it isn't a sensible number.
fn micro_usd(dollars: Option<&Value>) -> u64 {
    let dollars = dollars
        .and_then(Value::as_f64)
        .filter(|usd| (0.0..1e6).contains(usd));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked above"
    )]
    let micro = (dollars.unwrap_or(0.0) * 1e6).round() as u64;
    micro
}

pub(crate) fn text<'a>(json: &'a Map<String, Value>, key: &str) -> &'a str {
    json.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// `text`, at most so many bytes, with a mark where it was cut.
pub(crate) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes)])
}

/// Without control characters, which a terminal would obey and a database may refuse.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
#[path = "output/tests.rs"]
mod tests;
