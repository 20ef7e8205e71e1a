//! Says all that is wrong with JSON that an agent wrote, in words from which it can mend it.
//! It isn't a schema language: a plugin walks the value in code.

use crate::{FileError, Job, Verdict, clip, is_slug};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt::{Display, Write};
use std::ops::RangeInclusive;

const MOST_LINES: usize = 40;
const LINE_BYTES: usize = 300;
const QUOTED_BYTES: usize = 60;

/// All that is wrong, as lines of bounded number and length.
///
/// ```
/// use gantry_sdk::{Node, Problems};
///
/// let value = serde_json::json!({"title": "ab", "steps": [{"id": "One"}]});
/// let mut problems = Problems::new();
/// let root = Node::root("plan.json", &value);
/// root.key("title").text(3..=60, &mut problems);
/// for step in root.key("steps").list(1..=9, &mut problems) {
///     step.key("id").slug(&mut problems);
///     step.key("detail").text(1..=500, &mut problems);
/// }
/// assert_eq!(
///     problems.message(),
///     "- plan.json, title: has 2 characters; it must be a text of 3 to 60 characters\n\
///      - plan.json, steps[0].id: is \"One\"; it must be lowercase letters, digits and hyphens\n\
///      - plan.json, steps[0].detail: is missing; it must be a text of 1 to 500 characters"
/// );
/// ```
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems {
    lines: Vec<String>,
    more: usize,
}

impl Problems {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether all is well.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Something is wrong at a place: a file, or [`Node::place`].
    pub fn add(&mut self, place: impl Display, what: impl Display) {
        self.line(format!("{place}: {what}"));
    }

    /// All of another's as well.
    pub fn extend(&mut self, other: Self) {
        for line in other.lines {
            self.line(line);
        }
        self.more += other.more;
    }

    /// A file can't be used at all.
    pub fn file(&mut self, error: &FileError) {
        self.line(error.to_string());
    }

    fn line(&mut self, line: String) {
        if self.lines.len() < MOST_LINES {
            self.lines.push(clip(&line, LINE_BYTES));
        } else {
            self.more += 1;
        }
    }

    /// Reads a JSON file, of which at least the syntax must be right.
    pub fn read_json(&mut self, job: &Job, path: &str) -> Option<Value> {
        job.read_json(path)
            .inspect_err(|error| self.file(error))
            .ok()
    }

    /// A line for each problem; 40 at most, then how many more there are.
    pub fn message(&self) -> String {
        let mut text = String::new();
        for (at, line) in self.lines.iter().enumerate() {
            // Writing to a String can't fail.
            let _ = write!(text, "{}- {line}", if at == 0 { "" } else { "\n" });
        }
        if self.more > 0 {
            let _ = write!(text, "\n- and {} more problems", self.more);
        }
        text
    }

    /// Accepts with `fine` where all is well, else sends back with [`Problems::message`].
    pub fn verdict(&self, fine: &str) -> Verdict {
        if self.is_empty() {
            Verdict::accept(fine)
        } else {
            Verdict::revise(self.message())
        }
    }
}

/// A place in a JSON file, and what stands there. Each check answers with the value where it is
/// right, and else tells [`Problems`]; what lies below a wrong place isn't told as well.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    file: &'a str,
    path: String,
    found: Found<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Found<'a> {
    Value(&'a Value),
    Missing,
    /// Something above is wrong, and told.
    Told,
}

impl<'a> Node<'a> {
    /// A whole file.
    pub fn root(file: &'a str, value: &'a Value) -> Self {
        Self {
            file,
            path: String::new(),
            found: Found::Value(value),
        }
    }

    /// The file and the path in it, as in `plan.json, steps[2].id`.
    pub fn place(&self) -> String {
        if self.path.is_empty() {
            return self.file.to_owned();
        }
        format!("{}, {}", self.file, self.path)
    }

    /// What stands under a key, if anything does.
    pub fn key(&self, key: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{key}", self.path);
        let found = match self.found {
            Found::Value(value) => value.get(key).map_or(Found::Missing, Found::Value),
            other => other,
        };
        Self {
            file: self.file,
            path,
            found,
        }
    }

