//! Reads a page's tokens: its structure, ids, scripts, styles and references. It builds no tree
//! and judges nothing.

use html5gum::{DefaultEmitter, HtmlString, StartTag, Token, Tokenizer};
use std::collections::{BTreeMap, BTreeSet};

/// Elements whose content is text up to their own end tag: one that isn't closed swallows the
/// rest of the page.
const RAW: [&str; 4] = ["script", "style", "title", "textarea"];

/// What a reference is asked for by; `srcset` holds several.
const REFERENCES: [&str; 12] = [
    "action",
    "background",
    "data",
    "formaction",
    "href",
    "imagesrcset",
    "ping",
    "poster",
    "src",
    "srcset",
    "xlink:href",
    "manifest",
];

/// What a page holds.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) doctype: bool,
    /// Names of all start tags.
    pub(crate) tags: BTreeSet<String>,
    /// The text of the first `title`.
    pub(crate) title: String,
    pub(crate) viewport: bool,
    /// For each id the elements that have it.
    pub(crate) ids: BTreeMap<String, Vec<String>>,
    /// `data-id` of each `<button class="upgrade">`.
    pub(crate) upgrades: BTreeSet<String>,
    /// Inline scripts, and handlers such as `onclick`.
    pub(crate) scripts: String,
    /// Inline styles, in elements and attributes.
    pub(crate) styles: String,
    pub(crate) references: Vec<Reference>,
    /// What ends in the middle, in words.
    pub(crate) unclosed: Vec<String>,
}

/// An address that an element asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Reference {
    /// As in `<img src>`.
    pub(crate) at: String,
    pub(crate) to: String,
}

impl Page {
    pub(crate) fn read(html: &str) -> Self {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut page = Self::default();
        let mut raw: Option<(String, String)> = None;
        // A script of another type is data: it may well hold texts with addresses.
        let mut data = false;
        for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
            match token {
                Token::Doctype(doctype) => page.doctype |= doctype.name.as_slice() == b"html",
                Token::StartTag(tag) => {
                    let name = text(&tag.name);
                    page.start(&name, &tag);
                    if RAW.contains(&name.as_str()) {
                        data = name == "script" && !runs(&tag);
                        raw = Some((name, String::new()));
                    }
                }
                Token::String(string) => {
                    if let Some((_, content)) = &mut raw {
                        content.push_str(&text(&string));
                    }
                }
                Token::EndTag(_) => page.raw_content(raw.take().filter(|_| !data)),
                Token::Error(error) if error.to_string().starts_with("eof-in") => {
                    page.unclosed
                        .push(format!("the page ends too early ({})", error.value));
                }
                Token::Comment(_) | Token::Error(_) => {}
            }
        }
        if let Some((name, _)) = &raw {
            page.unclosed.push(format!("<{name}> is never closed"));
        }
        page.raw_content(raw.filter(|_| !data));
        page
    }

    fn start(&mut self, name: &str, tag: &StartTag<()>) {
        let value = |key: &str| tag.attributes.get(key.as_bytes()).map(|value| text(value));
        if let Some(id) = value("id") {
            self.ids.entry(id).or_default().push(name.to_owned());
        }
        let class = value("class").unwrap_or_default();
        if name == "button"
            && class
                .split_ascii_whitespace()
                .any(|class| class == "upgrade")
        {
            self.upgrades.extend(value("data-id"));
        }
        let named = value("name").is_some_and(|name| name.eq_ignore_ascii_case("viewport"));
        self.viewport |= name == "meta" && named;
        for (key, value) in &tag.attributes {
            let (key, value) = (text(key), text(value));
            if key == "style" {
                self.styles.push_str(&format!("{value}\n"));
            } else if key.starts_with("on") {
                self.scripts.push_str(&format!("{value}\n"));
            }
            for to in references(name, &key, &value) {
                self.references.push(Reference {
                    at: format!("<{name} {key}>"),
                    to,
                });
            }
        }
        self.tags.insert(name.to_owned());
    }

    fn raw_content(&mut self, raw: Option<(String, String)>) {
        match raw {
            Some((name, content)) if name == "script" => {
                self.scripts.push_str(&format!("{content}\n"));
            }
            Some((name, content)) if name == "style" => {
                self.styles.push_str(&format!("{content}\n"));
            }
            Some((name, content)) if name == "title" && self.title.is_empty() => {
                content.trim().clone_into(&mut self.title);
            }
            _ => {}
        }
    }
}

