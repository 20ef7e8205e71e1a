//! Finds what points outside the site: in attributes, styles and scripts. An address that a
//! script puts together piece by piece isn't found; the site's own security policy stops that.

use std::collections::BTreeSet;

/// What can't be used without a network, whatever its argument is.
const NETWORK: [&str; 5] = [
    "new WebSocket(",
    "new EventSource(",
    "new RTCPeerConnection(",
    "sendBeacon(",
    "importScripts(",
];

/// Names of formats, which nobody fetches.
const NAMESPACE: &str = "http://www.w3.org/";

/// How much of an address is looked at: enough to tell it. Without an end of its own it would
/// reach to the file's, again for each of them.
const ADDRESS_BYTES: usize = 300;

/// More of them are not told.
const MOST_ADDRESSES: usize = 50;

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(ADDRESS_BYTES)]
}

/// Where a reference of a file leads.
#[derive(Debug, PartialEq)]
pub(crate) enum Target {
    /// Into the same page, or the data is in the reference itself.
    Nowhere,
    /// To another file, relative to the site's root.
    File(String),
    /// Out of the site.
    Outside,
}

/// Where `to` leads from `file`, both relative to the site's root.
pub(crate) fn target(file: &str, to: &str) -> Target {
    let plain: String = to.chars().filter(|c| !c.is_ascii_control()).collect();
    let plain = plain.trim().replace('\\', "/");
    let path = plain.split(['?', '#']).next().unwrap_or_default();
    if let Some((scheme, _)) = path.split_once(':')
        && !scheme.contains('/')
    {
        return match scheme.to_ascii_lowercase().as_str() {
            "data" | "blob" | "javascript" | "about" => Target::Nowhere,
            _ => Target::Outside,
        };
    }
    if path.is_empty() {
        return Target::Nowhere;
    }
    if path.starts_with("//") {
        return Target::Outside;
    }
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = match path.starts_with('/') {
        true => Vec::new(),
        false => folder.split('/').filter(|part| !part.is_empty()).collect(),
    };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return Target::Outside,
            ".." => {}
            part => parts.push(part),
        }
    }
    let folder = path.ends_with(['/', '.']) || parts.is_empty();
    parts.extend(folder.then_some("index.html"));
    Target::File(unescape(&parts.join("/")))
}

/// `%41` is `A`; what isn't such an escape stays.
fn unescape(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What `url()` and `@import` of a style ask for, each with where.
pub(crate) fn in_style(css: &str) -> impl Iterator<Item = (&'static str, &str)> {
    let is = |bytes: Option<&[u8]>, word: &str| {
        bytes.is_some_and(|bytes| bytes.eq_ignore_ascii_case(word.as_bytes()))
    };
    css.match_indices(['(', '@']).filter_map(move |(at, sign)| {
        if sign == "(" {
            let before = at
                .checked_sub(3)
                .and_then(|start| css.as_bytes().get(start..at));
            let rest = head(&css[at + 1..]).trim_start();
            let to = quoted(rest).unwrap_or_else(|| rest.split(')').next().unwrap_or_default());
            return is(before, "url").then_some(("url() in a style", to.trim()));
        }
        if !is(css.as_bytes().get(at + 1..at + 7), "import") {
            return None;
        }
        quoted(head(&css[at + 7..]).trim_start()).map(|to| ("@import in a style", to))
    })
}

fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    text[1..].split(quote).next()
}

/// What a script names outside the site: absolute addresses at the start of a text, and what
/// can't be used without a network. No more than are worth telling.
pub(crate) fn in_script(script: &str) -> BTreeSet<String> {
    let used = NETWORK.into_iter().filter(|word| script.contains(word));
    let mut found: BTreeSet<String> = used
        .map(|word| word.trim_end_matches('(').to_owned())
        .collect();
    for (at, _) in script.match_indices("//") {
        found.extend(address(&script[..at], head(&script[at..])));
        if found.len() >= MOST_ADDRESSES {
            break;
        }
    }
    found
}

/// The address whose `//` stands between the two, if it begins a text or a `url(`.
fn address(before: &str, after: &str) -> Option<String> {
    let in_word = |c: &u8| c.is_ascii_alphanumeric() || *c == b':';
    let word = before.bytes().rev().take_while(in_word).count();
    let (opening, scheme) = before.split_at(before.len() - word);
    let in_style = opening
        .as_bytes()
        .last_chunk()
        .is_some_and(|last: &[u8; 4]| last.eq_ignore_ascii_case(b"url("));
    let in_text = opening.ends_with(['"', '\'', '`']);
    let absolute = match scheme.to_ascii_lowercase().as_str() {
        // It may as well be a comment, or a division.
        "" => in_text || in_style,
        "http:" | "https:" | "ws:" | "wss:" | "ftp:" => {
            in_text || in_style || opening.ends_with('=')
        }
        _ => false,
    };
    if !absolute {
        return None;
    }
    let end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ')' | '<' | '>');
    let rest = after.split(end).next().unwrap_or_default();
    let host = rest
        .trim_start_matches('/')
        .split(['/', '?', '#', ':'])
        .next()
        .unwrap_or_default();
    let told = if scheme.is_empty() {
        is_host(host)
    } else {
        !host.is_empty()
    };
    let address = format!("{scheme}{rest}");
    (told && !address.starts_with(NAMESPACE)).then_some(address)
}

