//! Mutants of pipeline files: lines and values change places, so that many are still TOML, and
//! many of these a pipeline. It doesn't parse what it changes.

use fastrand::Rng;

const KEYS: [&str; 21] = [
    "name",
    "summary",
    "concurrency",
    "budget_usd",
    "id",
    "plugin",
    "attempts",
    "reset",
    "timeout",
    "memory",
    "cpus",
    "disk",
    "network",
    "permissions",
    "model",
    "settings",
    "phase",
    "deploy",
    "settings.a.b",
    "\"\"",
    "unknown",
];
const VALUES: [&str; 44] = [
    "0",
    "1",
    "100",
    "101",
    "-1",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "0xff",
    "1_000",
    "0.01",
    "1024.0",
    "1e308",
    "1e999",
    "nan",
    "-inf",
    "true",
    "false",
    "\"\"",
    "\"a\"",
    "\"A b\"",
    "\"none\"",
    "\"edit\"",
    "\"full\"",
    "\"10m\"",
    "\"0s\"",
    "\"24h\"",
    "\"25h\"",
    "\"99999999999999999999s\"",
    "\"18446744073709551615h\"",
    "\"é\"",
    "\"-1s\"",
    "\"512MiB\"",
    "\"17179869184GiB\"",
    "\"1.5GiB\"",
    "\"1B\"",
    "\"idea@^1\"",
    "\"idea@\"",
    "\"@1\"",
    "\"a@1.2.3-rc.1, <2\"",
    "[]",
    "[\"a.example\"]",
    "{ a = 1, b = { c = [1, \"x\", 2.5] } }",
    "1979-05-27T07:32:00Z",
];
const HEADS: [&str; 6] = [
    "[[phase]]",
    "[deploy]",
    "[phase.settings]",
    "[deploy.settings]",
    "[phase]",
    "[[phase.settings.list]]",
];
/// What TOML or a path, a terminal or a database could stumble over.
const LETTERS: [char; 24] = [
    '"',
    '\'',
    '\\',
    '[',
    ']',
    '{',
    '}',
    '=',
    '.',
    ',',
    '#',
    '\n',
    '\r',
    '\t',
    '\0',
    '\u{1b}',
    '-',
    '/',
    '0',
    'é',
    '\u{feff}',
    '\u{202e}',
    '\u{10ffff}',
    'a',
];

pub(crate) struct Mutator {
    seeds: Vec<Vec<String>>,
}

impl Mutator {
    pub(crate) fn new(seeds: &[Vec<u8>]) -> Self {
        let lines = |seed: &Vec<u8>| {
            let text = String::from_utf8_lossy(seed);
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        Self {
            seeds: seeds.iter().map(lines).collect(),
        }
    }

    /// The same for the same seed, and the same seeds to begin with.
    pub(crate) fn mutant(&self, seed: u64) -> Vec<u8> {
        let mut rng = Rng::with_seed(seed);
        let mut lines = rng.choice(&self.seeds).unwrap().clone();
        for _ in 0..rng.usize(1..=4) {
            self.change(&mut rng, &mut lines);
        }
        let mut text = lines.join("\n");
        if rng.u8(..20) == 0 {
            let end = text.floor_char_boundary(rng.usize(..=text.len()));
            text.truncate(end);
        }
        text.into_bytes()
    }

    fn change(&self, rng: &mut Rng, lines: &mut Vec<String>) {
        let (at, to) = (rng.usize(..=lines.len()), rng.usize(..=lines.len()));
        let Some(line) = lines.get(at).cloned() else {
            return lines.insert(to, new_line(rng));
        };
        match rng.u8(..100) {
            ..35 => lines[at] = with_value(rng, &line),
            35..45 => lines[at] = with_letter(rng, &line),
            45..60 => lines[at] = with_number(rng, &line),
            60..68 => lines.insert(to, new_line(rng)),
            68..75 => drop(lines.remove(at)),
            75..82 => lines.insert(to, line),
            82..88 if to < lines.len() => lines.swap(at, to),
            88..92 => lines[at] = HEADS[rng.usize(..HEADS.len())].to_owned(),
            92..94 => lines[at] = nested(rng),
            _ => {
                let other = rng.choice(&self.seeds).unwrap();
                lines.extend(other.iter().skip(rng.usize(..=other.len())).cloned());
            }
        }
    }
}

fn new_line(rng: &mut Rng) -> String {
    let key = KEYS[rng.usize(..KEYS.len())];
    let value = VALUES[rng.usize(..VALUES.len())];
    format!("{key} = {value}")
}

/// Another value behind the same key.
fn with_value(rng: &mut Rng, line: &str) -> String {
    match line.split_once('=') {
        Some((key, _)) => format!("{key}= {}", VALUES[rng.usize(..VALUES.len())]),
        None => line.to_owned(),
    }
}

/// Another letter, or one more or less, mostly within a text.
fn with_letter(rng: &mut Rng, line: &str) -> String {
    let mut letters: Vec<char> = line.chars().collect();
    if letters.is_empty() {
        return LETTERS[rng.usize(..LETTERS.len())].to_string();
    }
    let at = rng.usize(..letters.len());
    match rng.u8(..4) {
        0 => letters[at] = LETTERS[rng.usize(..LETTERS.len())],
        1 => letters.insert(at, LETTERS[rng.usize(..LETTERS.len())]),
        2 => drop(letters.remove(at)),
        _ => letters[at] = rng.alphanumeric(),
    }
    letters.into_iter().collect()
}

/// Another digit.
fn with_number(rng: &mut Rng, line: &str) -> String {
    let digit = rng.digit(10);
    let digits: Vec<usize> = line
        .char_indices()
        .filter(|(_, letter)| letter.is_ascii_digit())
        .map(|(at, _)| at)
        .collect();
    match rng.choice(digits) {
        Some(at) => format!("{}{digit}{}", &line[..at], &line[at + 1..]),
        None => line.to_owned(),
    }
}

/// Lists in lists, or tables in tables.
fn nested(rng: &mut Rng) -> String {
    let deep = 1 << rng.u32(..12);
    match rng.bool() {
        true => format!(
            "settings = {{ x = {}{} }}",
            "[".repeat(deep),
            "]".repeat(deep)
        ),
        false => format!("settings = {}{}", "{ x = ".repeat(deep), " }".repeat(deep)),
    }
}
