//! What guests answer becomes `pipeline` types here, or a sentence that names the field and the
//! limit. It mends nothing: an answer that breaks a rule is refused whole.

use crate::fault::size;
use crate::said::{self, Options};
use pipeline::{Decision, Limits, PlannedTask, SitePlan, StagedFile, Verdict, is_slug};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Bytes of a path.
const PATH_BYTES: usize = 1024;
/// Bytes of a file's name.
const NAME_BYTES: usize = 255;
/// Folders of a path and its file. A workspace that is deeper can't be listed.
const PATH_PARTS: usize = 64;
/// What the names begin with under which the host writes into a workspace.
const HOST_FILES: &str = ".gantry-";
const SLUG: &str = "1 to 63 lowercase letters, digits and hyphens, a letter or digit at both ends";

type Checked<T> = Result<T, String>;

/// The tasks of a phase.
pub(crate) fn tasks(answer: Vec<said::Task>, limits: &Limits) -> Checked<Vec<PlannedTask>> {
    at_most("tasks", answer.len(), limits.tasks)?;
    let mut names = BTreeSet::new();
    let (mut files, mut bytes) = (0_usize, 0_usize);
    let mut tasks = Vec::with_capacity(answer.len());
    for (index, task) in answer.into_iter().enumerate() {
        let at = format!("tasks[{index}]");
        if !names.insert(task.name.clone()) {
            return Err(format!("{at}.name: `{}` is there twice", shown(&task.name)));
        }
        files = files.saturating_add(task.stage.len());
        at_most(
            &format!("{at}.stage: files of all tasks"),
            files,
            limits.staged_files,
        )?;
        for file in &task.stage {
            bytes = bytes.saturating_add(file.content.len());
        }
        at_most_bytes(
            &format!("{at}.stage: files of all tasks"),
            bytes,
            limits.staged_bytes,
        )?;
        tasks.push(self::task(&at, task, limits)?);
    }
    Ok(tasks)
}

fn task(at: &str, task: said::Task, limits: &Limits) -> Checked<PlannedTask> {
    slug(&format!("{at}.name"), &task.name)?;
    if task.prompt.trim().is_empty() {
        return Err(format!("{at}.prompt is empty"));
    }
    at_most_bytes(
        &format!("{at}.prompt"),
        task.prompt.len(),
        limits.prompt_bytes,
    )?;
    let mut stage = Vec::with_capacity(task.stage.len());
    for (index, file) in task.stage.into_iter().enumerate() {
        path(&format!("{at}.stage[{index}].path"), &file.path)?;
        stage.push(StagedFile {
            path: file.path,
            content: file.content,
            executable: file.executable,
        });
    }
    fit_together(at, &stage)?;
    at_most(
        &format!("{at}.expects: files"),
        task.expects.len(),
        limits.staged_files,
    )?;
    for (index, expected) in task.expects.iter().enumerate() {
        path(&format!("{at}.expects[{index}]"), expected)?;
    }
    let options = options(&format!("{at}.options"), task.options, limits)?;
    Ok(PlannedTask {
        name: task.name,
        prompt: task.prompt,
        stage,
        expects: task.expects,
        options,
    })
}

/// Files that would overwrite each other, or be in each other's way, are a mistake of the plugin's.
fn fit_together(at: &str, stage: &[StagedFile]) -> Checked<()> {
    let mut paths = BTreeSet::new();
    for (index, file) in stage.iter().enumerate() {
        if !paths.insert(file.path.as_str()) {
            let path = shown(&file.path);
            return Err(format!("{at}.stage[{index}].path: `{path}` is there twice"));
        }
    }
    for (index, file) in stage.iter().enumerate() {
        let folders = file
            .path
            .match_indices('/')
            .map(|(end, _)| &file.path[..end]);
        if let Some(folder) = folders.into_iter().find(|it| paths.contains(it)) {
            let (path, folder) = (shown(&file.path), shown(folder));
            return Err(format!(
                "{at}.stage[{index}].path: `{path}` is below `{folder}`, which is staged as a file"
            ));
        }
    }
    Ok(())
}

