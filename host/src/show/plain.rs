//! Text that a terminal shows and doesn't obey. It judges no words.

/// Whether a terminal, or who looks at it, would be led astray: escape codes of both sets, and the
/// marks that turn the order of what is shown around.
fn misleads(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Lines of text, without anything else.
pub(crate) fn plain(text: &str) -> String {
    let kept = |c: char| c == '\n' || c == '\t' || !misleads(c);
    text.chars()
        .map(|c| if kept(c) { c } else { '\u{fffd}' })
        .collect()
}

/// The same as one line: what is told of a job in a line can't be followed by one of its own.
pub(super) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let line = plain(&lines.join(" "));
    line.replace(['\u{2028}', '\u{2029}'], " ")
}

/// JSON that means the same. It has escaped some of them itself; the rest can only stand in strings.
pub(super) fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if misleads(c) {
            // None of them is beyond four digits.
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const HOSTILE: &str = "a\u{1b}]0;x\u{7}\r\nb\u{9b}2J\u{7f}\u{202e}c\td";

    #[test]
    fn lines_stay_and_nothing_else_that_a_terminal_obeys() {
        assert_eq!(
            plain(HOSTILE),
            "a\u{fffd}]0;x\u{fffd}\u{fffd}\nb\u{fffd}2J\u{fffd}\u{fffd}c\td"
        );
        assert_eq!(plain("ä – 漢字 🦀"), "ä – 漢字 🦀");
    }

    #[test]
    fn one_line_is_one_line() {
        let line = one_line("told\n\njob.succeeded\u{2028}x\u{85}y");
        assert_eq!(line, "told job.succeeded x\u{fffd}y");
    }

    #[test]
    fn json_means_what_it_meant() {
        let value = json!({ HOSTILE: [HOSTILE, 1] });
        let text = escaped(&value.to_string());
        assert!(!text.chars().any(misleads), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
