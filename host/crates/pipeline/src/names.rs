//! What people may call things: job names, groups, tokens, params, slugs. It never mends a name silently.

use crate::Limits;
use serde_json::{Map, Value};
use thiserror::Error;

/// Why a name or a value was refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// Nothing but white space.
    #[error("the {what} is empty: it must say something")]
    Empty {
        /// Which field.
        what: &'static str,
    },
    /// Too long.
    #[error("the {what} is {bytes} bytes long; at most {limit} are allowed")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A control character.
    #[error("the {what} holds the control character U+{code:04X} at byte {at}: remove it")]
    Control {
        /// Which field.
        what: &'static str,
        /// The character.
        code: u32,
        /// Its place.
        at: usize,
    },
}

fn check(what: &'static str, text: &str, limit: usize) -> Result<(), NameError> {
    if text.trim().is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > limit {
        return Err(NameError::TooLong {
            what,
            bytes: text.len(),
            limit,
        });
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, c)) => Err(NameError::Control {
            what,
            code: c.into(),
            at,
        }),
        None => Ok(()),
    }
}

/// A job's name: one line of text.
pub fn check_job_name(name: &str, limits: &Limits) -> Result<(), NameError> {
    check("name", name, limits.name_bytes)
}

/// A group: one short line of text.
pub fn check_group(group: &str, limits: &Limits) -> Result<(), NameError> {
    check("group", group, limits.group_bytes)
}

/// A token's name: one short line of text.
pub(crate) fn check_token_name(name: &str, limits: &Limits) -> Result<(), NameError> {
    check("token's name", name, limits.group_bytes)
}

/// A job's params, by their size as JSON.
pub fn check_params(params: &Map<String, Value>, limits: &Limits) -> Result<(), NameError> {
    let bytes = serde_json::to_vec(params).map_or(usize::MAX, |json| json.len());
    if bytes > limits.params_bytes {
        return Err(NameError::TooLong {
            what: "params",
            bytes,
            limit: limits.params_bytes,
        });
    }
    Ok(())
}

/// Whether this is a name of a plugin, a phase, a task or a site: 1 to 63 lowercase letters,
/// digits and hyphens, a letter or digit at both ends.
pub fn is_slug(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|c| inner(c) || c == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

/// The slug nearest to some text: `site` where nothing of it can be kept; 48 bytes at most,
/// so that a suffix still fits a DNS label.
pub fn slug_from(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if slug.len() >= 48 {
            break;
        }
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        "site".to_owned()
    } else {
        slug.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_and_past_each_limit() {
        let limits = Limits::default();
        let longest = "x".repeat(limits.name_bytes);
        assert_eq!(check_job_name(&longest, &limits), Ok(()));
        assert!(matches!(
            check_job_name(&format!("{longest}x"), &limits),
            Err(NameError::TooLong { .. })
        ));
        assert!(matches!(
            check_job_name(" \u{2003}", &limits),
            Err(NameError::Empty { .. })
        ));
        assert_eq!(
            check_job_name("a\u{7}b", &limits).unwrap_err().to_string(),
            "the name holds the control character U+0007 at byte 1: remove it"
        );
    }

    #[test]
    fn slugs() {
        assert_eq!(slug_from("  Light & Fog!  "), "light-fog");
        assert_eq!(slug_from("灯台"), "site");
        assert!(slug_from(&"ab ".repeat(99)).len() <= 48);
        for text in ["a", "a-b", "0"] {
            assert!(is_slug(text), "{text}");
        }
        for text in ["", "-a", "a-", "A", "a_b", "ä", &"a".repeat(64)] {
            assert!(!is_slug(text), "{text}");
        }
    }
}
