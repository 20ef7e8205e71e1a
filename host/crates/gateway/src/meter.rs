//! Reads along with an answer, streamed or whole, for the tokens that the provider names in it.

use std::sync::Arc;

use serde::Deserialize;

use crate::bill::Bill;
use crate::usage::{Ledger, Tokens};

/// A line of a stream, or an answer that isn't one, beyond which tokens aren't
/// looked for. What passes isn't held back by it.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// Reads along with one answer, and says at its end what it came to.
#[derive(Debug)]
pub(crate) struct Meter {
    ledger: Arc<Ledger>,
    model: String,
    events: bool,
    /// The line that isn't complete yet; the whole answer where it isn't a stream.
    kept: Vec<u8>,
    overlong: bool,
    /// What this answer has named so far: its numbers grow, they aren't added up.
    named: Tokens,
    /// Whether its length has been named, at its end.
    complete: bool,
    bill: Option<Bill>,
}

#[derive(Deserialize)]
struct Named {
    r#type: Option<String>,
    usage: Option<NamedTokens>,
    message: Option<NamedMessage>,
}

#[derive(Deserialize)]
struct NamedMessage {
    usage: Option<NamedTokens>,
}

#[derive(Deserialize)]
struct NamedTokens {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<NamedCreation>,
}

/// Parts of `cache_creation_input_tokens`.
#[derive(Deserialize)]
struct NamedCreation {
    ephemeral_1h_input_tokens: Option<u64>,
}

impl Meter {
    /// Of an answer to a request for this model.
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        model: String,
        content_type: &str,
        bill: Option<Bill>,
    ) -> Self {
        Self {
            ledger,
            model,
            events: content_type.starts_with("text/event-stream"),
            kept: Vec::new(),
            overlong: false,
            named: Tokens::default(),
            complete: false,
            bill,
        }
    }

    /// The next piece of the answer.
    pub(crate) fn take(&mut self, mut chunk: &[u8]) {
        if !self.events {
            self.keep(chunk);
            return;
        }
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            self.keep(&chunk[..end]);
            chunk = &chunk[end + 1..];
            let line = std::mem::take(&mut self.kept);
            if !std::mem::take(&mut self.overlong)
                && let Some(data) = line.strip_prefix(b"data:")
            {
                self.read(data);
            }
        }
        self.keep(chunk);
    }

    /// The provider left it at that.
    pub(crate) fn broke_off(&self) {
        self.ledger.broke_off();
    }

    /// The answer is complete.
    pub(crate) fn end(&mut self) {
        if !self.events && !self.overlong {
            let whole = std::mem::take(&mut self.kept);
            self.read(&whole);
        }
        if self.complete
            && let Some(bill) = self.bill.take()
        {
            bill.complete(self.named);
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.overlong || self.kept.len() + piece.len() > KEPT_BYTES {
            self.overlong = true;
            self.kept = Vec::new();
        } else {
            self.kept.extend_from_slice(piece);
        }
    }

    fn read(&mut self, json: &[u8]) {
        // Most events are text and have no usage; those aren't parsed.
        let mentions_usage = json.windows(7).any(|window| window == b"\"usage\"");
        if !mentions_usage {
            return;
        }
        let Ok(named) = serde_json::from_slice::<Named>(json) else {
            return;
        };
        let Some(tokens) = named.usage.or(named.message.and_then(|m| m.usage)) else {
            return;
        };
        let last = matches!(named.r#type.as_deref(), Some("message_delta" | "message"));
        self.complete |= last && tokens.output_tokens.is_some();
        self.grow(&tokens);
    }

    fn grow(&mut self, tokens: &NamedTokens) {
        let grown = |named: &mut u64, now: Option<u64>| {
            let more = now.unwrap_or(0).saturating_sub(*named);
            *named = named.saturating_add(more);
            more
        };
        let hour = tokens
            .cache_creation
            .as_ref()
            .and_then(|parts| parts.ephemeral_1h_input_tokens);
        // Only the beginning of an answer says for how long.
        let so_long = hour.unwrap_or(0).max(self.named.cache_creation_hour);
        let minutes = tokens
            .cache_creation_input_tokens
            .map(|all| all.saturating_sub(so_long));
        let more = Tokens {
            input: grown(&mut self.named.input, tokens.input_tokens),
            output: grown(&mut self.named.output, tokens.output_tokens),
            cache_read: grown(&mut self.named.cache_read, tokens.cache_read_input_tokens),
            cache_creation: grown(&mut self.named.cache_creation, minutes),
            cache_creation_hour: grown(&mut self.named.cache_creation_hour, hour),
        };
        self.ledger.add(&self.model, more);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bill) = self.bill.take() {
            bill.broken_off(self.named);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":3,\"cache_creation_input_tokens\":4,\"output_tokens\":1}}}\n\n",
        "event: content_block_delta\ndata: {\"delta\":{\"text\":\"\\\"usage\\\"\"}}\n\n",
        "event: message_delta\r\ndata: {\"usage\":{\"input_tokens\":null,\"output_tokens\":7}}\r\n\r\n",
    );

    fn metered(content_type: &str, pieces: &[&[u8]]) -> Tokens {
        let ledger = Arc::<Ledger>::default();
        let mut meter = Meter::new(Arc::clone(&ledger), "m".into(), content_type, None);
        for piece in pieces {
            meter.take(piece);
        }
        meter.end();
        ledger.snapshot().tokens()
    }

    #[test]
    fn a_stream_is_counted_wherever_it_is_cut() {
        let expected = Tokens {
            input: 10,
            output: 7,
            cache_read: 3,
            cache_creation: 4,
            cache_creation_hour: 0,
        };
        let bytes = STREAM.as_bytes();
        for cut in 0..bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(
                metered("text/event-stream; charset=utf-8", &[a, b]),
                expected
            );
        }
    }

    #[test]
    fn a_whole_answer_is_counted() {
        let body = br#"{"type":"message","usage":{"input_tokens":2,"output_tokens":5}}"#;
        let tokens = metered("application/json", &[&body[..20], &body[20..]]);
        assert_eq!((tokens.input, tokens.output), (2, 5));
    }

    #[test]
    fn a_line_beyond_the_limit_is_not_kept_and_the_next_one_counts() {
        let start = b"data: {\"usage\":{\"output_tokens\":9}, \"x\":\"";
        let long = vec![b'x'; KEPT_BYTES];
        let end = b"\"}\ndata: {\"usage\":{\"output_tokens\":5}}\n";
        assert_eq!(metered("text/event-stream", &[start, &long, end]).output, 5);
        let shorter = vec![b'x'; KEPT_BYTES - 100];
        assert_eq!(
            metered("text/event-stream", &[start, &shorter, end]).output,
            9
        );
    }
}
