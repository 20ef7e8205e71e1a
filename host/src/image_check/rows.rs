//! What an image must do, row by row, judged by what was seen of its runs. Nothing is run here.

use crate::image_check::model::Asked;
use runner::How;
use serde_json::Value;
use std::time::Duration;

/// How long `SIGTERM` may take.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(10);
/// What a person is told of one row: fine, or what is wrong and how to mend it.
pub(super) type Said = Result<String, String>;

/// What was seen of one run.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// How it ended.
    pub(super) how: How,
    /// `agent.jsonl`, up to a limit; none where it isn't there as a regular file.
    pub(super) output: Option<Vec<u8>>,
    /// `status.json`, the same.
    pub(super) status: Option<Vec<u8>>,
    /// The end of what it wrote for people.
    pub(super) printed: String,
    /// What its model was asked.
    pub(super) asked: Asked,
}

/// What was seen of a run that was told to end.
#[derive(Clone, Debug)]
pub(super) struct Stopped {
    /// As of any other.
    pub(super) seen: Seen,
    /// From the signal to its end; none where it had ended by itself before.
    pub(super) took: Option<Duration>,
    /// `status.json` while it ran, and the number of the file.
    pub(super) before: Option<(Vec<u8>, u64)>,
    /// The number of the file at the end.
    pub(super) after: Option<u64>,
}

/// A run that lacked `name`, or had it empty.
pub(super) fn refuses(seen: &Seen, name: &str) -> Said {
    let mend = "end with 64 and one line on standard error that names the variable";
    match seen.how {
        How::Exited { code: 64 } if seen.printed.contains(name) => {
            Ok(format!("exit status 64: {}", last(&seen.printed)))
        }
        How::Exited { code: 64 } => Err(format!("nothing names {name}: {mend}")),
        how => Err(format!("{}: {mend}", in_words(how, &seen.printed))),
    }
}

/// A whole run.
pub(super) fn ends_well(seen: &Seen) -> Said {
    match seen.how {
        How::Exited { code: 0 } => Ok("exit status 0".to_owned()),
        how => Err(in_words(how, &seen.printed)),
    }
}

/// What a whole run says in `agent.jsonl`.
pub(super) fn output(seen: &Seen) -> Said {
    let Some(output) = &seen.output else {
        return Err("no $OUT_DIR/agent.jsonl: write a JSON object a line".to_owned());
    };
    let text = String::from_utf8_lossy(output);
    let mut last = Value::Null;
    let mut count = 0;
    for line in text.lines() {
        count += 1;
        match serde_json::from_str::<Value>(line) {
            Ok(object) if object.is_object() => last = object,
            _ => return Err(format!("line {count} of agent.jsonl isn't a JSON object")),
        }
    }
    if last["type"] != "result" {
        let mend = r#"end with {"type":"result","subtype":"success","is_error":false,…}"#;
        return Err(format!(
            "the last line of agent.jsonl isn't a result: {mend}"
        ));
    }
    if last["is_error"] != false {
        return Err(format!(
            "its result isn't `is_error: false`, and the exit status was 0: {last}"
        ));
    }
    Ok(format!("{count} lines, the last a result"))
}

/// What a whole run says in `status.json`.
pub(super) fn status(seen: &Seen, names: [&str; 2]) -> Said {
    match state(seen.status.as_deref(), names)?.as_str() {
        "completed" => Ok("completed".to_owned()),
        state => Err(format!(
            "its `state` is {state:?}, and must be \"completed\""
        )),
    }
}

/// What its model was asked. An agent may do without.
pub(super) fn model(asked: Asked) -> Said {
    match (asked.prompts, asked.refused) {
        (0, 0) => Ok("it asked no model".to_owned()),
        (0, refused) => Err(format!(
            "{refused} requests and none that a run is given: send `Authorization: Bearer \
             $MODEL_TOKEN` with POST /v1/messages"
        )),
        (prompts, _) => Ok(format!("asked {prompts} times")),
    }
}

