//! Numbers from a seed: the same seed draws the same harm, though hosts meet it elsewhere. It
//! is no secret's source.

use std::ops::Range;
use std::time::Duration;

/// A stream of numbers, by SplitMix64 (Steele, Lea, Flood, 2014).
#[derive(Clone, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    /// One stream for each user of a seed.
    pub(super) fn new(seed: u64, user: u64) -> Self {
        Self(seed ^ user.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which isn't zero.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// In so many of a hundred cases.
    pub(super) fn percent(&mut self, of_a_hundred: u64) -> bool {
        self.below(100) < of_a_hundred
    }

    /// Between two times in milliseconds.
    pub(super) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_users_of_it_draw_apart() {
        let draw = |seed, user| {
            let mut draw = Draw::new(seed, user);
            [draw.next(), draw.next(), draw.next()]
        };
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
        let mut draw = Draw::new(7, 0);
        let most = (0..1000).map(|_| draw.millis(3..9)).max();
        assert_eq!(most, Some(Duration::from_millis(8)));
    }
}
