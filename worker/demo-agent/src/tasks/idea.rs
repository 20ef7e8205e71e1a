//! The idea: title, theme, pitch. It settles no number.

use super::{IDEA, Job, Made, written};
use crate::bank::{self, Archetype};
use crate::error::Error;
use crate::folder::Folder;
use crate::forms::Idea;
use crate::palette;
use crate::words;

pub(super) fn make(job: &Job, _: &Folder) -> Result<Made, Error> {
    let named = job
        .param("theme")
        .and_then(words::theme)
        .or_else(|| words::theme(&job.name));
    let archetype = bank::archetype(named.as_deref().unwrap_or_default(), &job.choices);
    let theme = named.unwrap_or_else(|| archetype.theme.to_owned());
    let title = title(&theme, archetype, job);
    let colours = palette::around(hue(archetype, job), archetype.dark);
    let idea = Idea {
        pitch: words::shorten(&pitch(&title, &theme, archetype), 600),
        genre: words::shorten(job.param("genre").unwrap_or("incremental"), 60),
        player_goal: format!(
            "Turn a first small step in {} into a place that runs by itself.",
            archetype.place
        ),
        core_loop: vec![
            format!("{} by hand", archetype.action),
            format!(
                "Spend what comes in on {} and friends",
                archetype.sources[0].to_lowercase()
            ),
            "Watch the amounts grow while you decide what is next".to_owned(),
            "Save up for the boosts that change the pace".to_owned(),
        ],
        tone: archetype.tone.to_owned(),
        palette: vec![
            colours.background,
            colours.surface,
            colours.text,
            colours.accent,
            colours.accent_text,
        ],
        title,
        theme,
    };
    let summary = format!(
        "The idea is {:?}, {}, set in {}.",
        idea.title, idea.tone, archetype.place
    );
    written(IDEA, &idea, summary)
}

/// The archetype's colour, moved a little for each job.
pub(super) fn hue(archetype: &Archetype, job: &Job) -> u16 {
    let shift = u16::try_from(job.choices.of("hue").below(71)).unwrap_or(0);
    (archetype.hue + 360 + shift - 35) % 360
}

fn title(theme: &str, archetype: &Archetype, job: &Job) -> String {
    let mut choices = job.choices.of("title");
    // "Cozy Bakery & Bakery" would be a poor title.
    let unsaid = |noun: &&str| !theme.to_lowercase().contains(&noun.to_lowercase());
    let nouns = choices.shuffled(&archetype.nouns);
    let mut nouns = nouns.into_iter().filter(unsaid);
    let (noun, other) = (
        nouns.next().unwrap_or("Beginning"),
        nouns.next().unwrap_or("End"),
    );
    let theme = words::title_case(theme);
    let title = match choices.below(5) {
        0 => format!("{theme}: The {noun}"),
        1 => format!("The {noun} of {theme}"),
        2 => format!("{theme} & {noun}"),
        3 => format!("{theme}: {noun} and {other}"),
        _ => format!("{theme}, a {noun} Story"),
    };
    words::shorten(&title, 60)
}

fn pitch(title: &str, theme: &str, archetype: &Archetype) -> String {
    format!(
        "{title} is a small game of patience about {theme}. You start alone in {place} with one thing to do: \
         {action}. Soon the {first} helps, then the {last}, and what began by hand hums along without you. \
         It takes a few minutes, it can be won, and it stays {tone} to the end.",
        place = archetype.place,
        action = archetype.action.to_lowercase(),
        first = archetype.sources[0].to_lowercase(),
        last = archetype.sources[3].to_lowercase(),
        tone = archetype.tone,
    )
}
