//! What a command prints: JSON as it came, or lines for people. Much of it an agent wrote, so a
//! terminal is told nothing but text. That nobody reads it is an error like any other here.

mod changes;
mod plain;

pub(crate) use changes::changes;
pub(crate) use plain::plain;

use plain::{escaped, one_line};
use serde_json::Value;
use std::io::{self, Write as _};

/// Prints an answer as JSON, or as `lines` says it.
pub(crate) fn answer(
    json: bool,
    value: &Value,
    lines: impl Fn(&Value) -> String,
) -> io::Result<()> {
    if json {
        line(&escaped(&value.to_string()))
    } else {
        line(plain(&lines(value)).trim_end())
    }
}

/// Prints one line.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A field's text in one line, so that it can't pass for a line of its own.
fn text(value: &Value, key: &str) -> String {
    one_line(value[key].as_str().unwrap_or("-"))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value["items"].as_array().into_iter().flatten()
}

/// A line a job.
pub(crate) fn jobs(page: &Value) -> String {
    let line = |job: &Value| {
        format!(
            "{}  {:9}  {:8}  {}\n",
            text(job, "id"),
            text(job, "status"),
            text(job, "phase"),
            text(job, "name")
        )
    };
    let lines: String = items(page).map(line).collect();
    if lines.is_empty() {
        "no jobs".to_owned()
    } else {
        lines
    }
}

/// What became of many jobs: a line for each that was, or would be, acted on, and for each that
/// was skipped.
pub(crate) fn many(verb: &str, sum: &Value) -> String {
    let mut lines = String::new();
    for id in sum["ids"].as_array().into_iter().flatten() {
        lines.push_str(id.as_str().unwrap_or("-"));
        lines.push('\n');
    }
    let skipped = sum["skipped"].as_array().map_or(0, Vec::len);
    for job in sum["skipped"].as_array().into_iter().flatten() {
        lines.push_str(&format!(
            "{}  skipped: {}\n",
            text(job, "id"),
            text(job, "why")
        ));
    }
    let (matched, done) = (&sum["matched"], &sum["done"]);
    lines.push_str(&match sum["dry_run"] == true {
        true => format!("{matched} matched; nothing was done (--dry-run)\n"),
        false => format!("{matched} matched; {verb}: {done} done, {skipped} skipped\n"),
    });
    lines
}

/// A line for each thing that would be cleared away.
pub(crate) fn doomed(answer: &Value) -> String {
    let line = |doomed: &Value| {
        format!(
            "{:12}  {}  {}\n",
            text(doomed, "what"),
            text(doomed, "id"),
            text(doomed, "why")
        )
    };
    let lines: String = items(answer).map(line).collect();
    if lines.is_empty() {
        "nothing would be removed".to_owned()
    } else {
        lines
    }
}

/// A job, with a line a phase.
pub(crate) fn job(job: &Value) -> String {
    let mut lines = format!(
        "{}  {}  {}\n",
        text(job, "id"),
        text(job, "status"),
        text(job, "name")
    );
    for phase in job["phases"].as_array().into_iter().flatten() {
        let attempts = phase["attempts"].as_array().map_or(0, Vec::len);
        lines.push_str(&format!(
            "  {:12} {:9} {attempts} attempt(s){}\n",
            text(phase, "id"),
            text(phase, "status"),
            spent(&phase["budget"])
        ));
    }
    let all = spent(&job["budget"]);
    if !all.is_empty() {
        lines.push_str(&format!("  in all{all}\n"));
    }
    if job["wait"].is_object() {
        let wait = &job["wait"];
        let until = wait["until"].as_str().map(|at| format!(" until {at}"));
        lines.push_str(&format!(
            "  waits ({}){}: {}\n",
            text(wait, "reason"),
            until.unwrap_or_default(),
            text(wait, "message")
        ));
    }
    if let Some(error) = job["error"].as_object() {
        let said = |key: &str| {
            let said = error.get(key).and_then(Value::as_str);
            one_line(said.unwrap_or_default())
        };
        lines.push_str(&format!("  {}: {}\n", said("kind"), said("message")));
    }
    if let Some(url) = job["site"]["url"].as_str() {
        lines.push_str(&format!("  {url}\n"));
    }
    lines
}

/// A line a limit or pause.
/// What was spent of what may be; empty where there is nothing to say.
fn spent(budget: &Value) -> String {
    let (spent, limit) = (&budget["spent_usd"], budget["limit_usd"].as_str());
    match (spent.as_str(), limit) {
        (None | Some("0.00"), None) => String::new(),
        (spent, limit) => {
            let of = limit
                .map(|limit| format!(" of {limit}"))
                .unwrap_or_default();
            let near = if budget["near"] == true {
                ", nearly used up"
            } else {
                ""
            };
            format!(", {}{of} dollars{near}", spent.unwrap_or("0.00"))
        }
    }
}

