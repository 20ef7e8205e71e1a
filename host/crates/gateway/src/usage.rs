//! Counts what passes: requests, refusals, and the tokens that the provider
//! names in its answers, streamed or whole. It knows no prices.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;

/// A line of a stream, or an answer that isn't one, beyond which tokens aren't
/// looked for. What passes isn't held back by it.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// Tokens as the provider counts them. The four don't overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read by the model, and neither from nor into the cache.
    pub input: u64,
    /// Written by the model, its thinking included.
    pub output: u64,
    /// Read from the cache.
    pub cache_read: u64,
    /// Read, and written to the cache.
    pub cache_creation: u64,
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_creation = self.cache_creation.saturating_add(other.cache_creation);
    }
}

/// What one run has used so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests that were sent to the provider, whatever it answered.
    pub requests: u64,
    /// Requests that were not sent.
    pub refused: u64,
    /// Requests that the provider answered as asked.
    pub answered: u64,
    /// For how long the provider asked to be left alone, where its last answer did.
    pub retry_after: Option<Duration>,
    /// By the model that was asked for.
    pub models: BTreeMap<String, Tokens>,
}

impl Usage {
    /// The tokens of all models.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        let mut sum = Tokens::default();
        for tokens in self.models.values() {
            sum += *tokens;
        }
        sum
    }
}

/// A run's usage, while it grows.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Usage>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> Usage {
        self.lock().clone()
    }

    pub(crate) fn refused(&self) {
        self.lock().refused += 1;
    }

    pub(crate) fn sent(&self) {
        self.lock().requests += 1;
    }

    /// The head of an answer came: `good`, or with the time that it asks for.
    pub(crate) fn answered(&self, good: bool, retry_after: Option<Duration>) {
        let mut usage = self.lock();
        usage.answered += u64::from(good);
        usage.retry_after = retry_after.filter(|_| !good);
    }

    fn add(&self, model: &str, tokens: Tokens) {
        let mut usage = self.lock();
        if let Some(sum) = usage.models.get_mut(model) {
            *sum += tokens;
        } else {
            usage.models.insert(model.to_owned(), tokens);
        }
    }
}

/// Reads along with one answer.
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
}

#[derive(Deserialize)]
struct Named {
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
}

impl Meter {
    pub(crate) fn new(ledger: Arc<Ledger>, model: String, content_type: &str) -> Self {
        Self {
            ledger,
            model,
            events: content_type.starts_with("text/event-stream"),
            kept: Vec::new(),
            overlong: false,
            named: Tokens::default(),
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

    /// The answer is complete.
    pub(crate) fn end(&mut self) {
        if !self.events && !self.overlong {
            let whole = std::mem::take(&mut self.kept);
            self.read(&whole);
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
        if let Some(tokens) = named.usage.or(named.message.and_then(|m| m.usage)) {
            self.grow(&tokens);
        }
    }

    fn grow(&mut self, tokens: &NamedTokens) {
        let grown = |named: &mut u64, now: Option<u64>| {
            let more = now.unwrap_or(0).saturating_sub(*named);
            *named = named.saturating_add(more);
            more
        };
        let more = Tokens {
            input: grown(&mut self.named.input, tokens.input_tokens),
            output: grown(&mut self.named.output, tokens.output_tokens),
            cache_read: grown(&mut self.named.cache_read, tokens.cache_read_input_tokens),
            cache_creation: grown(
                &mut self.named.cache_creation,
                tokens.cache_creation_input_tokens,
            ),
        };
        self.ledger.add(&self.model, more);
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
        let mut meter = Meter::new(Arc::clone(&ledger), "m".into(), content_type);
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
