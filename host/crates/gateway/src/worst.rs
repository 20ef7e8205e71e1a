//! The most that a request can cost, before it is sent. By its bytes that is far too much, and
//! free; by the provider's count it is close, and takes a call.

use crate::prices::{Caching, Price};
use crate::request::Asked;

/// What the provider adds of its own: the words around tools, messages and the system prompt.
const AROUND: u64 = 2_000;
/// An image at its largest, whatever its bytes are.
const IMAGE: u64 = 5_000;
/// The provider calls its count an estimate: so much may be missing, and one part in twenty.
const COUNT_OFF: u64 = 500;
/// An answer is never cut shorter than this for want of money.
const SHORTEST_ANSWER: u64 = 1_024;

/// The most that one request can cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Worst {
    price: Price,
    caching: Caching,
    /// Tokens that are read at most.
    prompt: u64,
    /// Tokens that it wants written.
    longest: u64,
    /// Tokens that it needs written at least.
    shortest: u64,
}

impl Worst {
    /// Of a request of so many bytes. No text has more tokens than bytes; images and documents may.
    pub(crate) fn by_bytes(price: Price, asked: &Asked, bytes: usize) -> Self {
        let longest = asked.max_tokens.as_ref().map_or(0, |(tokens, _)| *tokens);
        // Thinking counts against the answer, which must be longer.
        let thinking = match asked.thinking {
            0 => 0,
            tokens => tokens.saturating_add(SHORTEST_ANSWER),
        };
        let prompt = match asked.holds.documents {
            0 => u64::try_from(bytes)
                .unwrap_or(u64::MAX)
                .saturating_add(AROUND)
                .saturating_add(asked.holds.images.saturating_mul(IMAGE)),
            // A small file can have many pages.
            _ => price.context,
        };
        Self {
            price,
            caching: asked.holds.caching,
            prompt: prompt.min(price.context),
            longest,
            shortest: thinking.max(SHORTEST_ANSWER).min(longest),
        }
    }

    /// The same, where the provider has counted the prompt.
    pub(crate) fn counted(self, tokens: u64) -> Self {
        let counted = tokens.saturating_add(tokens / 20).saturating_add(COUNT_OFF);
        Self {
            prompt: self.prompt.min(counted),
            ..self
        }
    }

    /// With the answer that it wants, in micro-dollars.
    pub(crate) fn most(&self) -> u64 {
        self.cost(self.longest)
    }

    /// With the shortest answer that is of use, in micro-dollars.
    pub(crate) fn least(&self) -> u64 {
        self.cost(self.shortest)
    }

    /// The longest answer for this money; none where that is the one that it wants.
    pub(crate) fn cut_to(&self, money: u64) -> Option<u64> {
        let affords = self.price.affords(self.prompt, self.caching, money);
        (affords < self.longest).then(|| affords.max(self.shortest))
    }

    fn cost(&self, answer: u64) -> u64 {
        self.price.worst(self.prompt, self.caching, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::Prices;
    use crate::request::Holds;

    fn asked(longest: u64, thinking: u64, holds: Holds) -> Asked {
        Asked {
            model: "claude-opus-4-8".to_owned(),
            max_tokens: Some((longest, 0..0)),
            thinking,
            holds,
        }
    }

    fn worst(longest: u64, thinking: u64, holds: Holds, bytes: usize) -> Worst {
        let price = Prices::default().of("claude-opus-4-8");
        Worst::by_bytes(price, &asked(longest, thinking, holds), bytes)
    }

    #[test]
    fn bytes_bound_a_text_and_nothing_bounds_a_document() {
        let text = worst(1_000, 0, Holds::default(), 8_000);
        // 10,000 tokens read at 5 dollars, 1,000 written at 25.
        assert_eq!(text.most(), 75_000);
        let image = Holds {
            images: 2,
            ..Holds::default()
        };
        assert_eq!(worst(1_000, 0, image, 8_000).most(), 125_000);
        let document = Holds {
            documents: 1,
            ..Holds::default()
        };
        assert_eq!(worst(1_000, 0, document, 8_000).most(), 5_025_000);
        let cached = Holds {
            caching: Caching::Hour,
            ..Holds::default()
        };
        assert_eq!(worst(1_000, 0, cached, 8_000).most(), 125_000);
    }

    #[test]
    fn a_count_is_taken_only_where_it_is_lower() {
        let text = worst(0, 0, Holds::default(), 98_000);
        assert_eq!(text.counted(20_000).most(), 21_500 * 5);
        assert_eq!(text.counted(1_000_000).most(), text.most());
    }

    #[test]
    fn an_answer_is_cut_to_the_money_but_not_below_what_it_needs() {
        let text = worst(64_000, 0, Holds::default(), 8_000);
        assert_eq!(text.least(), 50_000 + 1_024 * 25);
        assert_eq!(text.cut_to(text.most()), None);
        assert_eq!(text.cut_to(text.least()), Some(1_024));
        assert_eq!(text.cut_to(300_000), Some(10_000));
        let thinks = worst(64_000, 20_000, Holds::default(), 8_000);
        assert_eq!(thinks.least(), 50_000 + 21_024 * 25);
        assert_eq!(thinks.cut_to(thinks.least()), Some(21_024));
        let short = worst(10, 0, Holds::default(), 8_000);
        assert_eq!(short.least(), short.most());
    }
}
