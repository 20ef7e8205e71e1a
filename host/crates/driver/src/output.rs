//! What an agent prints: JSON lines become events, its last message and its result; anything
//! else is a line of the log. It reads no file; the cost is
//! the agent's own account, for people to see and nothing to be decided by.

use pipeline::{Event, EventKind, Level, LogLine, RunKey, Timestamp};
use serde_json::{Map, Value, json};

/// Where a line came from.
#[derive(Clone, Debug)]
pub(crate) struct From {
    /// The phase's id.
    pub(crate) phase: String,
    /// Of the phase.
    pub(crate) attempt: u32,
    /// The task's name.
    pub(crate) task: String,
}

impl From {
    pub(crate) fn of(key: &RunKey) -> Self {
        Self {
            phase: key.phase.clone(),
            attempt: key.attempt,
            task: key.task.clone(),
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
}

/// The agent's own account of its run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AgentResult {
    pub(crate) subtype: String,
    pub(crate) is_error: bool,
    pub(crate) text: String,
    /// The provider's HTTP status, where that was the reason.
    pub(crate) api_status: Option<u64>,
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
            "result" => self.end(&json, from, told),
            // Raw stream events repeat what `assistant` says; unknown types are of later CLIs.
            _ => {}
        }
    }

    fn message(&mut self, json: &Map<String, Value>, from: &From, told: &mut Told) {
        let blocks = json
            .get("message")
            .and_then(|m| m.get("content"))
            .and_then(Value::as_array);
        for block in blocks.into_iter().flatten().filter_map(Value::as_object) {
            match text(block, "type") {
                "text" => {
                    let said = text(block, "text");
                    said.clone_into(&mut self.answer);
                    let data = json!({ "task": from.task, "text": cut(said, EVENT_TEXT) });
                    told.event(from, EventKind::AgentMessage, data);
                    told.log(from, Level::Info, said);
                }
                "tool_use" => {
                    let tool = text(block, "name");
                    let about = about(block.get("input"));
                    let data = json!({ "task": from.task, "tool": tool, "about": about });
                    told.event(from, EventKind::AgentTool, data);
                    told.log(from, Level::Info, format!("{tool} {about}").trim());
                }
                _ => {}
            }
        }
    }

    fn end(&mut self, json: &Map<String, Value>, from: &From, told: &mut Told) {
        let result = AgentResult {
            subtype: text(json, "subtype").to_owned(),
            is_error: json
                .get("is_error")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            text: text(json, "result").to_owned(),
            api_status: json.get("api_error_status").and_then(Value::as_u64),
            cost_micro_usd: micro_usd(json.get("total_cost_usd")),
        };
        if result.is_error {
            told.log(from, Level::Error, &result.text);
        } else if !result.text.is_empty() {
            self.answer.clone_from(&result.text);
        }
        self.result = Some(result);
    }
}

impl Told {
    pub(crate) fn log(&mut self, from: &From, level: Level, text: &str) {
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
        let Value::Object(data) = data else { return };
        let phase = Some(from.phase.clone());
        self.events.push(Event {
            kind,
            phase,
            attempt: Some(from.attempt),
            data,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.logs.is_empty()
    }
}

/// What a tool's input is about, in one line: a path or a command rather than content.
fn about(input: Option<&Value>) -> String {
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
    cut(
        found.unwrap_or_default().lines().next().unwrap_or_default(),
        300,
    )
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

fn text<'a>(json: &'a Map<String, Value>, key: &str) -> &'a str {
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
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (Output, Told) {
        let from = From {
            phase: "idea".into(),
            attempt: 1,
            task: "idea".into(),
        };
        let (mut output, mut told) = (Output::default(), Told::default());
        for line in lines {
            output.line(line, &from, &mut told);
        }
        (output, told)
    }

    #[test]
    fn text_and_tools_become_events_and_the_result_is_kept() {
        let (output, told) = read(&[
            r#"{"type":"system","subtype":"init"}"#,
            r#"{"message":{"content":[{"type":"text","text":"I write it."},
                {"type":"tool_use","name":"Write","input":{"content":"x","file_path":"a.json"}}]},
                "type":"assistant"}"#,
            r#"{"type":"result","subtype":"success","is_error":false,"result":"Done."}"#,
        ]);
        let kinds: Vec<_> = told.events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::AgentMessage, EventKind::AgentTool]);
        assert_eq!(told.events[1].data["about"], "a.json");
        let logged: Vec<_> = told.logs.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(logged, ["I write it.", "Write a.json"]);
        assert_eq!(output.answer, "Done.");
        assert!(!output.result.unwrap().is_error);
    }

    #[test]
    fn rubbish_is_a_line_of_the_log_without_control_characters() {
        let (output, told) = read(&["[1,2", "\u{1b}[31mred\0", "", "[]", "42"]);
        let logged: Vec<_> = told.logs.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(logged, ["[1,2", "\u{fffd}[31mred\u{fffd}", "[]", "42"]);
        assert!(output.result.is_none() && told.events.is_empty());
    }

    #[test]
    fn a_long_line_is_cut_at_its_limit_and_not_before() {
        let (_, told) = read(&[&"x".repeat(LOG_TEXT), &"ä".repeat(LOG_TEXT)]);
        assert_eq!(told.logs[0].text.len(), LOG_TEXT);
        assert_eq!(told.logs[1].text.len(), LOG_TEXT + '…'.len_utf8());
    }
}
