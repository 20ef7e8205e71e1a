//! What benchmarks print: rows, from times that were measured. It measures nothing, and a row
//! that misses its aim is a row like any other.

#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "rows go to standard output, progress to standard error"
)]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a benchmark whose surroundings fail has failed"
)]

pub mod container;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

/// A line of a benchmark's table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    id: String,
    what: String,
    unit: &'static str,
    ours: Option<f64>,
    peer_name: Option<String>,
    peer: Option<f64>,
    aim: Option<f64>,
    met: Option<bool>,
}

impl Row {
    /// A figure by itself.
    #[must_use]
    pub fn new(id: &str, what: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self {
            id: id.to_owned(),
            what: what.into(),
            unit,
            ours: Some(rounded(ours)),
            peer_name: None,
            peer: None,
            aim: None,
            met: None,
        }
    }

    /// A line that could not be measured, and why.
    #[must_use]
    pub fn missing(id: &str, what: &str, unit: &'static str, why: &str) -> Self {
        say(format_args!("{id}: not measured: {why}"));
        Self {
            what: format!("{what} (not measured: {why})"),
            ours: None,
            ..Self::new(id, "", unit, 0.0)
        }
    }

    /// A figure that only another has.
    #[must_use]
    pub fn another(
        id: &str,
        what: impl Into<String>,
        unit: &'static str,
        name: &str,
        peer: f64,
    ) -> Self {
        Self {
            ours: None,
            ..Self::new(id, what, unit, 0.0).against(name, peer)
        }
    }

    /// What it is to be at least.
    #[must_use]
    pub fn at_least(mut self, aim: f64) -> Self {
        self.met = self.ours.map(|ours| ours >= aim);
        self.aim = Some(rounded(aim));
        self
    }

    /// What it is to be at most.
    #[must_use]
    pub fn at_most(mut self, aim: f64) -> Self {
        self.met = self.ours.map(|ours| ours <= aim);
        self.aim = Some(rounded(aim));
        self
    }

    /// What another does, measured in the same run.
    #[must_use]
    pub fn against(mut self, name: &str, peer: f64) -> Self {
        self.peer_name = Some(name.to_owned());
        self.peer = Some(rounded(peer));
        self
    }
}

/// Three digits after the point, which no figure here deserves more of.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Prints the rows for `cargo xtask bench`.
///
/// # Errors
/// Where they can't be written as JSON.
pub fn print(rows: &[Row]) -> serde_json::Result<()> {
    println!("{}", serde_json::to_string(rows)?);
    Ok(())
}

/// What a variable names that `cargo xtask bench` sets; none where the part is missing.
#[must_use]
pub fn place(variable: &str) -> Option<String> {
    let place = std::env::var(variable).ok();
    place.filter(|place| !place.is_empty())
}

/// The file of a built-in plugin.
///
/// # Panics
/// Where `cargo xtask bench` didn't name their folder.
#[must_use]
pub fn built_in(name: &str) -> PathBuf {
    in_folder("GANTRY_TEST_PLUGINS", name)
}

/// The file of one of the tests' guests.
///
/// # Panics
/// Where `cargo xtask bench` didn't name their folder.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    in_folder("GANTRY_TEST_GUESTS", name)
}

fn in_folder(variable: &str, name: &str) -> PathBuf {
    let folder = place(variable).expect("`cargo xtask bench` names the folders");
    Path::new(&folder).join(format!("{name}.wasm"))
}

/// A line of progress.
pub fn say(what: impl std::fmt::Display) {
    eprintln!("{what}");
}

/// Times of one thing, sorted.
#[derive(Clone, Debug)]
pub struct Times(Vec<Duration>);

impl Times {
    /// In any order.
    #[must_use]
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that `percent` of a hundred don't exceed, by the nearest rank.
    ///
    /// # Panics
    /// Where nothing was measured.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        assert!(!self.0.is_empty(), "nothing was measured");
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }

    /// [`Self::percentile`] in milliseconds.
    #[must_use]
    pub fn ms(&self, percent: usize) -> f64 {
        self.percentile(percent).as_secs_f64() * 1e3
    }

    /// [`Self::percentile`] in microseconds.
    #[must_use]
    pub fn us(&self, percent: usize) -> f64 {
        self.percentile(percent).as_secs_f64() * 1e6
    }
}

/// The spread, for people.
impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [least, half, most] = [0, 50, 99].map(|percent| self.percentile(percent));
        write!(
            f,
            "n {}, min {least:?}, p50 {half:?}, p99 {most:?}",
            self.0.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_the_nearest_rank() {
        let times = Times::new((1..=200).rev().map(Duration::from_millis).collect());
        let found = [0, 50, 99, 100].map(|percent| times.ms(percent).round() as u64);
        assert_eq!(found, [1, 100, 198, 200]);
        assert_eq!(Times::new(vec![Duration::from_micros(7)]).us(50), 7.0);
    }

    #[test]
    fn an_aim_is_met_up_to_itself() {
        let met = |ours| Row::new("a", "", "ms", ours).at_most(50.0).met;
        assert_eq!((met(50.0), met(50.01)), (Some(true), Some(false)));
        assert_eq!(Row::missing("a", "", "ms", "why").at_most(50.0).met, None);
        let met = |ours| Row::new("a", "", "jobs/s", ours).at_least(50.0).met;
        assert_eq!((met(50.0), met(49.99)), (Some(true), Some(false)));
        let another = Row::another("a", "", "jobs/s", "it", 60.0);
        assert_eq!((another.ours, another.peer), (None, Some(60.0)));
    }
}
