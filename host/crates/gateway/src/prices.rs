//! What tokens cost: a table that is a file, and the arithmetic over it. Money is whole
//! micro-dollars, rounded up once for each request.

use serde::Deserialize;

use crate::usage::Tokens;

/// The table that the program brings along; it says where its figures are from.
const BUILT_IN: &str = include_str!("../prices.toml");

/// Tokens that a price is of.
const MILLION: u128 = 1_000_000;

/// What each model costs.
#[derive(Debug, Clone)]
pub struct Prices {
    /// The longest name first.
    rows: Vec<Row>,
    dearest: Price,
}

/// What is wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// Not the form of one; the message names line and key.
    #[error("{0}")]
    Form(#[from] toml::de::Error),
    /// The form is right, a value isn't.
    #[error("model `{model}`: {key} must be {want}")]
    Value {
        /// Whose row.
        model: String,
        /// Which key.
        key: &'static str,
        /// What would be right.
        want: &'static str,
    },
    /// A name that is there twice, or none at all.
    #[error("{0}")]
    Rows(String),
}

#[derive(Debug, Clone)]
struct Row {
    name: String,
    price: Price,
}

/// What one model costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Price {
    rates: Rates,
    long: Option<Long>,
    /// The longest prompt, in tokens.
    pub(crate) context: u64,
    /// Whether the table has the model.
    pub(crate) known: bool,
}

/// Of a request whose prompt is longer than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Long {
    above: u64,
    rates: Rates,
}

/// Micro-dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Rates {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    cache_write_hour: u64,
}

/// How much of a prompt goes to the provider's cache, as far as the request says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Caching {
    /// Nothing is written to it.
    #[default]
    None,
    /// All of it may be, for five minutes.
    Minutes,
    /// All of it may be, for an hour.
    Hour,
}

impl Default for Prices {
    fn default() -> Self {
        // A test holds the table that is built in against its own checks.
        Self::parse(BUILT_IN).unwrap_or(Self {
            rows: Vec::new(),
            dearest: Price::UNPAYABLE,
        })
    }
}

impl Prices {
    /// Reads a table.
    ///
    /// # Errors
    /// What is wrong, with the line or the row.
    pub fn parse(text: &str) -> Result<Self, PricesError> {
        let table: TableForm = toml::from_str(text)?;
        let rows: Result<Vec<_>, _> = table.model.into_iter().map(RowForm::row).collect();
        let mut rows = rows?;
        rows.sort_by(|a, b| (b.name.len(), &a.name).cmp(&(a.name.len(), &b.name)));
        if let Some(twice) = rows.windows(2).find(|two| two[0].name == two[1].name) {
            let name = &twice[0].name;
            return Err(PricesError::Rows(format!("model `{name}` is there twice")));
        }
        let all = rows.iter().map(|row| row.price);
        let Some(dearest) = all.reduce(Price::dearer) else {
            return Err(PricesError::Rows("there is no [[model]]".to_owned()));
        };
        let dearest = Price {
            known: false,
            ..dearest
        };
        Ok(Self { rows, dearest })
    }

