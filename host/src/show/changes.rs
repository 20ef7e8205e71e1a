//! What an attempt changed, as lines for a terminal. It colours nothing.

use super::{items, plain, text};
use serde_json::Value;

/// A unified diff, as `git` would print it. An agent wrote what is in it: a terminal is told
/// nothing but text.
pub(crate) fn changes(changes: &Value) -> String {
    let mut lines = String::new();
    for file in items(changes) {
        lines.push_str(&changed(file));
    }
    if lines.is_empty() {
        lines.push_str("no file changed\n");
    }
    if let Some(more) = changes["more"].as_u64().filter(|more| *more > 0) {
        lines.push_str(&format!("and {more} more files\n"));
    }
    if let Some(left_out) = changes["left_out"].as_str() {
        lines.push_str(&format!("not looked at: {left_out}\n"));
    }
    lines
}

fn changed(file: &Value) -> String {
    let path = file["path"].as_str().unwrap_or("-");
    let path = path.escape_debug().to_string();
    let side = |side: &str, mark: &str| match file[side].is_null() {
        true => "/dev/null".to_owned(),
        false => format!("{mark}/{path}"),
    };
    let state = |state: &Value| match state["executable"] == true {
        true => format!("{} bytes, executable", state["size"]),
        false => format!("{} bytes", state["size"]),
    };
    let states = match (file["before"].is_null(), file["after"].is_null()) {
        (true, _) => state(&file["after"]),
        (_, true) => state(&file["before"]),
        _ => format!("{} -> {}", state(&file["before"]), state(&file["after"])),
    };
    let mut lines = format!("{:8} {path} ({states})\n", text(file, "change"));
    match (text(file, "content").as_str(), file["diff"].as_str()) {
        ("text", Some("")) => {}
        ("text", Some(diff)) => {
            lines.push_str(&format!(
                "--- {}\n+++ {}\n",
                side("before", "a"),
                side("after", "b")
            ));
            lines.push_str(&plain(diff));
        }
        ("binary", _) => lines.push_str("  binary\n"),
        ("large", _) => lines.push_str("  too large to be compared\n"),
        _ => lines.push_str("  not shown: the answer is full\n"),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_terminal_is_told_nothing_but_text() {
        let state = json!({ "size": 3, "executable": true });
        let file = json!({
            "path": "a\u{1b}]0;x\u{7}\nb", "change": "added", "before": null, "after": state,
            "content": "text", "diff": "@@ -0,0 +1 @@\n+\u{1b}[2J\r\u{9b}c\n",
        });
        let said = changes(&json!({ "items": [file], "more": 2, "left_out": "1 links" }));
        assert_eq!(
            said,
            "added    a\\u{1b}]0;x\\u{7}\\nb (3 bytes, executable)\n--- /dev/null\n\
             +++ b/a\\u{1b}]0;x\\u{7}\\nb\n@@ -0,0 +1 @@\n+\u{fffd}[2J\u{fffd}\u{fffd}c\n\
             and 2 more files\nnot looked at: 1 links\n"
        );
        assert_eq!(changes(&json!({ "items": [] })), "no file changed\n");
    }
}
