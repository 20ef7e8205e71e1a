//! The window of a run over a full queue in which jobs are counted. It reads no clock: the times
//! are those of the events in the database.

use ::tests::bench::say;

/// Seconds from the first start on, and how many after them count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) warm_up: u32,
    pub(crate) length: u32,
}

impl Window {
    /// Until it has closed, seconds after the first start.
    pub(crate) fn end(self) -> u32 {
        self.warm_up + self.length
    }

    /// Jobs a second, of the first start and of all ends, in ms. Where the last end comes before
    /// the window closes, it closes there.
    ///
    /// # Panics
    /// Where no job ended in it.
    pub(crate) fn rate(self, what: &str, begun: i64, ends: &[i64]) -> f64 {
        let opened = begun + i64::from(self.warm_up) * 1000;
        let last = ends.iter().max().copied().unwrap_or(begun);
        let closed = last.min(opened + i64::from(self.length) * 1000);
        let within = ends.iter().filter(|at| (opened + 1..=closed).contains(*at));
        let (jobs, seconds) = (within.count(), (closed - opened) as f64 / 1e3);
        assert!(jobs > 0 && seconds > 0.0, "{what}: no job ended in time");
        say(format_args!("{what}: {jobs} jobs in {seconds:.1} s"));
        jobs as f64 / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_in_the_window_counts() {
        let window = Window {
            warm_up: 1,
            length: 2,
        };
        let ends: Vec<i64> = (0..10_000).step_by(10).map(|ms| 500 + ms).collect();
        assert_eq!(window.rate("all along", 500, &ends), 100.0);
        let ends: Vec<i64> = ends.into_iter().filter(|at| *at <= 2_500).collect();
        assert_eq!(window.rate("ends early", 500, &ends), 100.0);
    }
}
