//! The design: currencies, progression and interface, each from the idea and from
//! what was designed before it. It draws nothing.

use super::{CURRENCIES, IDEA, INTERFACE, Job, Made, PROGRESSION, idea, written};
use crate::bank::{self, QUALITIES};
use crate::error::Error;
use crate::folder::Folder;
use crate::forms::{
    Action, Amount, Colours, Currencies, Currency, Effect, Idea, Interface, Kind, Messages,
    Milestone, Progression, Screen, Upgrade, Win,
};
use crate::palette;
use crate::words;

pub(super) fn currencies(job: &Job, folder: &Folder) -> Result<Made, Error> {
    let idea: Idea = folder.read(IDEA)?;
    let archetype = bank::archetype(&idea.theme, &job.choices);
    let mut choices = job.choices.of("currencies");
    let count = 2 + choices.below(2);
    let coins = choices.shuffled(&archetype.coins);
    let qualities = choices.shuffled(QUALITIES);
    let made = coins.iter().zip(qualities).take(count).enumerate();
    let currencies = made
        .map(|(at, ((name, symbol, description), quality))| {
            let name = format!("{quality} {}", name.to_lowercase());
            Currency {
                id: words::slug(&name),
                name,
                symbol: (*symbol).to_owned(),
                description: format!("{description}."),
                start: 0.0,
                earned_by: match at {
                    0 => format!("{}, and later by itself", archetype.action),
                    _ => "What you build brings it in, second by second".to_owned(),
                },
            }
        })
        .collect::<Vec<_>>();
    let names = currencies
        .iter()
        .map(|currency| currency.name.as_str())
        .collect::<Vec<_>>();
    let summary = format!("{} runs on {}.", idea.title, names.join(" and "));
    written(CURRENCIES, &Currencies { currencies }, summary)
}

/// What costs how much of the first currency, and what it does. The numbers make a
/// game of a few minutes: see the test that plays one.
const LADDER: &[(Kind, f64, f64, f64)] = &[
    (Kind::PerClick, 15.0, 1.5, 1.0),
    (Kind::PerSecond, 25.0, 1.25, 1.0),
    (Kind::PerClick, 140.0, 1.6, 5.0),
    (Kind::PerSecond, 180.0, 1.3, 6.0),
    (Kind::PerSecond, 1100.0, 1.3, 32.0),
];

pub(super) fn progression(job: &Job, folder: &Folder) -> Result<Made, Error> {
    let idea: Idea = folder.read(IDEA)?;
    let Currencies { currencies } = folder.read(CURRENCIES)?;
    let archetype = bank::archetype(&idea.theme, &job.choices);
    let mut choices = job.choices.of("progression");
    let mut tools = choices.shuffled(&archetype.tools).into_iter();
    let mut boosts = choices.shuffled(&archetype.boosts).into_iter();
    // Small ones come first, so their order stays; one is left out each time.
    let left_out = choices.below(archetype.sources.len() - 1);
    let mut sources = archetype
        .sources
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != left_out);
    let [first, others @ ..] = currencies.as_slice() else {
        return Err(missing_currency());
    };
    let mut upgrades = Vec::new();
    for (kind, cost, growth, value) in LADDER {
        let name = match kind {
            Kind::PerClick => tools.next(),
            _ => sources.next().map(|(_, name)| *name),
        };
        upgrades.extend(
            name.map(|name| upgrade(name, (first, *cost), *growth, (*kind, first, *value))),
        );
    }
    for (at, other) in others.iter().take(2).enumerate() {
        let scale = if at == 0 { 1.0 } else { 3.0 };
        let name = sources
            .next()
            .map_or_else(|| tools.next(), |(_, name)| Some(*name));
        let source = name.map(|name| {
            upgrade(
                name,
                (first, 250.0 * scale),
                1.35,
                (Kind::PerSecond, other, 0.5),
            )
        });
        upgrades.extend(source);
        let boost = |name, cost, growth| {
            upgrade(name, (other, cost), growth, (Kind::Multiplier, first, 1.5))
        };
        upgrades.extend(boosts.next().map(|name| boost(name, 12.0 * scale, 2.2)));
    }
    let win_at = [9_000.0, 10_000.0, 12_000.0, 15_000.0];
    let win = choices.one(&win_at);
    let progression = Progression {
        milestones: milestones(&idea, first, win),
        win: Win {
            currency: first.id.clone(),
            amount: win,
            text: format!(
                "{} {}: {} is in good hands.",
                amount(win),
                first.name.to_lowercase(),
                archetype.place
            ),
        },
        upgrades,
    };
    let summary = format!(
        "{} upgrades lead to {} {}.",
        progression.upgrades.len(),
        amount(win),
        first.name
    );
    written(PROGRESSION, &progression, summary)
}