/// What a phase's plugin decided.
pub(crate) fn verdict(answer: said::Verdict, limits: &Limits) -> Checked<Verdict> {
    let options = self::options("options", answer.options, limits)?;
    if options.back_to.is_some() {
        return Err("options.back_to isn't served yet; leave it out".to_owned());
    }
    if let Some(score) = options.score
        && !(0.0..=10.0).contains(&score)
    {
        return Err(format!("options.score: {score} isn't 0 to 10"));
    }
    Ok(Verdict {
        decision: match answer.decision {
            said::Decision::Accept => Decision::Accept,
            said::Decision::Revise => Decision::Revise,
            said::Decision::Reject => Decision::Reject,
        },
        message: cut(answer.message, limits.message_bytes),
        score: options.score,
        fresh_session: options.fresh_session.unwrap_or(false),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanOptions {}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SiteOptions {
    #[serde(default)]
    single_page: bool,
    headers: Option<Value>,
}

/// What is to be published.
pub(crate) fn sites(answer: said::Plan, limits: &Limits) -> Checked<Vec<SitePlan>> {
    json::<PlanOptions>("options", answer.options, limits)?;
    at_most("sites", answer.sites.len(), limits.sites)?;
    let mut slugs = BTreeSet::new();
    let mut sites = Vec::with_capacity(answer.sites.len());
    for (index, site) in answer.sites.into_iter().enumerate() {
        let at = format!("sites[{index}]");
        if !slugs.insert(site.slug.clone()) {
            return Err(format!("{at}.slug: `{}` is there twice", shown(&site.slug)));
        }
        sites.push(self::site(&at, site, limits)?);
    }
    Ok(sites)
}

fn site(at: &str, site: said::Site, limits: &Limits) -> Checked<SitePlan> {
    slug(&format!("{at}.slug"), &site.slug)?;
    if site.title.trim().is_empty() {
        return Err(format!("{at}.title is empty"));
    }
    at_most_bytes(&format!("{at}.title"), site.title.len(), limits.name_bytes)?;
    at_most_bytes(
        &format!("{at}.summary"),
        site.summary.len(),
        limits.message_bytes,
    )?;
    if !site.root.is_empty() {
        path(&format!("{at}.root"), &site.root)?;
    }
    path(&format!("{at}.entry"), &site.entry)?;
    let metadata: Option<Map<String, Value>> =
        json(&format!("{at}.metadata"), site.metadata, limits)?;
    let options: Option<SiteOptions> = json(&format!("{at}.options"), site.options, limits)?;
    let options = options.unwrap_or_default();
    if options.headers.is_some() {
        return Err(format!(
            "{at}.options.headers isn't served yet; leave it out"
        ));
    }
    Ok(SitePlan {
        slug: site.slug,
        // An agent may have written both; what it put there is no fault of the plugin's.
        title: cut(site.title.replace(['\n', '\t'], " "), limits.name_bytes),
        summary: cut(site.summary, limits.message_bytes),
        root: site.root,
        entry: site.entry,
        metadata: metadata.unwrap_or_default(),
        single_page: options.single_page,
    })
}

/// At most `limit` bytes of a text that is for people, without what a terminal would act on.
pub(crate) fn cut(mut text: String, limit: usize) -> String {
    let acts = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(acts) {
        text = text.replace(acts, "\u{fffd}");
    }
    text.truncate(text.floor_char_boundary(limit));
    text
}

fn at_most(what: &str, found: usize, limit: usize) -> Checked<()> {
    match found > limit {
        true => Err(format!(
            "{what}: {found} are more than the limit of {limit}"
        )),
        false => Ok(()),
    }
}

fn at_most_bytes(what: &str, found: usize, limit: usize) -> Checked<()> {
    let most = size(limit);
    match found > limit {
        true => Err(format!(
            "{what}: {found} bytes are more than the limit of {most}"
        )),
        false => Ok(()),
    }
}

fn slug(at: &str, text: &str) -> Checked<()> {
    match is_slug(text) {
        true => Ok(()),
        false => Err(format!("{at}: `{}` must be {SLUG}", shown(text))),
    }
}

/// A path that stays in the workspace by its form. What it leads to is looked at where it is used.
fn path(at: &str, path: &str) -> Checked<()> {
    let wrong = |why: &str| Err(format!("{at}: `{}` {why}", shown(path)));
    if path.is_empty() {
        return wrong("is empty; name a file of the workspace");
    }
    if path.len() > PATH_BYTES {
        return wrong(&format!("is longer than {PATH_BYTES} bytes"));
    }
    if path.starts_with('/') {
        return wrong("is absolute; leave the first `/` out");
    }
    if path.chars().any(char::is_control) {
        return wrong("holds a control character");
    }
    if path.split('/').count() > PATH_PARTS {
        return wrong(&format!("has more than {PATH_PARTS} parts"));
    }
    for part in path.split('/') {
        match part {
            "" => return wrong("has an empty part; leave the doubled or last `/` out"),
            "." | ".." => return wrong("has a part `.` or `..`; name it from the workspace"),
            _ if part.len() > NAME_BYTES => {
                return wrong(&format!("has a part longer than {NAME_BYTES} bytes"));
            }
            _ if part.starts_with(HOST_FILES) => {
                return wrong(&format!(
                    "has a part that begins with `{HOST_FILES}`, as the host's own files do; name \
                     it otherwise"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn json<T: DeserializeOwned>(
    at: &str,
    text: Option<String>,
    limits: &Limits,
) -> Checked<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    at_most_bytes(at, text.len(), limits.params_bytes)?;
    match serde_json::from_str(&text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(format!(
            "{at} isn't the JSON object that is expected: {error}"
        )),
    }
}

fn options<T: DeserializeOwned + Default>(
    at: &str,
    said: Option<Options<T>>,
    limits: &Limits,
) -> Checked<T> {
    match said {
        None => Ok(T::default()),
        Some(Options::Typed(options)) => Ok(options),
        Some(Options::Json(text)) => Ok(json(at, Some(text), limits)?.unwrap_or_default()),
    }
}

/// A guest's text in a message: short, one line.
fn shown(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(100)];
    cut.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests;
