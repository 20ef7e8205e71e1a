//! From a job's name to words: a theme, identifiers, and choices that are the same
//! each time. It understands English function words and no grammar.

/// What a request for a game says besides its subject.
const FILLER: &[&str] = &[
    "a",
    "an",
    "and",
    "are",
    "about",
    "any",
    "as",
    "at",
    "based",
    "browser",
    "build",
    "by",
    "can",
    "clicker",
    "code",
    "could",
    "cool",
    "create",
    "design",
    "develop",
    "for",
    "from",
    "fun",
    "game",
    "games",
    "generate",
    "get",
    "give",
    "great",
    "have",
    "html",
    "i",
    "idle",
    "in",
    "incremental",
    "into",
    "is",
    "it",
    "its",
    "just",
    "let",
    "like",
    "little",
    "make",
    "me",
    "my",
    "need",
    "new",
    "nice",
    "of",
    "on",
    "one",
    "or",
    "our",
    "play",
    "please",
    "set",
    "short",
    "should",
    "simple",
    "small",
    "some",
    "that",
    "the",
    "their",
    "theme",
    "themed",
    "there",
    "this",
    "tiny",
    "to",
    "up",
    "us",
    "very",
    "want",
    "we",
    "web",
    "where",
    "which",
    "who",
    "with",
    "would",
    "write",
    "you",
    "your",
];

/// The subject in a job's name, in lower case and at most four words; `None` where
/// the name holds no word that says anything.
pub(crate) fn theme(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let subject = lower
        .split_once(" about ")
        .map_or(lower.as_str(), |(_, subject)| subject);
    let found = subject_words(subject);
    let words = if found.is_empty() {
        subject_words(&lower)
    } else {
        found
    };
    (!words.is_empty()).then(|| words.join(" "))
}

fn subject_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’') {
        let word = word.trim_matches(['\'', '’']);
        let short: String = word.chars().take(14).collect();
        if words.len() < 4
            && word.chars().count() > 1
            && !FILLER.contains(&word)
            && !words.contains(&short)
        {
            words.push(short);
        }
    }
    words
}

/// "lighthouse keepers" becomes "Lighthouse Keepers".
pub(crate) fn title_case(text: &str) -> String {
    let words = text.split_whitespace().map(capitalised);
    words.collect::<Vec<_>>().join(" ")
}

pub(crate) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// Lower-case letters, digits and single hyphens; never empty.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.chars().take(40).collect::<String>();
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        "thing".to_owned()
    } else {
        slug.to_owned()
    }
}

/// At most `most` characters, cut at a space where there is one.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most).collect();
    let end = cut
        .rfind(' ')
        .filter(|end| *end > most / 2)
        .unwrap_or(cut.len());
    cut[..end].trim_end().to_owned()
}

/// Choices that depend on one text and nothing else: FNV-1a, then splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn from(text: &str) -> Self {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash)
    }

    /// Choices of their own for one purpose, so that purposes don't shift each other.
    pub(crate) fn of(&self, purpose: &str) -> Self {
        Self(self.0 ^ Self::from(purpose).0)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let end = u64::try_from(end.max(1)).unwrap_or(1);
        usize::try_from((mixed ^ (mixed >> 31)) % end).unwrap_or(0)
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T; 4]) -> T {
        of[self.below(4)]
    }

    /// The items in an order of their own.
    pub(crate) fn shuffled<T: Copy>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_found() {
        let theme = |name| theme(name).unwrap_or_default();
        assert_eq!(
            theme("a game about lighthouse keepers"),
            "lighthouse keepers"
        );
        assert_eq!(theme("Please make me a small idle game with bees"), "bees");
        assert_eq!(theme("Dragons!"), "dragons");
        assert_eq!(theme("<script>alert(1)</script>"), "script alert");
        assert_eq!(theme("all about me"), "all");
        assert_eq!(theme("   🐝🐝  "), "");
        assert!(theme(&"word".repeat(60)).len() <= 14);
    }

    #[test]
    fn names_become_identifiers() {
        assert_eq!(slug("Night Shift's Oil!"), "night-shift-s-oil");
        assert_eq!(slug("灯台"), "thing");
        assert_eq!(title_case("émile zola"), "Émile Zola");
        assert_eq!(shorten("one two three", 9), "one two");
    }

    #[test]
    fn choices_repeat_and_differ() {
        let draw = |text: &str| {
            let mut choices = Choices::from(text).of("x");
            (0..8).map(|_| choices.below(100)).collect::<Vec<_>>()
        };
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
    }
}