/// What a day has cost.
pub(crate) fn budgets(today: &Value) -> String {
    let shown = |name: &str, budget: &Value| {
        let said = spent(budget);
        let said = said.trim_start_matches(", ");
        let said = if said.is_empty() { "nothing" } else { said };
        format!("{name:20} {said}\n")
    };
    let mut lines = shown(&text(today, "day"), &today["all"]);
    for (group, budget) in today["groups"].as_object().into_iter().flatten() {
        lines.push_str(&shown(&format!("  {}", one_line(group)), budget));
    }
    lines
}

pub(crate) fn gates(page: &Value) -> String {
    let lines: String = items(page).map(gate).collect();
    if lines.is_empty() {
        "no limits and no pauses".to_owned()
    } else {
        lines
    }
}

/// One line.
pub(crate) fn gate(gate: &Value) -> String {
    let most = &gate["concurrency"];
    let at_once = if most.is_null() {
        "no limit".to_owned()
    } else {
        format!("{most} at once")
    };
    let rate = &gate["rate"];
    let rate = match rate.is_object() {
        true => format!(", {} in {} s", rate["jobs"], rate["seconds"]),
        false => String::new(),
    };
    let paused = if gate["paused"] == true {
        ", paused"
    } else {
        ""
    };
    // A token that is bound to groups isn't told of others' jobs.
    let jobs = match gate["running"].is_null() {
        true => String::new(),
        false => format!(
            "; {} have a place, {} wait",
            gate["running"], gate["waiting"]
        ),
    };
    format!(
        "{:8}  {:16}  {at_once}{rate}{paused}{jobs}\n",
        text(gate, "kind"),
        text(gate, "name"),
    )
}

/// A line a token.
pub(crate) fn tokens(page: &Value) -> String {
    let line = |token: &Value| {
        let state = match (token["revoked_at"].as_str(), token["last_used_at"].as_str()) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) => format!("used {at}"),
            (None, None) => "never used".to_owned(),
        };
        format!(
            "{:12}  {:16}  {}  {}; {state}\n",
            text(token, "id"),
            text(token, "name"),
            words(&token["scopes"]).join(","),
            groups(token),
        )
    };
    let lines: String = items(page).map(line).collect();
    if lines.is_empty() {
        "no tokens".to_owned()
    } else {
        lines
    }
}

/// The token alone on the first line, and what it is.
pub(crate) fn fresh_token(token: &Value) -> String {
    format!(
        "{}\nid {}, for {}, {}. It is shown this once.\n",
        text(token, "token"),
        text(token, "id"),
        words(&token["scopes"]).join(", "),
        groups(token),
    )
}

fn groups(token: &Value) -> String {
    match token["groups"].is_array() {
        true => format!("groups {}", words(&token["groups"]).join(", ")),
        false => "all groups".to_owned(),
    }
}

fn words(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}

/// One line.
pub(crate) fn event(event: &Value) -> String {
    let data = &event["data"];
    let about = ["message", "text", "about", "task"]
        .iter()
        .find_map(|key| data[*key].as_str());
    let resumed = match data["resume"] == true {
        true => ", goes on with its session",
        false => "",
    };
    format!(
        "{:18} {:8} {}{resumed}",
        text(event, "type"),
        event["phase"].as_str().unwrap_or(""),
        one_line(about.unwrap_or(""))
    )
}

/// One line.
pub(crate) fn log_line(line: &Value) -> String {
    format!(
        "{} {:8} {:5} {}",
        text(line, "at"),
        text(line, "phase"),
        text(line, "level"),
        text(line, "text")
    )
}

/// A line a plugin, and one a refused file.
pub(crate) fn plugins(page: &Value) -> String {
    let mut lines = String::new();
    for plugin in items(page) {
        lines.push_str(&format!(
            "{:14} {:8} {:11} {:.12}  {} calls, {} faults\n",
            text(plugin, "name"),
            text(plugin, "version"),
            text(plugin, "state"),
            text(plugin, "digest"),
            plugin["calls"],
            plugin["faults"],
        ));
    }
    for refused in page["refused"].as_array().into_iter().flatten() {
        lines.push_str(&format!(
            "refused: {}: {}\n",
            text(refused, "file"),
            text(refused, "reason")
        ));
    }
    if lines.is_empty() {
        "no plugins".to_owned()
    } else {
        lines
    }
}

/// A line a finding.
pub(crate) fn findings(answer: &Value) -> String {
    let line = |finding: &Value| {
        let mark = match (&finding["ok"], &finding["weak"]) {
            (Value::Bool(true), Value::Bool(true)) => "weak ",
            (Value::Bool(true), _) => "ok   ",
            _ => "WRONG",
        };
        format!(
            "{mark} {:16} {}\n",
            text(finding, "what"),
            // Its own words, on several lines now and then.
            finding["said"].as_str().unwrap_or("-")
        )
    };
    answer["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .map(line)
        .collect()
}
