//! The game's one page, made of the files in the workspace: text is escaped where
//! it goes into HTML, data where it goes into a script. It loads nothing.

use serde_json::json;

use crate::error::Error;
use crate::folder::Folder;
use crate::forms::{
    Colours, Currencies, Currency, Idea, Interface, Plan, Progression, Step, Upgrade,
};
use crate::palette;
use crate::tasks::{CURRENCIES, IDEA, INTERFACE, Job, Made, PLAN, PROGRESSION};
use crate::words::{self, Choices};

const TEMPLATE: &str = include_str!("page.html");

pub(crate) fn make(job: &Job, folder: &Folder) -> Result<Made, Error> {
    let idea: Idea = folder.read(IDEA)?;
    let Currencies { currencies } = folder.read(CURRENCIES)?;
    let progression: Progression = folder.read(PROGRESSION)?;
    let interface: Interface = folder.read(INTERFACE)?;
    let plan: Plan = folder.read(PLAN)?;
    let Some(first) = currencies.first() else {
        return Err(Error::Form {
            path: CURRENCIES.to_owned(),
            source: serde::de::Error::invalid_length(0, &"at least one currency"),
        });
    };
    let colours = checked(interface.palette.clone());
    let data = json!({
        "key": format!("game-{}-{}", words::slug(&idea.title), words::slug(&first.id)),
        "currencies": currencies, "upgrades": progression.upgrades,
        "milestones": progression.milestones, "win": progression.win,
        "feedback": interface.action.feedback,
    });
    let content = fill(TEMPLATE, |name| match name {
        "title" => escape(&idea.title),
        "pitch" => escape(&idea.pitch),
        "player_goal" => escape(&idea.player_goal),
        "welcome" => escape(&interface.messages.welcome),
        "win_message" => escape(&interface.messages.win),
        "win_text" => escape(&progression.win.text),
        "action" => escape(&interface.action.label),
        "earned_by" => escape(&first.earned_by),
        "symbol" => escape(&first.symbol),
        "currency" => escape(&first.name),
        "purse" => currencies.iter().skip(1).map(purse_line).collect(),
        "upgrades" => progression
            .upgrades
            .iter()
            .map(|upgrade| button(upgrade, &currencies))
            .collect(),
        "steps" => plan.steps.iter().map(step_line).collect(),
        "scene" => scene(&job.choices.of("scene")),
        "scheme" => palette::scheme(&colours).to_owned(),
        "background" => colours.background.clone(),
        "surface" => colours.surface.clone(),
        "text" => colours.text.clone(),
        "accent" => colours.accent.clone(),
        "accent_text" => colours.accent_text.clone(),
        "data" => script_data(&data.to_string()),
        _ => String::new(),
    });
    let summary = format!(
        "{} can be played: {} upgrades, {} steps of the plan.",
        idea.title,
        progression.upgrades.len(),
        plan.steps.len()
    );
    Ok(Made { content, summary })
}

/// One pass, so that what is filled in is never looked at again.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut page = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        page.push_str(before);
        page.push_str(&value(name));
        rest = after;
    }
    page.push_str(rest);
    page
}

/// For text and for quoted attributes. An address loses its form, not its looks.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '/' => escaped.push_str("&#47;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// JSON that no text in it can end the script element or form an address with.
fn script_data(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('/', "\\/")
}

/// A palette that holds anything but plain colours is left for one that doesn't.
fn checked(colours: Colours) -> Colours {
    let all = [
        &colours.background,
        &colours.surface,
        &colours.text,
        &colours.accent,
        &colours.accent_text,
    ];
    if all.into_iter().all(|colour| palette::is_hex(colour)) {
        colours
    } else {
        palette::around(220, true)
    }
}

fn purse_line(currency: &Currency) -> String {
    format!(
        "<li title=\"{description}\"><span class=\"symbol\" aria-hidden=\"true\">{symbol}</span> {name} <b data-id=\"{id}\">0</b></li>",
        description = escape(&currency.description),
        symbol = escape(&currency.symbol),
        name = escape(&currency.name),
        id = escape(&currency.id),
    )
}

fn button(upgrade: &Upgrade, currencies: &[Currency]) -> String {
    let paid = currencies
        .iter()
        .find(|currency| currency.id == upgrade.cost.currency);
    format!(
        "<button class=\"upgrade\" data-id=\"{id}\"><strong>{name}</strong><span class=\"price\"><span class=\"cost\">{cost}</span> <span class=\"symbol\" title=\"{paid}\">{symbol}</span></span><small>{description} Level <span class=\"level\">0</span>.</small></button>\n",
        id = escape(&upgrade.id),
        name = escape(&upgrade.name),
        cost = upgrade.cost.amount,
        paid = escape(paid.map_or(&upgrade.cost.currency, |currency| &currency.name)),
        symbol = escape(paid.map_or("", |currency| &currency.symbol)),
        description = escape(&upgrade.description),
    )
}

fn step_line(step: &Step) -> String {
    format!(
        "<li><strong>{}</strong><br>{} Done when {}.</li>\n",
        escape(&step.title),
        escape(&step.detail),
        escape(step.done_when.trim_end_matches('.')),
    )
}

/// Hills and a light above them, different for each job.
fn scene(choices: &Choices) -> String {
    let mut choices = choices.clone();
    let mut shapes = format!(
        "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" opacity=\".22\"/>",
        560 + choices.below(340),
        45 + choices.below(40),
        24 + choices.below(26)
    );
    for _ in 0..14 {
        let (x, y, r) = (
            choices.below(1000),
            choices.below(110),
            1 + choices.below(2),
        );
        shapes.push_str(&format!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" opacity=\".35\"/>"
        ));
    }
    for layer in 0..3 {
        let base = 130 + layer * 38;
        let mut line = String::from("M0 272");
        for at in 0..=10 {
            line.push_str(&format!(" L{} {}", at * 100, base + choices.below(60)));
        }
        shapes.push_str(&format!("<path d=\"{line} L1000 272 Z\" opacity=\".08\"/>"));
    }
    format!(
        "<svg class=\"scene\" viewBox=\"0 0 1000 272\" preserveAspectRatio=\"xMidYMax slice\" aria-hidden=\"true\">{shapes}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_in_is_one_pass() {
        let filled = fill("a {{x}} b {{y}} {{", |name| format!("{{{{y}}}}{name}"));
        assert_eq!(filled, "a {{y}}x b {{y}}y {{");
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(escape("<b a='1'>\"&"), "&lt;b a=&#39;1&#39;&gt;&quot;&amp;");
        assert!(!escape("see http://x").contains("http://"));
        let data = script_data(&json!({"a": "</script><!-- https://x"}).to_string());
        assert!(!data.contains("</") && !data.contains("<!--") && !data.contains("://"));
        let read: serde_json::Value = serde_json::from_str(&data).unwrap();
        assert_eq!(read["a"], "</script><!-- https://x");
    }

    #[test]
    fn a_palette_with_anything_else_in_it_is_left() {
        let mut colours = palette::around(10, false);
        assert_eq!(checked(colours.clone()), colours);
        colours.text = "red;}</style><script>".to_owned();
        assert_eq!(checked(colours), palette::around(220, true));
    }
}
