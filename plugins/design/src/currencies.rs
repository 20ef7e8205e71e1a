//! The form of `design/currencies.json`. What is done with a currency is for `progression`.

use gantry_sdk::{Node, Problems};
use serde_json::Value;
use std::collections::BTreeSet;

/// Where it is.
pub(crate) const FILE: &str = "design/currencies.json";

/// What the other documents need of a currency. The first is the one that the action earns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Currency {
    pub(crate) id: String,
    pub(crate) start: f64,
}

/// Tells all that is wrong; the currencies that can be referred to.
pub(crate) fn check(value: &Value, problems: &mut Problems) -> Vec<Currency> {
    let root = Node::root(FILE, value).object(problems);
    let mut seen = BTreeSet::new();
    let mut currencies = Vec::new();
    for item in root.key("currencies").list(1..=4, problems) {
        let item = item.object(problems);
        let id = item.key("id").slug(problems);
        item.key("name").text(1..=2_000, problems);
        item.key("symbol").text(1..=4, problems);
        item.key("description").text(1..=2_000, problems);
        let start = item
            .key("start")
            .number("a number, 0 or more", |n| n >= 0.0, problems);
        item.key("earned_by").text(1..=2_000, problems);
        if let Some(id) = id {
            if !seen.insert(id) {
                problems.add(
                    item.key("id").place(),
                    format_args!("{id:?} is there twice"),
                );
            } else {
                currencies.push(Currency {
                    id: id.to_owned(),
                    start: start.unwrap_or(0.0),
                });
            }
        }
    }
    currencies
}
