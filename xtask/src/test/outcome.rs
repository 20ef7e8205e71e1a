//! What the tests' output comes to: counts, names that failed, and what did not run and
//! why. It only reads text; it starts nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitStatus;

use crate::term::table;

/// What stands in the reason of a test that runs with `--full` only.
const FULL: &str = "--full";

/// What libtest printed, over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Results {
    passed: usize,
    failed: usize,
    ignored: usize,
    failures: Vec<String>,
    ignored_names: Vec<(String, String)>,
}

impl Results {
    /// Takes in one line of output.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.passed += count(rest, "passed");
            self.failed += count(rest, "failed");
            self.ignored += count(rest, "ignored");
        } else if let Some((name, verdict)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        {
            if verdict == "FAILED" {
                self.failures.push(name.to_owned());
            } else if let Some(reason) = verdict.strip_prefix("ignored") {
                let reason = reason.trim_start_matches(", ");
                let reason = if reason.is_empty() {
                    "ignored, without a reason"
                } else {
                    reason
                };
                self.ignored_names
                    .push((name.to_owned(), reason.to_owned()));
            }
        }
    }
}

/// The number before `what` in `ok. 3 passed; 0 failed; 1 ignored; …`.
fn count(text: &str, what: &str) -> usize {
    text.split([';', '.'])
        .filter_map(|part| part.trim().strip_suffix(what))
        .find_map(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

/// What tests wrote into the file named by `GANTRY_TEST_NOT_RUN`: `NAME: REASON`, one a line.
/// libtest counts these as passed; they aren't.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NotRun {
    want_of_a_part: BTreeMap<String, String>,
    full_only: BTreeMap<String, String>,
}

impl NotRun {
    /// Reads the file. A name counts once, however often it was written.
    pub(super) fn read(text: &str) -> Self {
        let mut not_run = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let line = line.strip_prefix("gantry-test: not run: ").unwrap_or(line);
            let (name, reason) = line.split_once(": ").unwrap_or((line, "no reason given"));
            let kind = if reason.contains(FULL) {
                &mut not_run.full_only
            } else {
                &mut not_run.want_of_a_part
            };
            kind.entry(name.trim().to_owned())
                .or_insert_with(|| reason.trim().to_owned());
        }
        not_run
    }
}

/// The last line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counts {
    passed: usize,
    /// Whether the run as a whole failed.
    pub(super) failed: usize,
    skipped: usize,
}

impl Counts {
    /// Adds up. With `require_all` what wanted a part, and each part that is missing, has
    /// failed; without, the tests that wanted one are skipped.
    pub(super) fn new(
        results: &Results,
        not_run: &NotRun,
        missing: usize,
        cargo_succeeded: bool,
        require_all: bool,
    ) -> Self {
        let wanting = not_run.want_of_a_part.len();
        let not_really = wanting + not_run.full_only.len();
        let mut counts = Self {
            passed: results.passed.saturating_sub(not_really),
            failed: results.failed,
            skipped: results.ignored,
        };
        if require_all {
            counts.failed += wanting + missing;
        } else {
            counts.skipped += wanting;
        }
        if !cargo_succeeded && results.failed == 0 {
            counts.failed += 1;
        }
        counts
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// What failed, for people.
pub(super) fn failures(results: &Results, status: ExitStatus) -> String {
    let mut lines: Vec<String> = results
        .failures
        .iter()
        .map(|name| format!("failed: {name}"))
        .collect();
    if !status.success() && results.failed == 0 {
        lines.push(format!(
            "failed: a test program didn't build or didn't end by itself ({status})"
        ));
    }
    lines.join("\n")
}

/// Everything that did not run, and why: missing parts first.
pub(super) fn not_run_table(
    results: &Results,
    not_run: &NotRun,
    missing: &[(&str, String)],
) -> String {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut add = |name: &str, reason: &str| rows.push([name.to_owned(), reason.to_owned()]);
    for (part, reason) in missing {
        add(&format!("(part) {part}"), reason);
    }
    for (name, reason) in &not_run.want_of_a_part {
        add(name, reason);
    }
    for (name, reason) in &results.ignored_names {
        add(name, reason);
    }
    for (name, reason) in &not_run.full_only {
        add(name, reason);
    }
    if rows.is_empty() {
        return "Not run: nothing, everything ran".to_owned();
    }
    table("Not run", ["what", "why"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 3 tests
test a::b ... ok
test a::c ... FAILED
test a::d ... ignored, wants a kernel
test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 12 tests
test src/lib.rs - x (line 3) ... ok
test src/lib.rs - y (line 9) ... ignored
test result: ok. 11 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 1.20s
";

    fn results() -> Results {
        let mut results = Results::default();
        OUTPUT.lines().for_each(|line| results.read(line));
        results
    }

    #[test]
    fn all_test_programs_are_added_up() {
        let results = results();
        assert_eq!(
            (results.passed, results.failed, results.ignored),
            (12, 1, 2)
        );
        assert_eq!(results.failures, ["a::c"]);
        let counts = Counts::new(&results, &NotRun::default(), 0, false, false);
        assert_eq!(counts.to_string(), "12 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn a_test_that_wanted_a_part_is_skipped_and_not_passed() {
        let not_run = NotRun::read("docker::runs: no engine\ndocker::runs: no engine\n\n");
        let counts = Counts::new(&results(), &not_run, 1, false, false);
        assert_eq!(counts.to_string(), "11 passed, 1 failed, 3 skipped");
    }

    #[test]
    fn a_test_that_wanted_a_part_has_failed_where_all_is_required() {
        let not_run = NotRun::read("gantry-test: not run: docker::runs: no engine\n");
        let counts = Counts::new(&results(), &not_run, 1, false, true);
        assert_eq!(counts.to_string(), "11 passed, 3 failed, 2 skipped");
    }

    #[test]
    fn what_only_full_runs_is_neither_passed_nor_failed_nor_skipped() {
        let not_run = NotRun::read("chaos::long: only with --full\n");
        let counts = Counts::new(&results(), &not_run, 0, false, true);
        assert_eq!(counts.to_string(), "11 passed, 1 failed, 2 skipped");
        assert!(not_run_table(&results(), &not_run, &[]).contains("chaos::long"));
    }

    #[test]
    fn a_run_that_ended_badly_without_a_failed_test_has_failed() {
        let counts = Counts::new(&Results::default(), &NotRun::default(), 0, false, false);
        assert_eq!(counts.failed, 1);
        let counts = Counts::new(&Results::default(), &NotRun::default(), 0, true, false);
        assert_eq!(counts.failed, 0);
    }

    #[test]
    fn the_table_lists_parts_then_tests() {
        let not_run = NotRun::read("docker::runs: no engine");
        let text = not_run_table(&results(), &not_run, &[("Docker Engine", "why".to_owned())]);
        let rows: Vec<&str> = text.lines().skip(2).map(str::trim).collect();
        assert!(rows[0].starts_with("(part) Docker Engine"), "{text}");
        assert!(
            rows[1].starts_with("docker::runs") && rows[1].ends_with("no engine"),
            "{text}"
        );
        assert!(
            rows[2].starts_with("a::d") && rows[2].ends_with("wants a kernel"),
            "{text}"
        );
        assert!(rows[3].ends_with("ignored, without a reason"), "{text}");
    }
}
