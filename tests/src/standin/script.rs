//! Scripts: from a request to a reply. Those here look at the whole conversation
//! and keep no state, so a run that is resumed goes on where it was.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::reply::{Block, Reply};
use super::request::{Asked, ToolUse};

/// Decides what is answered.
pub trait Script: Send + Sync {
    /// The answer to one request for a message.
    fn reply(&self, asked: &Asked) -> Reply;
}

impl<F: Fn(&Asked) -> Reply + Send + Sync> Script for F {
    fn reply(&self, asked: &Asked) -> Reply {
        self(asked)
    }
}

/// One reply after another, whoever asks; the last one again and again.
///
/// # Panics
/// Without a reply.
pub fn sequence(replies: impl IntoIterator<Item = Reply>) -> impl Script {
    let replies: Vec<Reply> = replies.into_iter().collect();
    assert!(!replies.is_empty(), "a sequence has a reply");
    let next = AtomicUsize::new(0);
    move |_: &Asked| {
        let at = next.fetch_add(1, Ordering::SeqCst);
        replies[at.min(replies.len() - 1)].clone()
    }
}

/// The files of every rule `(marker, path, content)` whose marker stands in the
/// prompt, written below the folder that the CLI works in.
pub fn files<'a>(rules: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> impl Script {
    let rules: Vec<[String; 3]> = rules
        .into_iter()
        .map(|(marker, path, content)| [marker, path, content].map(str::to_owned))
        .collect();
    game(None, move |prompt| {
        rules
            .iter()
            .filter(|[marker, ..]| prompt.contains(marker.as_str()))
            .map(|[_, path, content]| (path.clone(), content.clone()))
            .collect()
    })
}

/// Plays a pipeline's phases: `files` says, from the prompt, which ones the task
/// shall leave behind. They are written, those that are there already after they
/// were read, and a sentence ends the run.
///
/// Relative paths are below `workspace`; where there is none, below the folder
/// that the CLI says it works in.
pub fn game(
    workspace: Option<&str>,
    files: impl Fn(&str) -> Vec<(String, String)> + Send + Sync,
) -> impl Script {
    let workspace = workspace.map(str::to_owned);
    move |asked: &Asked| {
        if !asked.tools().contains(&"Write") {
            // A side question of the CLI, such as a title for the session.
            return Reply::text("A game.");
        }
        let folder = workspace.clone().or_else(|| asked.working_folder());
        let folder = folder.unwrap_or_else(|| "/workspace".to_owned());
        // Who is told to go on goes on with what was asked for before.
        let (mut asked, mut wanted) = (asked.clone(), files(&asked.prompt()));
        while wanted.is_empty()
            && let Some(earlier) = asked.without_prompt()
        {
            wanted = files(&earlier.prompt());
            asked = earlier;
        }
        let mut blocks = Vec::new();
        for (path, content) in wanted {
            let path = absolute(&folder, &path);
            match progress(&asked, &path) {
                Progress::Missing => blocks.push(Block::write(path, content)),
                Progress::Unread => blocks.push(Block::read(path)),
                Progress::Written => {}
                Progress::Failed(why) => return Reply::text(format!("{path}: {why}")),
            }
        }
        if blocks.is_empty() {
            Reply::text("Everything is written.")
        } else {
            Reply::blocks(blocks)
        }
    }
}

fn absolute(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", folder.trim_end_matches('/'))
    }
}

/// How far a file is, by what its tools gave.
enum Progress {
    Missing,
    /// It is there and must be read before it is written over.
    Unread,
    Written,
    Failed(String),
}

fn progress(asked: &Asked, path: &str) -> Progress {
    let results = asked.tool_results();
    let mut progress = Progress::Missing;
    let mut read = false;
    for ToolUse { id, name, input } in asked.tool_uses() {
        if input["file_path"] != path {
            continue;
        }
        let Some(result) = results.iter().find(|result| result.id == id) else {
            continue;
        };
        progress = match (name.as_str(), result.is_error) {
            ("Read", false) => {
                read = true;
                Progress::Missing
            }
            ("Write", false) => Progress::Written,
            ("Write", true) if !read => Progress::Unread,
            _ => Progress::Failed(result.text.clone()),
        };
    }
    progress
}

