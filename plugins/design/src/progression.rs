//! The form of `design/progression.json`, and whether everything in it can be reached. Whether
//! the numbers make a good game is not looked at.

use crate::currencies::Currency;
use gantry_sdk::{Node, Problems};
use serde_json::Value;
use std::collections::BTreeSet;

/// Where it is.
pub(crate) const FILE: &str = "design/progression.json";

const KINDS: [&str; 3] = ["per_click", "per_second", "multiplier"];

/// An amount of a currency, and where it is asked for.
struct Price {
    place: String,
    currency: String,
    amount: f64,
}

struct Upgrade {
    cost: Price,
    /// What it produces from nothing; a multiplier produces nothing.
    produces: Option<String>,
}

/// Tells all that is wrong. Without currencies, those that are named can't be looked up.
pub(crate) fn check(value: &Value, currencies: Option<&[Currency]>, problems: &mut Problems) {
    let root = Node::root(FILE, value).object(problems);
    let mut ids = BTreeSet::new();
    let mut upgrades = Vec::new();
    for item in root.key("upgrades").list(4..=12, problems) {
        let item = item.object(problems);
        item.key("id").unique_id(&mut ids, problems);
        upgrades.extend(upgrade(&item, currencies, problems));
    }
    let mut goals = Vec::new();
    for item in root.key("milestones").list(1..=8, problems) {
        let item = item.object(problems);
        goals.extend(price(
            &item.key("at").object(problems),
            currencies,
            problems,
        ));
        item.key("text").text(1..=2_000, problems);
    }
    let win = root.key("win").object(problems);
    win.key("text").text(1..=2_000, problems);
    let win = price(&win, currencies, problems);
    let Some(currencies) = currencies else { return };
    if let Some(win) = &win
        && currencies
            .iter()
            .any(|has| has.id == win.currency && has.start >= win.amount)
    {
        problems.add(
            &win.place,
            "the player has this much at the start, and wins at once",
        );
    }
    goals.extend(win);
    reach(&upgrades, &goals, currencies, problems);
}

fn upgrade(
    item: &Node<'_>,
    currencies: Option<&[Currency]>,
    problems: &mut Problems,
) -> Option<Upgrade> {
    item.key("name").text(1..=2_000, problems);
    item.key("description").text(1..=2_000, problems);
    let cost = price(&item.key("cost").object(problems), currencies, problems);
    let growth = |n: f64| (1.01..=5.0).contains(&n);
    item.key("cost_growth")
        .number("a number from 1.01 to 5", growth, problems);
    let effect = item.key("effect").object(problems);
    let kind = effect.key("kind").one_of(&KINDS, problems);
    let target = currency(&effect.key("currency"), currencies, problems);
    effect
        .key("value")
        .number("a number above 0", |n| n > 0.0, problems);
    let produces = target.filter(|_| kind != Some("multiplier"));
    Some(Upgrade {
        cost: cost?,
        produces,
    })
}

fn price(at: &Node<'_>, currencies: Option<&[Currency]>, problems: &mut Problems) -> Option<Price> {
    let currency = currency(&at.key("currency"), currencies, problems);
    let amount = at
        .key("amount")
        .number("a number above 0", |n| n > 0.0, problems);
    Some(Price {
        place: at.place(),
        currency: currency?,
        amount: amount?,
    })
}

fn currency(
    at: &Node<'_>,
    currencies: Option<&[Currency]>,
    problems: &mut Problems,
) -> Option<String> {
    let id = match currencies {
        None => at.text(1..=63, problems),
        Some(all) => {
            let ids: Vec<&str> = all.iter().map(|currency| currency.id.as_str()).collect();
            at.one_of(&ids, problems)
        }
    };
    id.map(str::to_owned)
}

/// Buys all that can be bought, again and again, until nothing new is earned; tells what is
/// still out of reach.
fn reach(upgrades: &[Upgrade], goals: &[Price], currencies: &[Currency], problems: &mut Problems) {
    let mut earned: BTreeSet<&str> = currencies
        .first()
        .map(|c| c.id.as_str())
        .into_iter()
        .collect();
    let payable = |price: &Price, earned: &BTreeSet<&str>| {
        let saved = |has: &Currency| has.id == price.currency && has.start >= price.amount;
        earned.contains(price.currency.as_str()) || currencies.iter().any(saved)
    };
    loop {
        let before = earned.len();
        for upgrade in upgrades {
            if payable(&upgrade.cost, &earned) {
                earned.extend(upgrade.produces.as_deref());
            }
        }
        if earned.len() == before {
            break;
        }
    }
    let costs = upgrades.iter().map(|upgrade| &upgrade.cost);
    for price in costs.chain(goals).filter(|price| !payable(price, &earned)) {
        problems.add(
            &price.place,
            format_args!(
                "nothing earns {:?} by then: the action earns {:?}, and any other currency needs \
                 a per_click or per_second upgrade that can be bought before",
                price.currency,
                currencies
                    .first()
                    .map_or("", |currency| currency.id.as_str()),
            ),
        );
    }
}
