//! Takes known secrets out of text before anybody sees it, also where the text comes in pieces. It
//! is against accidents, as a command that prints its environment: whoever wants to get a secret
//! past it writes it in another way.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// What stands where a secret stood.
const MARK: &str = "[redacted]";

/// What is looked for, and taken out. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Needles>);

#[derive(Default)]
struct Needles {
    /// By their first byte, the longest first; empty where there is none at all.
    by_first: Vec<Vec<String>>,
    secrets: BTreeSet<String>,
}

impl Redactor {
    /// Bytes of a secret at least: with shorter ones plain words would be taken out.
    pub const LEAST: usize = 8;

    /// Looks for these: as they are, escaped as in JSON once and twice, in base64 of either
    /// alphabet wherever they stand in it, and for each line of one that has several. Shorter ones
    /// than [`Redactor::LEAST`] are left alone.
    pub fn new(secrets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let secrets = secrets.into_iter().map(Into::into);
        Self::of(secrets.collect())
    }

    /// Looks for this one as well.
    #[must_use]
    pub fn and(&self, secret: impl Into<String>) -> Self {
        let mut secrets = self.0.secrets.clone();
        secrets.insert(secret.into());
        Self::of(secrets)
    }

    fn of(secrets: BTreeSet<String>) -> Self {
        let mut needles = BTreeSet::new();
        for secret in &secrets {
            // Most of what agents print is told line by line.
            for part in std::iter::once(secret.as_str()).chain(secret.lines()) {
                if part.len() >= Self::LEAST {
                    needles.extend(forms(part));
                }
            }
        }
        let mut by_first = Vec::new();
        for needle in needles {
            by_first.resize_with(256, Vec::new);
            if let Some(first) = needle.bytes().next()
                && let Some(list) = by_first.get_mut(usize::from(first))
            {
                list.push(needle);
            }
        }
        for list in &mut by_first {
            list.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        }
        Self(Arc::new(Needles { by_first, secrets }))
    }

    /// The text without any of them.
    pub fn text(&self, text: &str) -> String {
        let mut stream = RedactedStream::new(self.clone());
        let mut clean = stream.push(text);
        clean.push_str(&stream.finish());
        clean
    }

    /// Bytes of the longest form that is looked for: of what is cut off at its front, so many more
    /// must be there, or the rest of a secret stays.
    pub fn longest(&self) -> usize {
        let lengths = self.0.by_first.iter().flatten().map(String::len);
        lengths.max().unwrap_or(0)
    }

    fn beginning_with(&self, rest: &str) -> &[String] {
        let first = rest.bytes().next().map(usize::from);
        first
            .and_then(|first| self.0.by_first.get(first))
            .map_or(&[], Vec::as_slice)
    }

    /// Bytes of the longest one that stands at the beginning of `rest`; 0 where none does.
    fn found(&self, rest: &str) -> usize {
        let mut there = self.beginning_with(rest).iter();
        there
            .find(|needle| rest.starts_with(needle.as_str()))
            .map_or(0, String::len)
    }

    /// Whether what comes after `rest` decides if one stands at its beginning.
    fn may_begin(&self, rest: &str) -> bool {
        let longer = |needle: &&String| needle.len() > rest.len();
        let mut longer = self.beginning_with(rest).iter().take_while(longer);
        longer.any(|needle| needle.starts_with(rest))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.0.secrets.len())
    }
}

/// A text that comes in pieces, cut anywhere.
#[derive(Clone, Debug, Default)]
pub struct RedactedStream {
    redactor: Redactor,
    /// What may be the beginning of a secret.
    held: String,
    /// Bytes of it that are the end of one already.
    covered: usize,
}

impl RedactedStream {
    /// Nothing has come yet.
    pub fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            ..Self::default()
        }
    }

    /// What of it can be shown by now. Less is held back than the longest secret has.
    pub fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        self.clean(false)
    }

    /// What was held back, at the text's end. Another text may follow.
    pub fn finish(&mut self) -> String {
        self.clean(true)
    }

    fn clean(&mut self, whole: bool) -> String {
        let mut clean = String::with_capacity(self.held.len());
        let (mut at, mut covered) = (0, self.covered);
        while let Some(next) = self.held.get(at..).and_then(|rest| rest.chars().next()) {
            let rest = &self.held[at..];
            if !whole && self.redactor.may_begin(rest) {
                break;
            }
            let found = self.redactor.found(rest);
            if found > 0 && at >= covered {
                clean.push_str(MARK);
            }
            // One may begin within another: both go.
            covered = covered.max(at + found);
            if at >= covered {
                clean.push(next);
            }
            at += next.len_utf8();
        }
        self.held.drain(..at);
        self.covered = covered.saturating_sub(at);
        clean
    }
}

/// How a secret may stand in what a program prints.
fn forms(secret: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([secret.to_owned()]);
    for _ in 0..2 {
        let escaped: Vec<String> = forms.iter().map(|form| escape(form)).collect();
        forms.extend(escaped);
    }
    // Some writers of JSON escape it, and none must.
    let slashed: Vec<String> = forms.iter().map(|form| form.replace('/', "\\/")).collect();
    forms.extend(slashed);
    for before in 0..3 {
        for last in [['+', '/'], ['-', '_']] {
            let form = base64_within(secret.as_bytes(), before, last);
            if form.len() >= Redactor::LEAST {
                forms.insert(form);
            }
        }
    }
    forms
}

fn escape(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

/// What of a base64 text is the same whatever stands around the secret, of which `before` bytes
/// are in its first group of three.
fn base64_within(secret: &[u8], before: usize, last: [char; 2]) -> String {
    let own = secret.get((3 - before) % 3..).unwrap_or_default();
    let mut text = String::new();
    for group in own.chunks_exact(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        text.extend([18, 12, 6, 0].map(|shift| digit(bits >> shift & 63, last)));
    }
    text
}

fn digit(value: u32, last: [char; 2]) -> char {
    let from = |first: u8, offset: u32| {
        let offset = u8::try_from(value - offset).unwrap_or(0);
        char::from(first.saturating_add(offset))
    };
    match value {
        0..26 => from(b'A', 0),
        26..52 => from(b'a', 26),
        52..62 => from(b'0', 52),
        62 => last[0],
        _ => last[1],
    }
}

#[cfg(test)]
#[path = "redact/tests.rs"]
mod tests;
