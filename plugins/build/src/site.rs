//! Looks through all of `site/`: sizes, the page itself, and what each file refers to. It runs
//! none of it, so it can't say whether the game is any fun, or works.

use crate::outside::{self, Target};
use crate::page::{Page, Reference};
use gantry_sdk::{FileError, Job, Problems, clip};
use std::collections::{BTreeMap, BTreeSet};

/// What the phase leaves in the workspace.
pub(crate) const ENTRY: &str = "site/index.html";
/// Staged before the first attempt.
pub(crate) const STARTER: &str = include_str!("starter.html");

/// Stands wherever the starter page wants something.
const FILL_IN: &str = "FILL IN:";
const SITE_BYTES: u64 = 5 << 20;
const SITE_FILES: usize = 200;
const TAGS: [&str; 5] = ["html", "head", "title", "body", "script"];
const IDS: [&str; 3] = ["action", "score", "win"];

/// Tells all that is wrong with the site. `upgrades` are the ids that the design names.
pub(crate) fn check(job: &Job, max_bytes: u64, upgrades: &[String], problems: &mut Problems) {
    match read(job, max_bytes, problems) {
        Ok(site) if problems.is_empty() => site.look(upgrades, problems),
        Ok(_) => {}
        Err(error) => problems.file(&error),
    }
}

/// What is wrong with a site of one page.
pub(crate) fn of_page(html: &str) -> Problems {
    let mut problems = Problems::new();
    let paths = BTreeSet::from([ENTRY.to_owned()]);
    let texts = BTreeMap::from([(ENTRY.to_owned(), html.to_owned())]);
    Site { paths, texts }.look(&[], &mut problems);
    problems
}

/// The names of all files, and the content of those that can refer to others.
struct Site {
    paths: BTreeSet<String>,
    texts: BTreeMap<String, String>,
}

/// Reads what is to be looked at, unless it is too much.
fn read(job: &Job, max_bytes: u64, problems: &mut Problems) -> Result<Site, FileError> {
    let paths = list(job, problems)?;
    let mut texts = BTreeMap::new();
    texts.insert(ENTRY.to_owned(), job.read_text(ENTRY, max_bytes)?);
    if problems.is_empty() {
        for path in paths
            .iter()
            .filter(|path| is_text(path) && path.as_str() != ENTRY)
        {
            texts.insert(path.clone(), job.read_text(path, SITE_BYTES)?);
        }
    }
    Ok(Site { paths, texts })
}

/// All files, at most the allowed number and bytes.
fn list(job: &Job, problems: &mut Problems) -> Result<BTreeSet<String>, FileError> {
    let mut files = BTreeSet::new();
    let mut bytes = 0_u64;
    for file in job.files("site") {
        let file = match file {
            Ok(file) => file,
            Err(FileError::Missing(_)) => return Err(FileError::Missing(ENTRY.to_owned())),
            Err(error) => return Err(error),
        };
        bytes = bytes.saturating_add(file.size);
        if files.len() == SITE_FILES {
            problems.add(
                "site/",
                format_args!(
                    "has more than {SITE_FILES} files: leave out what the page doesn't need"
                ),
            );
            break;
        }
        files.insert(file.path);
    }
    if bytes > SITE_BYTES {
        problems.add(
            "site/",
            format_args!("has {bytes} bytes; at most {SITE_BYTES} are allowed"),
        );
    }
    Ok(files)
}

impl Site {
    fn look(&self, upgrades: &[String], problems: &mut Problems) {
        let html = self.texts.get(ENTRY).map_or("", String::as_str);
        let page = Page::read(html);
        if let Some(what) = unfinished(html) {
            problems.add(ENTRY, what);
        }
        structure(&page, problems);
        let mut code = page.scripts.clone();
        for (path, content) in &self.texts {
            self.references(path, content, problems);
            if is_script(path) {
                code.push_str(content);
            }
        }
        behaviour(&page, &code, problems);
        let named = |id: &str| self.texts.values().any(|text| text.contains(id));
        for id in upgrades.iter().filter(|id| !named(id)) {
            problems.add(
                ENTRY,
                format_args!("lacks the upgrade {id:?} of design/progression.json"),
            );
        }
    }

