//! The hunks of a unified diff, as `diff -u` writes them. What the files are called, and how much
//! of it is shown, isn't known here.

use similar::TextDiff;
use std::time::Instant;

/// Lines around what changed.
const AROUND: usize = 3;

/// The text of a file; none where it is something else.
pub(super) fn read(bytes: &[u8]) -> Option<&str> {
    match bytes.contains(&0) {
        true => None,
        false => std::str::from_utf8(bytes).ok(),
    }
}

/// The hunks that make `new` of `old`. Past `deadline` they are still right, and longer than they
/// need be: there are texts that take minutes to compare well.
pub(super) fn unified(old: &str, new: &str, deadline: Instant) -> String {
    let (old, new) = (lines(old), lines(new));
    let mut diff = TextDiff::configure();
    let diff = diff.newline_terminated(true).deadline(deadline);
    let diff = diff.diff_slices(&old, &new);
    diff.unified_diff().context_radius(AROUND).to_string()
}

/// By newlines alone, as `diff` does: a carriage return is a part of its line.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn in_time(old: &str, new: &str) -> String {
        unified(old, new, Instant::now() + Duration::from_secs(3600))
    }

    #[test]
    fn hunks_are_those_of_diff() {
        assert_eq!(in_time("", "a\nb\n"), "@@ -0,0 +1,2 @@\n+a\n+b\n");
        assert_eq!(in_time("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
        assert_eq!(in_time("same\n", "same\n"), "");
        assert_eq!(
            in_time("a\rb\r\n", "a\rc\r\n"),
            "@@ -1 +1 @@\n-a\rb\r\n+a\rc\r\n"
        );
        assert_eq!(
            in_time("1\n2\n3\n4\n5\n6\n7\n8\n9", "1\n2\n3\n4\nfive\n6\n7\n8\n9"),
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
        );
        assert_eq!(
            in_time("a", "a\n"),
            "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
        );
    }

    #[test]
    fn past_the_deadline_a_diff_is_longer_and_still_right() {
        let old: String = (0..100).map(|n| format!("{n}\n")).collect();
        let new: String = (0..100).rev().map(|n| format!("{n}\n")).collect();
        let late = unified(&old, &new, Instant::now());
        let side = |mark: char| -> String {
            let of_it = |line: &&str| line.starts_with([mark, ' ']);
            let lines = late.lines().skip(1).filter(of_it);
            lines.map(|line| format!("{}\n", &line[1..])).collect()
        };
        assert_eq!((side('-'), side('+')), (old.clone(), new.clone()));
        assert!(late.len() > in_time(&old, &new).len());
    }

    #[test]
    fn a_nul_or_half_a_letter_makes_no_text() {
        assert_eq!(read("灯\r\n".as_bytes()), Some("灯\r\n"));
        assert_eq!(read(b"a\0b"), None);
        assert_eq!(read(b"\xe7\x81"), None);
    }
}