    /// Of a model; the dearest of all where the table hasn't got it.
    pub(crate) fn of(&self, model: &str) -> Price {
        let is_of = |row: &&Row| {
            model
                .strip_prefix(&row.name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let row = self.rows.iter().find(is_of);
        row.map_or(self.dearest, |row| row.price)
    }
}

impl Price {
    /// Where there is no table at all, nothing can be afforded.
    const UNPAYABLE: Self = Self {
        rates: Rates {
            input: u64::MAX,
            output: u64::MAX,
            cache_read: u64::MAX,
            cache_write: u64::MAX,
            cache_write_hour: u64::MAX,
        },
        long: None,
        context: u64::MAX,
        known: false,
    };

    /// What these tokens of one request cost, in micro-dollars.
    pub(crate) fn cost(&self, tokens: &Tokens) -> u64 {
        let rates = self.rates(tokens.prompt());
        micro(&[
            (tokens.input, rates.input),
            (tokens.output, rates.output),
            (tokens.cache_read, rates.cache_read),
            (tokens.cache_creation, rates.cache_write),
            (tokens.cache_creation_hour, rates.cache_write_hour),
        ])
    }

    /// What a request with a prompt of at most `prompt` tokens and at most `output` of an answer
    /// can cost, in micro-dollars.
    pub(crate) fn worst(&self, prompt: u64, caching: Caching, output: u64) -> u64 {
        let prompt = prompt.min(self.context);
        let (input, written) = self.dearest_rates(prompt, caching);
        micro(&[(prompt, input), (output, written)])
    }

    /// The longest answer that is sure to cost no more than `money` together with its prompt.
    pub(crate) fn affords(&self, prompt: u64, caching: Caching, money: u64) -> u64 {
        let prompt = prompt.min(self.context);
        let (input, output) = self.dearest_rates(prompt, caching);
        let all = u128::from(money) * MILLION;
        let left = all.saturating_sub(u128::from(prompt) * u128::from(input));
        let tokens = left.checked_div(u128::from(output)).unwrap_or(u128::MAX);
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }

    /// Of a prompt's tokens and of an answer's, each as dear as it can be.
    fn dearest_rates(&self, prompt: u64, caching: Caching) -> (u64, u64) {
        let rates = self.rates(prompt);
        let written = match caching {
            Caching::None => rates.input,
            Caching::Minutes => rates.cache_write,
            Caching::Hour => rates.cache_write.max(rates.cache_write_hour),
        };
        let input = written.max(rates.input).max(rates.cache_read);
        (input, rates.output)
    }

    fn rates(&self, prompt: u64) -> Rates {
        match self.long {
            Some(long) if prompt > long.above => long.rates,
            _ => self.rates,
        }
    }

    /// The dearer one in each respect.
    fn dearer(self, other: Self) -> Self {
        let long = |price: Self| price.long.map_or(price.rates, |long| long.rates);
        let (both, longs) = (
            self.rates.dearer(other.rates),
            long(self).dearer(long(other)),
        );
        Self {
            rates: both.dearer(longs),
            long: None,
            context: self.context.max(other.context),
            known: self.known && other.known,
        }
    }
}

impl Rates {
    fn dearer(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            cache_read: self.cache_read.max(other.cache_read),
            cache_write: self.cache_write.max(other.cache_write),
            cache_write_hour: self.cache_write_hour.max(other.cache_write_hour),
        }
    }
}

/// The sum of tokens by their rates, rounded up.
fn micro(parts: &[(u64, u64)]) -> u64 {
    let sum = parts.iter().fold(0_u128, |sum, (tokens, rate)| {
        sum.saturating_add(u128::from(*tokens) * u128::from(*rate))
    });
    u64::try_from(sum.div_ceil(MILLION)).unwrap_or(u64::MAX)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableForm {
    #[serde(default)]
    model: Vec<RowForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowForm {
    name: String,
    input: f64,
    output: f64,
    cache_read: f64,
    cache_write: f64,
    cache_write_hour: f64,
    context: u64,
    long: Option<LongForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongForm {
    above: u64,
    input: f64,
    output: f64,
    cache_read: f64,
    cache_write: f64,
    cache_write_hour: f64,
}

impl RowForm {
    fn row(self) -> Result<Row, PricesError> {
        let wrong = |key, want| PricesError::Value {
            model: self.name.clone(),
            key,
            want,
        };
        if self.name.is_empty() {
            return Err(wrong("name", "the beginning of a model's name"));
        }
        if self.context == 0 {
            return Err(wrong("context", "at least 1 token"));
        }
        let rates = |prices: [(&'static str, f64); 5]| {
            let mut micro = [0; 5];
            for (micro, (key, dollars)) in micro.iter_mut().zip(prices) {
                *micro = micro_dollars(dollars)
                    .ok_or_else(|| wrong(key, "0 to 100000 dollars for a million tokens"))?;
            }
            let [input, output, cache_read, cache_write, cache_write_hour] = micro;
            Ok::<_, PricesError>(Rates {
                input,
                output,
                cache_read,
                cache_write,
                cache_write_hour,
            })
        };
        let long = match &self.long {
            None => None,
            Some(long) => Some(Long {
                above: long.above,
                rates: rates([
                    ("long.input", long.input),
                    ("long.output", long.output),
                    ("long.cache_read", long.cache_read),
                    ("long.cache_write", long.cache_write),
                    ("long.cache_write_hour", long.cache_write_hour),
                ])?,
            }),
        };
        let rates = rates([
            ("input", self.input),
            ("output", self.output),
            ("cache_read", self.cache_read),
            ("cache_write", self.cache_write),
            ("cache_write_hour", self.cache_write_hour),
        ])?;
        let price = Price {
            rates,
            long,
            context: self.context,
            known: true,
        };
        Ok(Row {
            name: self.name,
            price,
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within 0 and 1e11"
)]
fn micro_dollars(dollars: f64) -> Option<u64> {
    (0.0..=100_000.0)
        .contains(&dollars)
        .then(|| (dollars * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_that_is_built_in_is_one() {
        let prices = Prices::parse(BUILT_IN).unwrap();
        assert!(prices.rows.len() > 10);
    }

    #[test]
    fn the_longest_name_up_to_a_hyphen_wins() {
        let prices = Prices::default();
        let output = |model: &str| {
            let price = prices.of(model);
            (price.rates.output, price.known)
        };
        assert_eq!(output("claude-opus-4-8"), (25_000_000, true));
        assert_eq!(output("claude-opus-4-20250514"), (75_000_000, true));
        assert_eq!(output("claude-opus-4-1-20250805"), (75_000_000, true));
        assert_eq!(output("claude-opus-5-5"), (20_000_000, true));
        assert_eq!(output("claude-opus-45"), (75_000_000, false));
        assert_eq!(output("glm-9"), (75_000_000, false));
    }

    #[test]
    fn a_cost_is_exact_and_rounded_up_once() {
        let opus = Prices::default().of("claude-opus-4-8");
        let tokens = Tokens {
            input: 1,
            output: 1,
            cache_read: 1,
            cache_creation: 1,
            cache_creation_hour: 1,
        };
        // 5 + 25 + 0.5 + 6.25 + 10
        assert_eq!(opus.cost(&tokens), 47);
        assert_eq!(opus.cost(&Tokens::default()), 0);
        let haiku = Prices::default().of("claude-haiku-5-5");
        let of = |input| Tokens {
            input,
            output: 10,
            ..Tokens::default()
        };
        // All of a request is dearer once its prompt is too long.
        assert_eq!(haiku.cost(&of(100_000)), 10_005);
        assert_eq!(haiku.cost(&of(100_001)), 50_026);
    }

    #[test]
    fn nothing_costs_more_than_its_worst_case() {
        let prices = Prices::default();
        for model in [
            "claude-opus-4-8",
            "claude-haiku-5-5",
            "claude-sonnet-4-5",
            "?",
        ] {
            let price = prices.of(model);
            for prompt in [0_u64, 1, 99_999, 100_001, 250_000] {
                for (caching, at) in [
                    (Caching::None, 0),
                    (Caching::Minutes, 1),
                    (Caching::Hour, 2),
                ] {
                    // All but a token of it as dear as it can be.
                    let dear = prompt.saturating_sub(1);
                    let tokens = Tokens {
                        input: if at == 0 { dear } else { 0 },
                        cache_read: prompt - dear,
                        cache_creation: if at == 1 { dear } else { 0 },
                        cache_creation_hour: if at == 2 { dear } else { 0 },
                        output: 777,
                    };
                    let worst = price.worst(prompt, caching, 777);
                    assert!(price.cost(&tokens) <= worst, "{model} {prompt} {caching:?}");
                    let affords = price.affords(prompt, caching, worst);
                    assert!(affords >= 777, "{model} {prompt}: {affords}");
                    let dear = price.worst(prompt, caching, affords);
                    assert!(dear <= worst, "{model} {prompt}: {dear} > {worst}");
                }
            }
        }
    }

    #[test]
    fn a_table_that_is_none_is_refused_with_the_culprit() {
        let row = |line: &str| {
            format!(
                "[[model]]\nname = \"m\"\n{line}\noutput = 1.0\ncache_read = 1.0\ncache_write = 1.0\n\
                 cache_write_hour = 1.0\ncontext = 1\n"
            )
        };
        let twice = row("input = 1.0") + &row("input = 2.0");
        for (text, culprit) in [
            (String::new(), "there is no [[model]]"),
            (row("input = -1.0"), "model `m`: input must be"),
            (row("input = nan"), "model `m`: input must be"),
            (row("input = 1.0\nprice = 3"), "unknown field `price`"),
            (row(""), "missing field `input`"),
            (twice, "model `m` is there twice"),
        ] {
            let error = Prices::parse(&text).unwrap_err().to_string();
            assert!(error.contains(culprit), "{error}");
        }
    }
}
