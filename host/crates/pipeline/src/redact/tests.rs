//! What passes, whole and in pieces. Cuts and secrets are random, by seeds that a failure names.

use super::*;

const SECRETS: [&str; 4] = [
    "0123456789abcdef0123456789abcdef",
    "sk-ant-\"quoted\\/path\"",
    "pässwörter",
    "abcabcabcabc",
];

fn pieces(rng: &mut fastrand::Rng, text: &str, most: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut rest = chars.as_slice();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rng.usize(1..=most).min(rest.len()));
        pieces.push(piece.iter().collect());
        rest = more;
    }
    pieces
}

fn streamed(redactor: &Redactor, pieces: &[String]) -> String {
    let mut stream = RedactedStream::new(redactor.clone());
    let mut shown: String = pieces.iter().map(|piece| stream.push(piece)).collect();
    shown.push_str(&stream.finish());
    shown
}

/// As a machine would write it, wherever it stands.
fn base64(bytes: &[u8]) -> String {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().div_ceil(3) * 3, 0);
    base64_within(&padded, 0, ['+', '/'])
}

#[test]
fn no_secret_passes_however_the_text_is_cut() {
    let redactor = Redactor::new(SECRETS);
    for seed in 0..2_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut text = String::new();
        for _ in 0..rng.usize(1..12) {
            let secret = SECRETS[rng.usize(..SECRETS.len())];
            match rng.u8(..6) {
                0 => text.push_str(secret),
                1 => text.push_str(&escape(secret)),
                2 => text.push_str(&escape(&escape(secret))),
                // The beginning of one, and perhaps the whole of it right after.
                3 => text.extend(secret.chars().take(rng.usize(..secret.len()))),
                4 => text.push_str(["abc", "\\", "\"", "ä", "0123"][rng.usize(..5)]),
                _ => text.push(rng.char('a'..='d')),
            }
        }
        let most = rng.usize(1..9);
        let shown = streamed(&redactor, &pieces(&mut rng, &text, most));
        for secret in SECRETS {
            for form in forms(secret) {
                assert!(!shown.contains(&form), "seed {seed}: {text:?} is {shown:?}");
            }
        }
        assert_eq!(shown, redactor.text(&text), "seed {seed}: {text:?}");
    }
}

#[test]
fn what_holds_no_secret_is_as_it_was() {
    let redactor = Redactor::new(SECRETS);
    for seed in 0..500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let letters = std::iter::repeat_with(|| rng.char('a'..='c'));
        let text: String = letters.take(60).collect();
        if text.contains(SECRETS[3]) {
            continue;
        }
        let most = rng.usize(1..9);
        let shown = streamed(&redactor, &pieces(&mut rng, &text, most));
        assert_eq!(shown, text, "seed {seed}");
    }
    assert_eq!(Redactor::default().text("anything"), "anything");
}

#[test]
fn a_secret_in_base64_is_found_wherever_it_stands() {
    let secret = "correct-horse?>~staple";
    let redactor = Redactor::new([secret]);
    for before in ["", "k", "ke", "key", "key="] {
        for after in ["", "\n", "\n2", "\n22"] {
            let text = base64(format!("{before}{secret}{after}").as_bytes());
            let web = text.replace('+', "-").replace('/', "_");
            for text in [text, web] {
                let shown = redactor.text(&text);
                assert!(shown.contains(MARK), "{before:?} {after:?}: {text}");
                let rest = shown.replace(MARK, "");
                // What it shares a group of three with may stay.
                assert!(rest.len() <= 16, "{before:?} {after:?}: {shown}");
            }
        }
    }
}

#[test]
fn little_is_held_back_and_no_longer_than_it_may_be_a_secret() {
    let redactor = Redactor::new(["abcdefghij"]);
    let mut stream = RedactedStream::new(redactor.clone());
    assert_eq!(stream.push("xy"), "xy");
    assert_eq!(stream.push("abcdefghi"), "");
    assert_eq!(stream.push("k"), "abcdefghik");
    assert_eq!(stream.push("abcdefghijkl"), "[redacted]kl");
    assert_eq!(stream.push("abc"), "");
    assert_eq!(stream.finish(), "abc");
    assert_eq!(stream.push("d"), "d");
    assert!(redactor.longest() >= 10);
}

#[test]
fn what_two_secrets_share_goes_with_both() {
    let redactor = Redactor::new(["aaaabbbb", "bbbbcccc"]);
    assert_eq!(redactor.text("-aaaabbbbcccc-"), "-[redacted]-");
    assert_eq!(redactor.text("aaaabbbbaaaabbbb"), "[redacted][redacted]");
}

#[test]
fn short_ones_are_left_alone_and_of_several_lines_each_is_found() {
    let redactor = Redactor::new(["postgre", "-----\nfirst-line-of-it\nsecond-line\n"]);
    assert_eq!(redactor.text("postgre -----"), "postgre -----");
    assert_eq!(redactor.text("x second-line"), "x [redacted]");
    let more = redactor.and("another-one");
    assert_eq!(
        more.text("another-one first-line-of-it"),
        "[redacted] [redacted]"
    );
    assert_eq!(redactor.text("another-one"), "another-one");
    assert_eq!(format!("{more:?}"), "Redactor(3 secrets)");
}