    /// The value, where `take` finds it right; `must` ends the sentence "it must be …".
    fn check<T>(
        &self,
        must: &str,
        problems: &mut Problems,
        take: impl FnOnce(&'a Value) -> Result<T, Option<String>>,
    ) -> Option<T> {
        let is = match self.found {
            Found::Told => return None,
            Found::Missing => "is missing".to_owned(),
            Found::Value(value) => match take(value) {
                Ok(right) => return Some(right),
                Err(Some(is)) => is,
                Err(None) => format!("is {}", quote(value)),
            },
        };
        problems.add(self.place(), format_args!("{is}; it must be {must}"));
        None
    }

    /// An object. Worth asking where its keys are asked for next: when it is missing or something
    /// else, that alone is told.
    pub fn object(&self, problems: &mut Problems) -> Self {
        let found = self.check("an object", problems, |value| value.as_object().ok_or(None));
        let found = found.map_or(Found::Told, |_: &Map<String, Value>| self.found);
        Self {
            found,
            ..self.clone()
        }
    }

    /// A list of so many things.
    pub fn list(&self, length: RangeInclusive<usize>, problems: &mut Problems) -> Vec<Self> {
        let must = format!("a list of {}", range(&length, "items"));
        let items = self.check(&must, problems, |value| {
            let items = value.as_array().ok_or(None)?;
            if length.contains(&items.len()) {
                return Ok(items);
            }
            Err(Some(format!("has {} items", items.len())))
        });
        let node = |(at, value)| Self {
            file: self.file,
            path: format!("{}[{at}]", self.path),
            found: Found::Value(value),
        };
        items.into_iter().flatten().enumerate().map(node).collect()
    }

    /// A text of so many characters, the white space at its ends not counted.
    pub fn text(&self, length: RangeInclusive<usize>, problems: &mut Problems) -> Option<&'a str> {
        let must = format!("a text of {}", range(&length, "characters"));
        self.check(&must, problems, |value| {
            let text = value.as_str().ok_or(None)?.trim();
            match text.chars().count() {
                0 => Err(Some("is empty".to_owned())),
                count if length.contains(&count) => Ok(text),
                count => Err(Some(format!("has {count} characters"))),
            }
        })
    }

    /// A text that `right` accepts; `must` says which are, as in `a colour like "#0a141e"`.
    pub fn text_where(
        &self,
        must: &str,
        right: impl FnOnce(&str) -> bool,
        problems: &mut Problems,
    ) -> Option<&'a str> {
        self.check(must, problems, |value| {
            value.as_str().filter(|text| right(text)).ok_or(None)
        })
    }

    /// A number that `right` accepts; `must` says which are, as in `a number above 0`.
    pub fn number(
        &self,
        must: &str,
        right: impl FnOnce(f64) -> bool,
        problems: &mut Problems,
    ) -> Option<f64> {
        self.check(must, problems, |value| {
            value.as_f64().filter(|n| right(*n)).ok_or(None)
        })
    }

    /// Lowercase letters, digits and hyphens.
    pub fn slug(&self, problems: &mut Problems) -> Option<&'a str> {
        self.text_where("lowercase letters, digits and hyphens", is_slug, problems)
    }

    /// 1 to 63 letters, digits, `-` and `_`, that no other of `seen` has.
    pub fn unique_id(
        &self,
        seen: &mut BTreeSet<&'a str>,
        problems: &mut Problems,
    ) -> Option<&'a str> {
        let right = |id: &str| {
            (1..=63).contains(&id.len())
                && id
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
        };
        let id = self.text_where("1 to 63 letters, digits, - and _", right, problems)?;
        if !seen.insert(id) {
            problems.add(self.place(), format_args!("{id:?} is there twice"));
            return None;
        }
        Some(id)
    }

    /// A colour as `#rrggbb`.
    pub fn color(&self, problems: &mut Problems) -> Option<&'a str> {
        let hex = |text: &str| {
            text.strip_prefix('#').is_some_and(|digits| {
                digits.len() == 6 && digits.bytes().all(|c| c.is_ascii_hexdigit())
            })
        };
        self.text_where("a colour like \"#0a141e\"", hex, problems)
    }

    /// One of the given words.
    pub fn one_of(&self, words: &[&str], problems: &mut Problems) -> Option<&'a str> {
        let listed: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        let must = match listed.as_slice() {
            [] => "nothing at all".to_owned(),
            [only] => only.clone(),
            [all @ .., last] => format!("{} or {last}", all.join(", ")),
        };
        self.text_where(&must, |text| words.contains(&text), problems)
    }
}