#[cfg(test)]
mod tests {
    use super::super::reply::What;
    use super::*;
    use bytes::Bytes;
    use hyper::{HeaderMap, Method, Uri};
    use serde_json::{Value, json};

    fn asked(messages: &Value) -> Asked {
        let body = json!({"messages": messages, "tools": [{"name": "Write"}, {"name": "Read"}]});
        Asked::new(
            Method::POST,
            Uri::from_static("/v1/messages"),
            HeaderMap::new(),
            &Bytes::from(body.to_string()),
        )
    }

    fn blocks(script: &impl Script, messages: &Value) -> Vec<Block> {
        match script.reply(&asked(messages)).what {
            What::Message(blocks) => blocks,
            What::Error { .. } | What::Redirect(_) => Vec::new(),
        }
    }

    #[test]
    fn a_file_that_is_there_is_read_and_written_again() {
        let script = game(Some("/w/"), |_| vec![("a".into(), "1".into())]);
        let mut messages = vec![json!({"role": "user", "content": "go"})];
        let mut turn = |block: Block, is_error: bool| {
            let id = format!("t{}", messages.len());
            assert_eq!(
                blocks(&script, &json!(messages)),
                std::slice::from_ref(&block)
            );
            let Block::Tool { name, input } = block else {
                return;
            };
            messages.push(json!({"role": "assistant", "content": [
                {"type": "tool_use", "id": id, "name": name, "input": input}]}));
            messages.push(json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": id, "is_error": is_error, "content": "x"}]}));
        };
        turn(Block::write("/w/a", "1"), true);
        turn(Block::read("/w/a"), false);
        turn(Block::write("/w/a", "1"), false);
        turn(Block::Text("Everything is written.".into()), false);
        // A new prompt in the same session begins anew.
        messages.push(json!({"role": "user", "content": [{"type": "text", "text": "again"}]}));
        assert_eq!(
            blocks(&script, &json!(messages)),
            [Block::write("/w/a", "1")]
        );
    }

    #[test]
    fn who_is_told_to_go_on_writes_what_is_missing() {
        let wanted = |prompt: &str| match prompt {
            "go" => vec![("a".into(), "1".into()), ("b".into(), "2".into())],
            _ => Vec::new(),
        };
        let write = |id: &str, path: &str| json!({"type": "tool_use", "id": id, "name": "Write", "input": {"file_path": path}});
        let messages = json!([
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [write("t1", "/w/a"), write("t2", "/w/b")]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "x"},
                {"type": "tool_result", "tool_use_id": "t2", "is_error": true, "content": "cut off"}]},
            {"role": "assistant", "content": "No response requested."},
            {"role": "user", "content": "go on"},
        ]);
        assert_eq!(
            blocks(&game(Some("/w/"), wanted), &messages),
            [Block::read("/w/b")]
        );
        let before = asked(&messages).without_prompt().unwrap();
        assert_eq!(before.prompt(), "go");
        assert_eq!(before.without_prompt().map(|it| it.prompt()), None);
    }

    #[test]
    fn markers_choose_files_below_the_working_folder() {
        let script = files([("idea", "idea.md", "x"), ("plan", "plan.md", "y")]);
        let messages = json!([
            {"role": "user", "content": [
                {"type": "text", "text": "<system-reminder>plan</system-reminder>"},
                {"type": "text", "text": "write the idea"}]},
            {"role": "system", "content": "env\n - Primary working directory: /ws\n - more"},
        ]);
        assert_eq!(
            blocks(&script, &messages),
            [Block::write("/ws/idea.md", "x")]
        );
    }

    #[test]
    fn a_sequence_stays_at_its_last_reply() {
        let script = sequence([Reply::text("1"), Reply::text("2")]);
        let said = || blocks(&script, &json!([]));
        assert_eq!(
            [said(), said(), said()].concat(),
            ["1", "2", "2"].map(|text| Block::Text(text.into()))
        );
    }
}
