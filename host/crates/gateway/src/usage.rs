//! Counts what passes: requests, refusals, and the tokens that the provider
//! names in its answers, streamed or whole, and what they come to.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::accounts::{Budget, Spent};
use crate::prices::Price;
use crate::purse::Promise;

/// A line of a stream, or an answer that isn't one, beyond which tokens aren't
/// looked for. What passes isn't held back by it.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// Tokens as the provider counts them. The five don't overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read by the model, and neither from nor into the cache.
    pub input: u64,
    /// Written by the model, its thinking included.
    pub output: u64,
    /// Read from the cache.
    pub cache_read: u64,
    /// Read, and written to the cache for five minutes.
    pub cache_creation: u64,
    /// Read, and written to the cache for an hour.
    pub cache_creation_hour: u64,
}

impl Tokens {
    /// All that was read.
    pub(crate) fn prompt(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_creation)
            .saturating_add(self.cache_creation_hour)
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_creation = self.cache_creation.saturating_add(other.cache_creation);
        self.cache_creation_hour = self
            .cache_creation_hour
            .saturating_add(other.cache_creation_hour);
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
    /// The budget that the last request found used up, where it did.
    pub over: Option<Budget>,
    /// Whether the provider's last answer broke off, or never came.
    pub broken_off: bool,
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
        let mut usage = self.lock();
        usage.requests += 1;
        usage.over = None;
        usage.broken_off = false;
    }

    /// The answer that is under way doesn't come to its end.
    pub(crate) fn broke_off(&self) {
        self.lock().broken_off = true;
    }

    /// A request wasn't sent, since this budget is used up.
    pub(crate) fn over(&self, budget: Budget) {
        self.lock().over = Some(budget);
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

/// Who pays for an answer, and by which price.
#[derive(Debug)]
pub(crate) struct Bill {
    promise: Promise,
    price: Price,
    /// Tokens that the answer may have.
    longest: u64,
}

impl Bill {
    /// From now on the provider may be at work: where nobody says more, `worst` is spent.
    pub(crate) fn new(mut promise: Promise, price: Price, longest: u64, worst: u64) -> Self {
        promise.otherwise(Spent {
            requests: 1,
            micro_usd: worst,
            assumed_micro_usd: worst,
            tokens: Tokens::default(),
        });
        Self {
            promise,
            price,
            longest,
        }
    }

    /// Nothing was written, and nothing is asked for it.
    pub(crate) fn free(self) {
        self.promise.settle(Spent::default());
    }

    /// The provider turned it away, and asks nothing for it.
    pub(crate) fn refused(self) {
        self.promise.settle(Spent {
            requests: 1,
            ..Spent::default()
        });
    }

    /// The answer is complete.
    fn complete(self, named: Tokens) {
        let spent = self.spent(named, self.price.cost(&named));
        if let Some(amount) = self.promise.amount()
            && amount < spent.micro_usd
        {
            tracing::warn!(
                set_aside_micro_usd = amount,
                spent_micro_usd = spent.micro_usd,
                "a request cost more than its worst case"
            );
        }
        self.promise.settle(spent);
    }

    /// The answer broke off. What was read for it is known; how much was written isn't.
    fn broken_off(self, named: Tokens) {
        if named.prompt() == 0 {
            return;
        }
        let longest = Tokens {
            output: self.longest.max(named.output),
            ..named
        };
        let spent = self.spent(named, self.price.cost(&longest));
        self.promise.settle(spent);
    }

    fn spent(&self, named: Tokens, micro_usd: u64) -> Spent {
        Spent {
            requests: 1,
            micro_usd,
            assumed_micro_usd: match self.price.known {
                true => micro_usd - self.price.cost(&named).min(micro_usd),
                false => micro_usd,
            },
            tokens: named,
        }
    }
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
