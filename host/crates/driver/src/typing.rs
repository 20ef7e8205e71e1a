//! The text that an agent is writing, piece by piece, for whoever watches: bounded, without
//! secrets wherever the pieces are cut, and gone once the whole text is there. It sends nothing.

use crate::output::text;
use pipeline::{RedactedStream, Redactor};
use serde_json::{Map, Value, json};

/// Bytes of one piece. Where an agent writes faster than it is told, the end of its text counts.
const PIECE: usize = 2 << 10;

/// What the stream of raw events came to since it was last asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Typing {
    /// The texts that were whole before this one: its number.
    part: u64,
    /// The number of its next piece. One that is left out counts.
    piece: u64,
    /// While a text is written.
    stream: Option<RedactedStream>,
    news: String,
    thinks: bool,
}

impl Typing {
    /// Takes one line of type `stream_event`.
    pub(crate) fn event(&mut self, json: &Map<String, Value>, secrets: &Redactor) {
        let Some(event) = json.get("event").and_then(Value::as_object) else {
            return;
        };
        let part = |key: &str| event.get(key).and_then(Value::as_object);
        match text(event, "type") {
            "content_block_start" => {
                let kind = part("content_block").map_or("", |block| text(block, "type"));
                match kind {
                    // Also once more, where a client asks its model again.
                    "text" => self.begin(secrets),
                    "thinking" | "redacted_thinking" => self.thinks = true,
                    _ => {}
                }
            }
            "content_block_delta" => {
                let piece = part("delta").map_or("", |delta| text(delta, "text"));
                let shown = self.stream.as_mut().map(|stream| stream.push(piece));
                self.add(&shown.unwrap_or_default());
            }
            "content_block_stop" => {
                let shown = self.stream.take().map(|mut stream| stream.finish());
                self.add(&shown.unwrap_or_default());
            }
            _ => {}
        }
    }

    /// The text is there as a whole: its number.
    pub(crate) fn end_of_part(&mut self) -> u64 {
        let part = self.part;
        *self = Self {
            part: part + 1,
            ..Self::default()
        };
        part
    }

    /// What is new, as an `agent.delta` has it. Nothing of it is kept.
    pub(crate) fn take(&mut self) -> Option<Map<String, Value>> {
        let thinks = std::mem::take(&mut self.thinks);
        let news = std::mem::take(&mut self.news);
        let told = match news.is_empty() {
            true if thinks => json!({ "part": self.part, "thinking": true }),
            true => return None,
            false => json!({ "part": self.part, "piece": self.piece, "text": news }),
        };
        self.piece += u64::from(!news.is_empty());
        match told {
            Value::Object(told) => Some(told),
            _ => None,
        }
    }

    fn begin(&mut self, secrets: &Redactor) {
        *self = Self {
            part: self.part,
            stream: Some(RedactedStream::new(secrets.clone())),
            ..Self::default()
        };
    }

    fn add(&mut self, shown: &str) {
        let plain = |c: char| match c.is_control() && c != '\n' && c != '\t' {
            true => '\u{fffd}',
            false => c,
        };
        self.news.extend(shown.chars().map(plain));
        if self.news.len() > PIECE {
            let from = self.news.ceil_char_boundary(self.news.len() - PIECE);
            self.news.drain(..from);
            self.piece += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn start(kind: &str) -> Value {
        json!({"type": "content_block_start", "content_block": {"type": kind}})
    }

    fn delta(text: &str) -> Value {
        json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}})
    }

    fn stop() -> Value {
        json!({"type": "content_block_stop"})
    }

    fn hear(typing: &mut Typing, events: &[Value]) -> Value {
        let secrets = Redactor::new([SECRET]);
        for event in events {
            let line = json!({"type": "stream_event", "event": event});
            typing.event(line.as_object().unwrap(), &secrets);
        }
        typing.take().map_or(Value::Null, Value::Object)
    }

    #[test]
    fn a_text_comes_in_numbered_pieces_until_it_is_whole() {
        let mut typing = Typing::default();
        assert_eq!(hear(&mut typing, &[start("text")]), Value::Null);
        assert_eq!(
            hear(&mut typing, &[delta("one "), delta("two\n\u{1b}")]),
            json!({"part": 0, "piece": 0, "text": "one two\n\u{fffd}"})
        );
        assert_eq!(
            hear(&mut typing, &[delta("three"), stop()]),
            json!({"part": 0, "piece": 1, "text": "three"})
        );
        // Asked again, the model says it anew.
        assert_eq!(
            hear(&mut typing, &[start("text"), delta("one")]),
            json!({"part": 0, "piece": 0, "text": "one"})
        );
        hear(&mut typing, &[]);
        let secrets = Redactor::default();
        let line = json!({ "event": delta(" two") });
        typing.event(line.as_object().unwrap(), &secrets);
        assert_eq!(typing.end_of_part(), 0);
        assert_eq!(
            hear(&mut typing, &[stop()]),
            Value::Null,
            "it is told whole"
        );
        assert_eq!(
            hear(&mut typing, &[start("thinking")]),
            json!({"part": 1, "thinking": true})
        );
        assert_eq!(
            hear(
                &mut typing,
                &[delta("hm"), stop(), start("tool_use"), delta("{}"), stop()]
            ),
            Value::Null
        );
        assert_eq!(
            hear(&mut typing, &[start("text"), delta("on")]),
            json!({"part": 1, "piece": 0, "text": "on"})
        );
    }

    #[test]
    fn a_flood_is_cut_to_its_end_and_the_gap_shows_in_the_numbers() {
        let mut typing = Typing::default();
        let flood: Vec<Value> = (0..10_000).map(|n| delta(&format!("ä{n} "))).collect();
        let told = hear(&mut typing, &[vec![start("text")], flood].concat());
        let text = told["text"].as_str().unwrap();
        assert!(text.len() <= PIECE && text.ends_with("ä9999 "), "{text}");
        let piece = told["piece"].as_u64().unwrap();
        assert!(piece > 0, "the first one is missing");
        assert_eq!(hear(&mut typing, &[delta("x")])["piece"], piece + 1);
    }

    #[test]
    fn a_secret_that_is_cut_in_two_passes_in_no_piece() {
        for at in 1..SECRET.len() {
            let mut typing = Typing::default();
            let (first, second) = SECRET.split_at(at);
            let one = hear(&mut typing, &[start("text"), delta(&format!("is {first}"))]);
            let two = hear(&mut typing, &[delta(&format!("{second}, so")), stop()]);
            assert_eq!(one["text"], "is ", "{at}");
            assert_eq!(two["text"], "[redacted], so", "{at}");
        }
    }
}