/// A run that was told to end.
pub(super) fn stops(stopped: &Stopped, names: [&str; 2]) -> Said {
    let Some(took) = stopped.took else {
        return Ok("it ends by itself sooner than it can be told to".to_owned());
    };
    let mend = "end with 143 on SIGTERM; the first process of a container has to say so itself";
    match stopped.seen.how {
        How::Exited { code: 143 } if took <= STOP_LIMIT => {}
        How::Exited { code: 137 } => {
            let limit = STOP_LIMIT.as_secs();
            return Err(format!("it was killed after {limit} s: {mend}"));
        }
        how => return Err(format!("{}: {mend}", in_words(how, &stopped.seen.printed))),
    }
    match state(stopped.seen.status.as_deref(), names)?.as_str() {
        "failed" => Ok(format!("exit status 143 after {} ms", took.as_millis())),
        state => Err(format!(
            "its `state` is {state:?} after SIGTERM, and must be \"failed\""
        )),
    }
}

/// The status of a run while it goes on, and whether the next one takes its place as a whole.
pub(super) fn renames(stopped: &Stopped, names: [&str; 2]) -> Said {
    if stopped.took.is_none() {
        return Ok("it ends by itself sooner than it can be looked at".to_owned());
    }
    let before = stopped.before.as_ref();
    match state(before.map(|(text, _)| text.as_slice()), names)?.as_str() {
        "running" => {}
        state => {
            return Err(format!(
                "its `state` is {state:?} while it runs, and must be \"running\""
            ));
        }
    }
    match before.map(|(_, file)| *file) == stopped.after {
        true => Err(
            "status.json is written over, so that half of it can be read: write another file, \
             and rename it"
                .to_owned(),
        ),
        false => Ok("running, and replaced as a whole".to_owned()),
    }
}

/// The state of a status that has all that it must.
fn state(status: Option<&[u8]>, [phase, task]: [&str; 2]) -> Result<String, String> {
    let Some(status) = status else {
        return Err("no $OUT_DIR/status.json: write one, by rename".to_owned());
    };
    let wrong = |what: &str| Err(format!("status.json: {what}"));
    let Ok(Value::Object(status)) = serde_json::from_slice(status) else {
        return wrong("it isn't a JSON object");
    };
    let get = |name: &str| status.get(name).unwrap_or(&Value::Null);
    for (name, value) in [("phase", phase), ("task", task)] {
        if get(name) != value {
            return wrong(&format!("`{name}` must be {value:?}, as the variable says"));
        }
    }
    let state = get("state").as_str().unwrap_or_default();
    let (reason, finished) = match state {
        "running" => (false, false),
        "completed" => (false, true),
        "failed" => (true, true),
        _ => return wrong("`state` must be running, completed or failed"),
    };
    if get("reason").is_string() != reason || !(reason || get("reason").is_null()) {
        return wrong("`reason` must be a text where it failed, and else null");
    }
    let is_time = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        text.ends_with('Z') && pipeline::Timestamp::parse(text).is_some()
    };
    if !is_time(get("started_at")) {
        return wrong("`started_at` must be a time such as 2026-01-31T09:00:00Z");
    }
    if is_time(get("finished_at")) != finished || !(finished || get("finished_at").is_null()) {
        return wrong("`finished_at` must be a time where it isn't running, and else null");
    }
    Ok(state.to_owned())
}

fn in_words(how: How, printed: &str) -> String {
    let what = match how {
        How::Exited { code } => format!("exit status {code}"),
        How::TimedOut => "it didn't end in time".to_owned(),
        How::OutOfMemory => "it needed more memory than it may".to_owned(),
        How::Vanished => "it vanished before it ended".to_owned(),
    };
    match last(printed) {
        "" => what,
        line => format!("{what} ({line})"),
    }
}

fn last(printed: &str) -> &str {
    let line = printed.lines().rfind(|line| !line.trim().is_empty());
    let line = line.unwrap_or_default();
    &line[..line.floor_char_boundary(300)]
}

#[cfg(test)]
mod tests;