/// Whether a script's type makes it one that runs.
fn runs(script: &StartTag<()>) -> bool {
    let kind = script
        .attributes
        .get(b"type".as_slice())
        .map(|kind| text(kind));
    let kind = kind.unwrap_or_default().trim().to_ascii_lowercase();
    kind.is_empty()
        || kind == "module"
        || kind.ends_with("javascript")
        || kind.ends_with("ecmascript")
}

fn references(name: &str, key: &str, value: &str) -> Vec<String> {
    if name == "meta" && key == "content" {
        // A refresh: `5; url=https://…`.
        let at = value.to_ascii_lowercase().find("url=");
        return at
            .map(|at| value[at + 4..].trim_matches(['"', '\'', ' ']).to_owned())
            .into_iter()
            .collect();
    }
    if !REFERENCES.contains(&key) {
        return Vec::new();
    }
    if !key.ends_with("srcset") {
        return vec![value.trim().to_owned()];
    }
    // Candidates are an address and, after a blank, a width or a density: `a.png 1x, b.png 2x`.
    let mut found = Vec::new();
    let blank = |c: char| c.is_ascii_whitespace() || c == ',';
    let mut rest = value.trim_start_matches(blank);
    while !rest.is_empty() {
        let (to, after) = rest
            .split_once(|c: char| c.is_ascii_whitespace())
            .unwrap_or((rest, ""));
        found.push(to.trim_end_matches(',').to_owned());
        rest = if to.ends_with(',') {
            after
        } else {
            after.split_once(',').map_or("", |(_, next)| next)
        };
        rest = rest.trim_start_matches(blank);
    }
    found
}

fn text(bytes: &HtmlString) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_sample_holds() {
        let page = Page::read(include_str!("sample.html"));
        assert!(page.doctype && page.viewport && page.unclosed.is_empty());
        assert_eq!(page.title, "The Last Lamp");
        assert_eq!(page.ids["action"], ["button"]);
        assert_eq!(page.upgrades, BTreeSet::from(["wick".to_owned()]));
        assert!(page.scripts.contains("localStorage") && page.styles.contains("#0b1320"));
        let about = Reference {
            at: "<a href>".to_owned(),
            to: "#about".to_owned(),
        };
        assert_eq!(page.references, [about]);
    }

    #[test]
    fn what_is_not_closed_is_told() {
        let unclosed = |html| Page::read(html).unclosed;
        assert_eq!(
            unclosed("<script>let a = '<p>';</p>"),
            ["<script> is never closed"]
        );
        assert_eq!(
            unclosed("<style>a {}</STYLE ><title>x"),
            ["<title> is never closed"]
        );
        assert_eq!(
            unclosed("<p>a<!-- b"),
            ["the page ends too early (eof-in-comment)"]
        );
        assert_eq!(
            unclosed("<p class='a"),
            ["the page ends too early (eof-in-tag)"]
        );
        assert!(unclosed("<script>let a = \"<p\";</script><p>").is_empty());
    }

    #[test]
    fn data_in_a_script_element_is_no_script() {
        let scripts = |html: &str| Page::read(html).scripts;
        let data = "<script type='application/json'>{}</script><style>a {}</style>";
        assert_eq!(scripts(&format!("{data}<script>b</script>")), "b\n");
        assert!(!Page::read(data).styles.is_empty());
        for kind in ["", "module", " Text/JavaScript"] {
            assert_eq!(
                scripts(&format!("<script type='{kind}'>b</script>")),
                "b\n",
                "{kind}"
            );
        }
    }

    #[test]
    fn finds_each_kind_of_reference() {
        let to = |html: &str| -> Vec<String> {
            Page::read(html)
                .references
                .into_iter()
                .map(|reference| reference.to)
                .collect()
        };
        assert_eq!(
            to("<img SRC=' a.png ' srcset='b.png 1x, c.png 640w,d.png, e.png'>"),
            ["a.png", "b.png", "c.png", "d.png", "e.png"]
        );
        assert_eq!(
            to("<meta http-equiv=refresh content='0; URL=\"//e.org\"'>"),
            ["//e.org"]
        );
        assert_eq!(
            to("<form action=/a><object data=b></object><use xlink:href=c>"),
            ["/a", "b", "c"]
        );
        assert!(to("<p title=x data-src=y>//z</p>").is_empty());
    }
}