fn missing_currency() -> Error {
    Error::Form {
        path: CURRENCIES.to_owned(),
        source: serde::de::Error::invalid_length(0, &"at least one currency"),
    }
}

fn upgrade(
    name: &str,
    (paid, cost): (&Currency, f64),
    growth: f64,
    effect: (Kind, &Currency, f64),
) -> Upgrade {
    let (kind, currency, value) = effect;
    let gain = currency.name.to_lowercase();
    let description = match kind {
        Kind::PerClick => format!("{value} more {gain} each time by hand."),
        Kind::PerSecond => format!("Brings {value} {gain} each second."),
        Kind::Multiplier => format!("All {gain} times {value}."),
    };
    Upgrade {
        id: words::slug(name),
        name: name.to_owned(),
        description,
        cost: Amount {
            currency: paid.id.clone(),
            amount: cost,
        },
        cost_growth: growth,
        effect: Effect {
            kind,
            currency: currency.id.clone(),
            value,
        },
    }
}

fn milestones(idea: &Idea, first: &Currency, win: f64) -> Vec<Milestone> {
    let name = first.name.to_lowercase();
    let texts = [
        (20.0, format!("The first {name}. Somebody nearby looks up.")),
        (200.0, format!("Word of {} gets around.", idea.title)),
        (
            1_000.0,
            format!("A thousand {name}. It no longer feels small."),
        ),
        (
            win / 2.0,
            "Halfway there, and it runs almost by itself.".to_owned(),
        ),
    ];
    let made = texts.into_iter().map(|(at, text)| Milestone {
        at: Amount {
            currency: first.id.clone(),
            amount: at,
        },
        text,
    });
    made.collect()
}

/// 12000 as "12,000".
fn amount(value: f64) -> String {
    let digits = format!("{value:.0}");
    let split = digits.len().saturating_sub(3);
    match digits.split_at(split) {
        ("", rest) => rest.to_owned(),
        (thousands, rest) => format!("{thousands},{rest}"),
    }
}

pub(super) fn interface(job: &Job, folder: &Folder) -> Result<Made, Error> {
    let idea: Idea = folder.read(IDEA)?;
    let archetype = bank::archetype(&idea.theme, &job.choices);
    let colours = match idea.palette.as_slice() {
        [background, surface, text, accent, accent_text] => Colours {
            background: background.clone(),
            surface: surface.clone(),
            text: text.clone(),
            accent: accent.clone(),
            accent_text: accent_text.clone(),
        },
        _ => palette::around(idea::hue(archetype, job), archetype.dark),
    };
    let screen = |id: &str, purpose: &str| Screen {
        id: id.to_owned(),
        purpose: purpose.to_owned(),
    };
    let interface = Interface {
        layout: "One column on a phone; the action beside the upgrades where there is room"
            .to_owned(),
        screens: vec![
            screen(
                "play",
                "The amounts, the action and the upgrades, always in view",
            ),
            screen(
                "won",
                "Says that the goal is reached and lets the player go on",
            ),
            screen("about", "How the game was made, step by step"),
        ],
        action: Action {
            label: words::shorten(archetype.action, 40),
            feedback: format!("{}.", archetype.feedback),
        },
        palette: colours,
        messages: Messages {
            welcome: format!(
                "Welcome to {}. {}, and see what comes of it.",
                idea.title, archetype.action
            ),
            win: format!("You did it. {} will be remembered for this.", idea.title),
        },
    };
    let summary = format!("The one big button says {:?}.", interface.action.label);
    written(INTERFACE, &interface, summary)
}
