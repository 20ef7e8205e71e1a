//! The plan: what the build does in which order, from the idea and the design. It
//! adds nothing that the design doesn't hold.

use super::{CURRENCIES, IDEA, INTERFACE, Job, Made, PAGE, PLAN, PROGRESSION, written};
use crate::error::Error;
use crate::folder::Folder;
use crate::forms::{Currencies, Idea, Interface, Plan, Progression, Step};

pub(super) fn make(_: &Job, folder: &Folder) -> Result<Made, Error> {
    let idea: Idea = folder.read(IDEA)?;
    let Currencies { currencies } = folder.read(CURRENCIES)?;
    let progression: Progression = folder.read(PROGRESSION)?;
    let interface: Interface = folder.read(INTERFACE)?;
    let names = currencies
        .iter()
        .map(|currency| currency.name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let label = &interface.action.label;
    let step = |id: &str, title: String, detail: String, done_when: String| Step {
        id: id.to_owned(),
        title,
        detail,
        done_when,
    };
    let plan = Plan {
        steps: vec![
            step(
                "page",
                format!("Lay out {}", idea.title),
                format!(
                    "One page, {}, in the palette of the design.",
                    interface.layout.to_lowercase()
                ),
                "it can be read on a phone and with the keyboard".to_owned(),
            ),
            step(
                "amounts",
                "Count what the player has".to_owned(),
                format!("Amounts for {names}, with names, symbols and what comes in each second."),
                "every currency of the design is shown".to_owned(),
            ),
            step(
                "action",
                format!("Make \"{label}\" work"),
                format!(
                    "The button earns by hand and answers: {}",
                    interface.action.feedback
                ),
                "one press changes the score".to_owned(),
            ),
            step(
                "upgrades",
                format!("Offer the {} upgrades", progression.upgrades.len()),
                "Each shows its price, its level and what it does; prices grow as designed."
                    .to_owned(),
                "an upgrade can be bought as soon as it can be paid".to_owned(),
            ),
            step(
                "goal",
                "Tell the story and end it".to_owned(),
                format!(
                    "{} milestones on the way, then: {}",
                    progression.milestones.len(),
                    progression.win.text
                ),
                "the goal can be reached within minutes".to_owned(),
            ),
            step(
                "keep",
                "Remember the game".to_owned(),
                "Save in the browser, and let the player start over.".to_owned(),
                "a reload goes on where the player was".to_owned(),
            ),
        ],
        files: vec![PAGE.to_owned()],
        checks: vec![
            format!("the page's title is {}", idea.title),
            format!("the button says {label}"),
            format!(
                "there are {} upgrades, each with its price",
                progression.upgrades.len()
            ),
            "nothing is loaded from anywhere else".to_owned(),
            "the win is shown when the goal is reached".to_owned(),
        ],
    };
    let summary = format!(
        "The plan has {} steps and {} checks.",
        plan.steps.len(),
        plan.checks.len()
    );
    written(PLAN, &plan, summary)
}
