//! What one answer costs, and whose promise pays for it: complete, broken off or turned away.

use crate::accounts::Spent;
use crate::prices::Price;
use crate::purse::Promise;
use crate::usage::Tokens;

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
    pub(crate) fn complete(self, named: Tokens) {
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
    pub(crate) fn broken_off(self, named: Tokens) {
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
