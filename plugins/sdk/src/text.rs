//! Small texts: cut ones, and names for addresses. It knows no language but ASCII's rules.

/// So that a suffix still fits a DNS label.
const SLUG_BYTES: usize = 48;

/// At most `max` bytes of a text, cut between characters, with `…` where something is gone.
///
/// ```
/// assert_eq!(gantry_sdk::clip("lighthouse", 8), "light…");
/// assert_eq!(gantry_sdk::clip("fog", 8), "fog");
/// ```
pub fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}

/// Whether this is a slug: 1 to 63 lowercase letters, digits and hyphens, a letter or a digit at
/// both ends.
pub fn is_slug(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|c| inner(c) || c == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

/// The slug nearest to a text, 48 bytes at most; none where nothing of it can be kept.
///
/// ```
/// assert_eq!(gantry_sdk::slug_from("Light & Fog!").as_deref(), Some("light-fog"));
/// assert_eq!(gantry_sdk::slug_from("Überfluß").as_deref(), Some("uberfluss"));
/// assert_eq!(gantry_sdk::slug_from("灯台"), None);
/// ```
pub fn slug_from(text: &str) -> Option<String> {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if slug.len() >= SLUG_BYTES - 1 {
            break;
        }
        let plain = plain(c);
        if !plain.is_empty() {
            slug.push_str(plain);
        } else if c.is_ascii_lowercase() || c.is_ascii_digit() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    (!slug.is_empty()).then(|| slug.to_owned())
}

/// The plain letters of a lowercase Latin-1 letter; nothing for all else.
fn plain(letter: char) -> &'static str {
    match letter {
        'à'..='å' => "a",
        'æ' => "ae",
        'ç' => "c",
        'è'..='ë' => "e",
        'ì'..='ï' => "i",
        'ñ' => "n",
        'ò'..='ö' | 'ø' => "o",
        'ù'..='ü' => "u",
        'ý' | 'ÿ' => "y",
        'ß' => "ss",
        'œ' => "oe",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_between_characters() {
        assert_eq!(clip("aé", 3), "aé");
        assert_eq!(clip("éééé", 6), "é…");
        assert_eq!(clip("éééé", 0), "…");
    }

    #[test]
    fn slugs_at_and_past_the_limit() {
        assert!(is_slug(&"a".repeat(63)));
        for text in ["", "-a", "a-", "A", "a_b", "ä", &"a".repeat(64)] {
            assert!(!is_slug(text), "{text}");
        }
        for text in [
            "  Light — Fog ",
            &"ab ".repeat(99),
            &"ß".repeat(99),
            "ÉTÉ 2",
        ] {
            let slug = slug_from(text).unwrap();
            assert!(is_slug(&slug) && slug.len() <= SLUG_BYTES, "{slug}");
        }
    }
}