fn quote(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("{:?}", clip(text, QUOTED_BYTES)),
        other => other.to_string(),
    }
}

fn range(range: &RangeInclusive<usize>, of: &str) -> String {
    match (range.start(), range.end()) {
        (from, to) if from == to => format!("{from} {of}"),
        (from, to) => format!("{from} to {to} {of}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_lies_below_a_wrong_place_is_not_told() {
        let value = json!({"cost": 5, "more": {}});
        let mut problems = Problems::new();
        let root = Node::root("a.json", &value);
        let cost = root.key("cost").object(&mut problems);
        cost.key("amount")
            .number("a number", |_| true, &mut problems);
        cost.key("currency").text(1..=9, &mut problems);
        root.key("more")
            .object(&mut problems)
            .key("x")
            .color(&mut problems);
        assert_eq!(
            problems.message(),
            "- a.json, cost: is 5; it must be an object\n\
             - a.json, more.x: is missing; it must be a colour like \"#0a141e\""
        );
    }

    #[test]
    fn a_root_of_another_kind() {
        let value = json!([1]);
        let mut problems = Problems::new();
        Node::root("a.json", &value)
            .object(&mut problems)
            .key("x")
            .slug(&mut problems);
        assert_eq!(
            problems.message(),
            "- a.json: is a list of 1; it must be an object"
        );
    }

    #[test]
    fn lengths_at_and_past_their_ends() {
        let value = json!({"t": "  äöü ", "l": [1, 2]});
        let root = Node::root("a.json", &value);
        let mut problems = Problems::new();
        assert_eq!(root.key("t").text(3..=3, &mut problems), Some("äöü"));
        assert_eq!(root.key("l").list(2..=2, &mut problems).len(), 2);
        assert!(problems.is_empty());
        assert_eq!(root.key("t").text(1..=2, &mut problems), None);
        assert_eq!(root.key("l").list(3..=4, &mut problems).len(), 0);
        assert_eq!(
            problems.message(),
            "- a.json, t: has 3 characters; it must be a text of 1 to 2 characters\n\
             - a.json, l: has 2 items; it must be a list of 3 to 4 items"
        );
    }

    #[test]
    fn words_and_colours() {
        let value = json!({"kind": "x", "a": "#12345g", "b": "#ABCDEF"});
        let root = Node::root("a.json", &value);
        let mut problems = Problems::new();
        assert_eq!(root.key("b").color(&mut problems), Some("#ABCDEF"));
        root.key("a").color(&mut problems);
        root.key("kind").one_of(&["p", "q", "r"], &mut problems);
        assert_eq!(
            problems.message(),
            "- a.json, a: is \"#12345g\"; it must be a colour like \"#0a141e\"\n\
             - a.json, kind: is \"x\"; it must be \"p\", \"q\" or \"r\""
        );
    }

    #[test]
    fn ids_at_and_past_their_length_and_twice() {
        let value = json!(["x".repeat(63), "y".repeat(64), "a_B-1", "a_B-1"]);
        let mut problems = Problems::new();
        let mut seen = BTreeSet::new();
        for item in Node::root("a.json", &value).list(4..=4, &mut problems) {
            item.unique_id(&mut seen, &mut problems);
        }
        assert_eq!(seen.len(), 2);
        let message = problems.message();
        assert!(message.starts_with("- a.json, [1]: is \"yyy"), "{message}");
        assert!(
            message.ends_with("\n- a.json, [3]: \"a_B-1\" is there twice"),
            "{message}"
        );
    }

    #[test]
    fn a_message_is_bounded_however_much_is_wrong() {
        let mut problems = Problems::new();
        for _ in 0..MOST_LINES {
            problems.add("a.json", "x".repeat(10_000));
        }
        assert!(!problems.message().contains("more problems"));
        for _ in 0..7 {
            problems.add("a.json", "y");
        }
        assert!(problems.message().ends_with("\n- and 7 more problems"));
        assert!(problems.message().len() < 14_000);
    }
}