/// A comment's first word could stand here too; it has no dot within.
fn is_host(text: &str) -> bool {
    text.contains('.')
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_references_lead() {
        let file = |path: &str| Target::File(path.to_owned());
        for (from, to, expected) in [
            ("index.html", "", Target::Nowhere),
            ("index.html", "#about", Target::Nowhere),
            ("index.html", "?again", Target::Nowhere),
            ("index.html", "data:image/png;base64,//8=", Target::Nowhere),
            ("index.html", "javascript:void(0)", Target::Nowhere),
            ("index.html", "a.png?v=1#x", file("a.png")),
            ("index.html", "./art/", file("art/index.html")),
            ("index.html", "/", file("index.html")),
            ("index.html", "my%20art.png", file("my art.png")),
            ("index.html", "100%", file("100%")),
            ("deep/page.html", "../a.png", file("a.png")),
            ("deep/page.html", "b.png", file("deep/b.png")),
            ("deep/page.html", "/b.png", file("b.png")),
            ("index.html", "../a.png", Target::Outside),
            ("index.html", "//e.org/a", Target::Outside),
            ("index.html", "\\\\e.org", Target::Outside),
            ("index.html", "HTTPS://e.org", Target::Outside),
            ("index.html", "ht\ntps://e.org", Target::Outside),
            ("index.html", "mailto:a@e.org", Target::Outside),
        ] {
            assert_eq!(target(from, to), expected, "{to} from {from}");
        }
    }

    #[test]
    fn what_styles_ask_for() {
        let to =
            |css: &str| -> Vec<String> { in_style(css).map(|(_, to)| to.to_owned()).collect() };
        assert_eq!(
            to("a { b: url( 'x y.png' ) } c { d: URL(z.png) }"),
            ["x y.png", "z.png"]
        );
        assert_eq!(
            to("@import \"a.css\"; @IMPORT url(//e.org)"),
            ["a.css", "//e.org"]
        );
        assert!(to("/* https://e.org */ a { b: c }").is_empty());
    }

    #[test]
    fn what_scripts_name() {
        for (script, expected) in [
            ("fetch(\"https://e.org/a?b\")", "https://e.org/a?b"),
            ("import x from 'http://e.org/x.js'", "http://e.org/x.js"),
            ("i.src = `//cdn.e.org/a.png`", "//cdn.e.org/a.png"),
            (
                "p.innerHTML = '<img src=https://e.org/a>'",
                "https://e.org/a",
            ),
            ("s.background = 'url(https://e.org/a)'", "https://e.org/a"),
            ("new WebSocket(`wss://${host}`)", "wss://${host}"),
            ("new WebSocket(address)", "new WebSocket"),
            ("navigator.sendBeacon(x)", "sendBeacon"),
        ] {
            assert!(
                in_script(script).contains(expected),
                "{script}: {:?}",
                in_script(script)
            );
        }
    }

    #[test]
    fn openings_without_an_end_take_no_longer_than_others() {
        // Read to the file's end each, these would be some ten thousand million steps.
        let count = 100_000;
        assert_eq!(in_style(&"url(".repeat(count)).count(), count);
        assert!(in_script(&"'//a.b".repeat(count)).contains("//a.b"));
        assert!(in_script(&"//a".repeat(count)).is_empty());
    }

    #[test]
    fn no_more_addresses_than_are_worth_telling() {
        let script: String = (0..MOST_ADDRESSES + 9)
            .map(|n| format!("'//a.b/{n}';"))
            .collect();
        assert_eq!(in_script(&script).len(), MOST_ADDRESSES);
    }

    #[test]
    fn what_only_looks_like_an_address_in_a_script() {
        for script in [
            "// see https://e.org/a for more",
            "let a = 'b'; // 'c'",
            "let a = 'b'//it's e.g. this",
            "el('http://www.w3.org/2000/svg')",
            "let half = a //e.org\n / 2",
            "fetch('data.json')",
            "/* (https://e.org) */",
        ] {
            assert!(
                in_script(script).is_empty(),
                "{script}: {:?}",
                in_script(script)
            );
        }
    }
}
