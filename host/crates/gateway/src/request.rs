//! The shape of a request's body that may pass: known fields only, tools that
//! the agent runs itself, content that lies in the request. It is checked while
//! it is read and nothing of it is kept, so 32 MiB of brackets cost 32 MiB; what
//! is sent on is the very bytes that were checked.
//!
//! A field that comes twice is refused wherever a field matters, since the
//! provider might read the other one.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{AddAssign, Range};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::prices::Caching;

/// Tools of the provider that the client carries out, by what stands before the date.
const CLIENT_TOOLS: &[&str] = &["bash_", "computer_", "memory_", "text_editor_"];

/// Blocks whose content is in the request. What server tools leave behind isn't
/// here, since no server tool passes; nor is `container_upload`, which names a file.
const BLOCKS: &[&str] = &[
    "compaction",
    "document",
    "image",
    "mid_conv_system",
    "redacted_thinking",
    "search_result",
    "text",
    "thinking",
    "tool_addition",
    "tool_reference",
    "tool_removal",
    "tool_result",
    "tool_use",
];

/// Sources whose bytes are in the request; `url` and `file` make the provider fetch.
const SOURCES: &[&str] = &["base64", "content", "text"];

/// A reason can quote what it is about, which can be long.
const REASON_CHARS: usize = 1000;

/// What a request asks for, as far as somebody has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// By its exact name.
    pub(crate) model: String,
    /// The longest answer, and where in the body that is said.
    pub(crate) max_tokens: Option<(u64, Range<usize>)>,
    /// Tokens of the answer that are for thinking.
    pub(crate) thinking: u64,
    /// What its bytes don't tell about its tokens.
    pub(crate) holds: Holds,
}

/// What a request holds, at any depth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) images: u64,
    pub(crate) documents: u64,
    pub(crate) caching: Caching,
}

impl AddAssign for Holds {
    fn add_assign(&mut self, other: Self) {
        self.images += other.images;
        self.documents += other.documents;
        self.caching = self.caching.max(other.caching);
    }
}

/// Reads `body` and answers with what it asks for.
///
/// # Errors
/// What is wrong, in words for whoever wrote the request; may quote it.
pub(crate) fn check(body: &[u8]) -> Result<Asked, String> {
    let read = || {
        let request = serde_json::from_slice::<Request<'_>>(body)?;
        let max_tokens = request
            .max_tokens
            .map(|raw| number(raw, body))
            .transpose()?;
        let mut holds = request.messages.holds;
        for other in [
            request.system.map(|it| it.0),
            request.tools.map(|it| it.holds),
            request.cache_control.map(|it| it.holds()),
        ] {
            holds += other.unwrap_or_default();
        }
        Ok(Asked {
            model: request.model,
            max_tokens,
            thinking: request
                .thinking
                .and_then(|it| it.budget_tokens)
                .unwrap_or(0),
            holds,
        })
    };
    read()
        .map_err(|error: serde_json::Error| error.to_string().chars().take(REASON_CHARS).collect())
}