    /// What one file refers to: nothing outside, and only what is there.
    fn references(&self, path: &str, content: &str, problems: &mut Problems) {
        if is_script(path) {
            return addresses(path, content, problems);
        }
        if has_ending(path, &["css"]) {
            return outside::in_style(content).for_each(|to| self.reference(path, to, problems));
        }
        let page = Page::read(content);
        addresses(path, &page.scripts, problems);
        for Reference { at, to } in &page.references {
            self.reference(path, (at, to), problems);
        }
        outside::in_style(&page.styles).for_each(|to| self.reference(path, to, problems));
    }

    fn reference(&self, path: &str, (at, to): (&str, &str), problems: &mut Problems) {
        let shown = clip(to, 80);
        match outside::target(path.strip_prefix("site/").unwrap_or(path), to) {
            Target::Outside => {
                problems.add(path, format_args!("{at} leads outside the site: {shown:?}"));
            }
            Target::File(name) if !self.paths.contains(&format!("site/{name}")) => {
                problems.add(
                    path,
                    format_args!("{at} leads to {shown:?}, which isn't there"),
                );
            }
            Target::File(_) | Target::Nowhere => {}
        }
    }
}

fn addresses(path: &str, script: &str, problems: &mut Problems) {
    for address in outside::in_script(script) {
        let address = clip(&address, 80);
        problems.add(
            path,
            format_args!("its script uses {address:?}: there is no network"),
        );
    }
}

/// Whether it is still the starter page, or has a piece of it left.
fn unfinished(html: &str) -> Option<String> {
    if html.split_whitespace().eq(STARTER.split_whitespace()) {
        return Some("is still the starter page: build the game into it".to_owned());
    }
    let (at, _) = html.match_indices(FILL_IN).next()?;
    let note = html[at..].split(['<', '\n']).next().unwrap_or_default();
    let line = html[..at].matches('\n').count() + 1;
    Some(format!(
        "has {} notes of the starter page left, the first in line {line}: {:?}",
        html.matches(FILL_IN).count(),
        clip(note.trim(), 60)
    ))
}

fn structure(page: &Page, problems: &mut Problems) {
    if !page.doctype {
        problems.add(ENTRY, "doesn't begin with <!doctype html>");
    }
    for tag in TAGS.into_iter().filter(|tag| !page.tags.contains(*tag)) {
        problems.add(ENTRY, format_args!("has no <{tag}>"));
    }
    if page.tags.contains("title") && page.title.is_empty() {
        problems.add(ENTRY, "has an empty <title>");
    }
    if page.tags.contains("base") {
        problems.add(
            ENTRY,
            "has a <base>: references must be relative to the page",
        );
    }
    if !page.viewport {
        problems.add(
            ENTRY,
            "has no <meta name=\"viewport\">: a phone would show it tiny",
        );
    }
    for what in &page.unclosed {
        problems.add(ENTRY, what);
    }
    for id in IDS {
        match page.ids.get(id).map_or(&[][..], Vec::as_slice) {
            [] => problems.add(ENTRY, format_args!("has no element with id=\"{id}\"")),
            [tag] if id == "action" && tag != "button" => {
                problems.add(
                    ENTRY,
                    format_args!("has id=\"action\" on a <{tag}>: it must be a <button>"),
                );
            }
            [_] => {}
            more => problems.add(ENTRY, format_args!("has id=\"{id}\" {} times", more.len())),
        }
    }
}

/// What can be seen of the game's behaviour without running it.
fn behaviour(page: &Page, code: &str, problems: &mut Problems) {
    if code.trim().is_empty() {
        problems.add(ENTRY, "has no script: nothing can be played");
    } else if !code.contains("localStorage") {
        problems.add(ENTRY, "never uses localStorage: the game must be kept");
    }
    let from_script =
        code.contains("upgrade") && (code.contains("data-id") || code.contains("dataset"));
    if page.upgrades.is_empty() && !from_script {
        problems.add(
            ENTRY,
            "has no <button class=\"upgrade\" data-id=\"ID\">, nor a script that makes one",
        );
    }
}

fn is_script(path: &str) -> bool {
    has_ending(path, &["js", "mjs"])
}

fn is_text(path: &str) -> bool {
    is_script(path) || has_ending(path, &["html", "htm", "css", "svg"])
}

fn has_ending(path: &str, endings: &[&str]) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, has)| endings.iter().any(|e| has.eq_ignore_ascii_case(e)))
}
