//! What people see: lines, tables, and the tail of a log. It knows nothing of what they say.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// One line for people. A reader that went away is no reason to stop.
pub(crate) fn say(line: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// One line about what went wrong.
pub(crate) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether somebody is watching.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Columns as wide as their widest cell, below a title and a line of heads.
pub(crate) fn table<const N: usize>(title: &str, heads: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heads.map(|head| head.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("  {}", padded.join("  ").trim_end())
    };
    let mut lines = vec![title.to_owned(), line(heads)];
    lines.extend(
        rows.iter()
            .map(|row| line(row.each_ref().map(String::as_str))),
    );
    lines.join("\n")
}

/// The last `count` lines of `text` that aren't blank.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["PostgreSQL".to_owned(), "15.13".to_owned()],
            ["é".to_owned(), "1".to_owned()],
        ];
        assert_eq!(
            table("Parts", ["part", "version"], &rows),
            "Parts\n  part        version\n  PostgreSQL  15.13\n  é           1"
        );
    }

    #[test]
    fn a_tail_leaves_blank_lines_out() {
        assert_eq!(tail("a\n\nb\nc\n\n", 2), "b\nc");
        assert_eq!(tail("a", 5), "a");
        assert_eq!(tail("", 5), "");
    }
}