/// Fields that the provider's token counting takes; it refuses any other.
const COUNTED: &[&str] = &[
    "cache_control",
    "context_management",
    "messages",
    "model",
    "output_config",
    "output_format",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// The body for the provider's token counting. It has been checked.
pub(crate) fn to_count(body: &[u8]) -> Option<Vec<u8>> {
    let mut fields: BTreeMap<&str, &RawValue> = serde_json::from_slice(body).ok()?;
    fields.retain(|name, _| COUNTED.contains(name));
    serde_json::to_vec(&fields).ok()
}

/// A number of the body, and where it stands there.
fn number(raw: &RawValue, body: &[u8]) -> serde_json::Result<(u64, Range<usize>)> {
    let number = serde_json::from_str(raw.get())?;
    let start = raw.get().as_ptr().addr() - body.as_ptr().addr();
    Ok((number, start..start + raw.get().len()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is only named here is known and not judged")]
struct Request<'a> {
    model: String,
    messages: Each<Message>,
    system: Option<Content>,
    tools: Option<Each<Tool>>,
    cache_control: Option<CacheControl>,
    context_management: Option<IgnoredAny>,
    diagnostics: Option<IgnoredAny>,
    #[serde(borrow)]
    max_tokens: Option<&'a RawValue>,
    metadata: Option<IgnoredAny>,
    output_config: Option<IgnoredAny>,
    output_format: Option<IgnoredAny>,
    service_tier: Option<IgnoredAny>,
    stop_sequences: Option<IgnoredAny>,
    stream: Option<IgnoredAny>,
    temperature: Option<IgnoredAny>,
    thinking: Option<Thinking>,
    tool_choice: Option<IgnoredAny>,
    top_k: Option<IgnoredAny>,
    top_p: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Thinking {
    budget_tokens: Option<u64>,
}

/// That the prompt up to here is kept by the provider; for how long, `ttl` says.
#[derive(Deserialize)]
struct CacheControl {
    ttl: Option<String>,
}

impl CacheControl {
    fn holds(&self) -> Holds {
        let caching = match self.ttl.as_deref() {
            None | Some("5m") => Caching::Minutes,
            Some(_) => Caching::Hour,
        };
        Holds {
            caching,
            ..Holds::default()
        }
    }
}

/// What is read and dropped again, and what is remembered of it.
trait Held {
    fn holds(&self) -> Holds;
}

#[derive(Deserialize)]
struct Message {
    content: Option<Content>,
}

impl Held for Message {
    fn holds(&self) -> Holds {
        self.content.as_ref().map_or_else(Holds::default, |it| it.0)
    }
}

#[derive(Deserialize)]
#[serde(try_from = "RawBlock")]
struct Block(Holds);

impl Held for Block {
    fn holds(&self) -> Holds {
        self.0
    }
}

#[derive(Deserialize)]
struct RawBlock {
    r#type: String,
    source: Option<Source>,
    content: Option<Content>,
    cache_control: Option<CacheControl>,
    /// Of `tool_addition`.
    tool: Option<ToolChange>,
}

impl TryFrom<RawBlock> for Block {
    type Error = String;

    fn try_from(raw: RawBlock) -> Result<Self, String> {
        if !BLOCKS.contains(&raw.r#type.as_str()) {
            return Err(format!(
                "a content block of type {:?} is not forwarded; those that are: {}",
                raw.r#type,
                BLOCKS.join(", ")
            ));
        }
        let mut holds = Holds {
            images: u64::from(raw.r#type == "image"),
            documents: u64::from(raw.r#type == "document"),
            caching: Caching::None,
        };
        for inner in [
            raw.source.map(|it| it.0),
            raw.content.map(|it| it.0),
            raw.cache_control.map(|it| it.holds()),
            raw.tool.map(|it| it.0),
        ] {
            holds += inner.unwrap_or_default();
        }
        Ok(Self(holds))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "RawToolChange")]
struct ToolChange(Holds);

#[derive(Deserialize)]
struct RawToolChange {
    r#type: String,
    definition: Option<Tool>,
}

impl TryFrom<RawToolChange> for ToolChange {
    type Error = String;

    fn try_from(raw: RawToolChange) -> Result<Self, String> {
        match raw.r#type.as_str() {
            "tool_definition" | "tool_reference" => {
                Ok(Self(raw.definition.map_or_else(Holds::default, |it| it.0)))
            }
            other => Err(format!(
                "a change of tools by {other:?} is not forwarded; tool_definition and tool_reference are"
            )),
        }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "RawTool")]
struct Tool(Holds);

impl Held for Tool {
    fn holds(&self) -> Holds {
        self.0
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is only named here is known and not judged")]
struct RawTool {
    r#type: Option<String>,
    name: Option<IgnoredAny>,
    description: Option<IgnoredAny>,
    input_schema: Option<IgnoredAny>,
    allowed_callers: Option<IgnoredAny>,
    cache_control: Option<CacheControl>,
    defer_loading: Option<IgnoredAny>,
    display_height_px: Option<IgnoredAny>,
    display_number: Option<IgnoredAny>,
    display_width_px: Option<IgnoredAny>,
    eager_input_streaming: Option<IgnoredAny>,
    enable_zoom: Option<IgnoredAny>,
    input_examples: Option<IgnoredAny>,
    max_characters: Option<IgnoredAny>,
    strict: Option<IgnoredAny>,
}

impl TryFrom<RawTool> for Tool {
    type Error = String;

    fn try_from(raw: RawTool) -> Result<Self, String> {
        let holds = raw
            .cache_control
            .map_or_else(Holds::default, |it| it.holds());
        match raw.r#type.as_deref() {
            None | Some("custom") => Ok(Self(holds)),
            Some(kind) if is_client_tool(kind) => Ok(Self(holds)),
            Some(kind) => Err(format!(
                "a tool of type {kind:?} is not forwarded: only tools that the agent runs itself are"
            )),
        }
    }
}

/// `bash_20250124`, but not `bash_code_execution_20250825`.
fn is_client_tool(kind: &str) -> bool {
    CLIENT_TOOLS.iter().any(|tool| {
        kind.strip_prefix(tool)
            .is_some_and(|date| date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// An array, each element of which is checked and dropped.
struct Each<T> {
    holds: Holds,
    of: PhantomData<T>,
}

impl<T> Each<T> {
    const fn none() -> Self {
        Self {
            holds: Holds {
                images: 0,
                documents: 0,
                caching: Caching::None,
            },
            of: PhantomData,
        }
    }
}

impl<'de, T: Deserialize<'de> + Held> Deserialize<'de> for Each<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::none())
    }
}

impl<'de, T: Deserialize<'de> + Held> Visitor<'de> for Each<T> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self, A::Error> {
        while let Some(element) = seq.next_element::<T>()? {
            self.holds += element.holds();
        }
        Ok(self)
    }
}

/// Text or blocks: a message's, a tool result's, the system prompt.
#[derive(Default)]
struct Content(Holds);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self::default())
    }
}

impl<'de> Visitor<'de> for Content {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or content blocks")
    }

    fn visit_str<E>(self, _text: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self, A::Error> {
        Ok(Self(Each::<Block>::none().visit_seq(seq)?.holds))
    }
}

/// Where a block's bytes are. A `search_result` has plain text here: a name that
/// is shown and not fetched.
#[derive(Default)]
struct Source(Holds);

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self::default())
    }
}

#[derive(Deserialize)]
struct RawSource {
    r#type: String,
    content: Option<Content>,
}

impl<'de> Visitor<'de> for Source {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a source")
    }

    fn visit_str<E>(self, _text: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self, A::Error> {
        let raw = RawSource::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        if SOURCES.contains(&raw.r#type.as_str()) {
            return Ok(Self(raw.content.unwrap_or_default().0));
        }
        Err(serde::de::Error::custom(format!(
            "a source of type {:?} is not forwarded: an image or a document must lie in the request, as {}",
            raw.r#type,
            SOURCES.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests;
