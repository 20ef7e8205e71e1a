//! A request as a script and a test look at it: the prompt, the tools that were
//! used since, what they gave. It judges nothing.

use bytes::Bytes;
use hyper::{HeaderMap, Method, Uri};
use serde_json::Value;

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `POST` for messages.
    pub method: Method,
    /// With the query.
    pub uri: Uri,
    /// All of them.
    pub headers: HeaderMap,
    /// The JSON body; null where there was none.
    pub body: Value,
}

/// A tool that the model used.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolUse {
    /// What the result refers to.
    pub id: String,
    /// `Write`, …
    pub name: String,
    /// The tool's arguments.
    pub input: Value,
}

/// What a tool gave.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The use that it belongs to.
    pub id: String,
    /// Whether the tool failed or was denied.
    pub is_error: bool,
    /// Its text.
    pub text: String,
}

impl Asked {
    pub(super) fn new(method: Method, uri: Uri, headers: HeaderMap, body: &Bytes) -> Self {
        Self {
            method,
            uri,
            headers,
            body: serde_json::from_slice(body).unwrap_or_default(),
        }
    }

    /// A header's text; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// The prompt's length, as the stand-in counts it: four bytes a token.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let bytes = ["messages", "system", "tools"].map(|part| self.body[part].to_string().len());
        u64::try_from(bytes.iter().sum::<usize>() / 4).unwrap_or(u64::MAX)
    }

    /// The model asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    /// Whether the answer shall be a stream.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.body["stream"] == true
    }

    /// The names of the tools on offer.
    #[must_use]
    pub fn tools(&self) -> Vec<&str> {
        let tools = self.body["tools"].as_array().into_iter().flatten();
        tools.filter_map(|tool| tool["name"].as_str()).collect()
    }

    /// The last thing that a person, or a pipeline, said: text of the user that
    /// isn't a tool's result or the CLI's own `<system-reminder>`.
    #[must_use]
    pub fn prompt(&self) -> String {
        let at = self.prompt_at();
        let message = at.and_then(|at| self.messages().get(at));
        message.map(spoken).unwrap_or_default()
    }

    /// The conversation without what was said last, as a run had it that another one went on
    /// with. None where nothing else was said.
    #[must_use]
    pub fn without_prompt(&self) -> Option<Self> {
        let mut earlier = self.clone();
        let messages = earlier.body["messages"].as_array_mut()?;
        messages.remove(self.prompt_at()?);
        earlier.prompt_at().is_some().then_some(earlier)
    }

    /// 1 for the first answer to the prompt, 2 after the first tools, …
    #[must_use]
    pub fn turn(&self) -> usize {
        let answers = self.since_prompt().filter(|m| m["role"] == "assistant");
        answers.count() + 1
    }

    /// Tools used since the prompt, in order.
    #[must_use]
    pub fn tool_uses(&self) -> Vec<ToolUse> {
        self.since_prompt()
            .flat_map(blocks)
            .filter(|block| block["type"] == "tool_use")
            .map(|block| ToolUse {
                id: text_of(&block["id"]),
                name: text_of(&block["name"]),
                input: block["input"].clone(),
            })
            .collect()
    }

    /// What they gave, in order.
    #[must_use]
    pub fn tool_results(&self) -> Vec<ToolResult> {
        self.since_prompt()
            .flat_map(blocks)
            .filter(|block| block["type"] == "tool_result")
            .map(|block| ToolResult {
                id: text_of(&block["tool_use_id"]),
                is_error: block["is_error"] == true,
                text: text_of(&block["content"]),
            })
            .collect()
    }

    /// The folder that the CLI says it works in.
    #[must_use]
    pub fn working_folder(&self) -> Option<String> {
        const LABEL: &str = "Primary working directory: ";
        let system = text_of(&self.body["system"]);
        let messages = self.messages().iter().map(|m| text_of(&m["content"]));
        std::iter::once(system).chain(messages).find_map(|text| {
            let at = text.find(LABEL)? + LABEL.len();
            Some(text[at..].lines().next()?.trim().to_owned())
        })
    }

    fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map_or(&[], Vec::as_slice)
    }

    fn prompt_at(&self) -> Option<usize> {
        self.messages()
            .iter()
            .rposition(|message| message["role"] == "user" && !spoken(message).is_empty())
    }

    fn since_prompt(&self) -> impl Iterator<Item = &Value> {
        let after = self.prompt_at().map_or(0, |at| at + 1);
        self.messages().iter().skip(after)
    }
}

fn blocks(message: &Value) -> impl Iterator<Item = &Value> {
    message["content"].as_array().into_iter().flatten()
}

fn spoken(message: &Value) -> String {
    if blocks(message).any(|block| block["type"] == "tool_result") {
        return String::new();
    }
    let texts = match &message["content"] {
        Value::String(text) => vec![text.as_str()],
        _ => blocks(message)
            .filter_map(|block| block["text"].as_str())
            .collect(),
    };
    let said = texts
        .into_iter()
        .filter(|text| !text.trim_start().starts_with("<system-reminder>"));
    said.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// Text as it is, or the texts of its blocks.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
