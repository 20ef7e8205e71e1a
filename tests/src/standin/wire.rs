//! Replies as bytes of the Messages API: a stream of events, whole JSON, an
//! error. It doesn't wait for anything.

use bytes::Bytes;
use serde_json::{Value, json};

use super::reply::{Block, Reply, ReplyUsage};

/// A tool's input comes in pieces of so many characters at most.
const PIECE_CHARS: usize = 4096;

/// The events of one message, in order.
pub(super) fn events(reply: &Reply, blocks: &[Block], id: &str, model: &str) -> Vec<Bytes> {
    let start =
        json!({"type": "message_start", "message": head(id, model, &[], None, begun(reply.usage))});
    let mut events = vec![start];
    for (index, block) in blocks.iter().enumerate() {
        let (empty, deltas) = match block {
            Block::Text(text) => (
                json!({"type": "text", "text": ""}),
                vec![json!({"type": "text_delta", "text": text})],
            ),
            Block::Pieces(pieces) => (
                json!({"type": "text", "text": ""}),
                pieces
                    .iter()
                    .map(|piece| json!({"type": "text_delta", "text": piece}))
                    .collect(),
            ),
            Block::Tool { name, input } => (
                json!({"type": "tool_use", "id": tool_id(id, index), "name": name, "input": {}}),
                pieces(&input.to_string())
                    .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                    .collect(),
            ),
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": empty}));
        for delta in deltas {
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let end = json!({"stop_reason": stop_reason(reply, blocks), "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": reply.usage.output}}));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(event).collect()
}

/// The same message, whole.
pub(super) fn whole(reply: &Reply, blocks: &[Block], id: &str, model: &str) -> Value {
    let content: Vec<Value> = blocks
        .iter()
        .enumerate()
        .map(|(index, block)| match block {
            Block::Text(text) => json!({"type": "text", "text": text}),
            Block::Pieces(pieces) => json!({"type": "text", "text": pieces.concat()}),
            Block::Tool { name, input } => {
                json!({"type": "tool_use", "id": tool_id(id, index), "name": name, "input": input})
            }
        })
        .collect();
    head(
        id,
        model,
        &content,
        Some(stop_reason(reply, blocks)),
        reply.usage,
    )
}

/// An error in the API's form.
pub(super) fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

fn head(
    id: &str,
    model: &str,
    content: &[Value],
    stop_reason: Option<&str>,
    usage: ReplyUsage,
) -> Value {
    json!({
        "id": id, "type": "message", "role": "assistant", "model": model,
        "content": content, "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "cache_read_input_tokens": usage.cache_read,
            "cache_creation_input_tokens": usage.cache_creation,
        },
    })
}

/// At a stream's start the output has only begun.
fn begun(usage: ReplyUsage) -> ReplyUsage {
    ReplyUsage {
        output: usage.output.min(1),
        ..usage
    }
}

fn stop_reason(reply: &Reply, blocks: &[Block]) -> &'static str {
    if let Some(reason) = reply.stop_reason {
        return reason;
    }
    let uses_tool = blocks
        .iter()
        .any(|block| matches!(block, Block::Tool { .. }));
    if uses_tool { "tool_use" } else { "end_turn" }
}

fn tool_id(message: &str, index: usize) -> String {
    format!("toolu_{message}_{index}")
}

fn pieces(text: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = chars
        .chunks(PIECE_CHARS)
        .map(|piece| piece.iter().collect())
        .collect();
    pieces.into_iter()
}

fn event(data: &Value) -> Bytes {
    let name = data["type"].as_str().unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
