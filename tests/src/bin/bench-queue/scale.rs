//! How much is measured, by the environment: a quick run, single rows, the long one. It knows no
//! row itself.

use std::time::Duration;

use tests::bench::place;

/// For a first look, and while something is made faster: less of everything.
const QUICK: &str = "GANTRY_BENCH_QUICK";
/// Numbers of rows, as in `1,2`.
const ROWS: &str = "GANTRY_BENCH_ROWS";
/// Also measure what takes many minutes.
const LONG: &str = "GANTRY_BENCH_LONG";
/// For how many seconds, then.
const LONG_SECONDS: &str = "GANTRY_BENCH_LONG_SECONDS";

/// How much.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    quick: bool,
    rows: Option<Vec<usize>>,
    long: Option<Duration>,
}

impl Scale {
    pub(crate) fn of_environment() -> Self {
        let rows = place(ROWS).map(|rows| {
            let numbers = rows.split(',').map(|number| number.trim().parse());
            numbers
                .collect::<Result<_, _>>()
                .unwrap_or_else(|_| panic!("{ROWS} must be numbers, as in 1,2"))
        });
        let seconds = place(LONG_SECONDS).map_or(600, |seconds| {
            seconds
                .parse()
                .unwrap_or_else(|_| panic!("{LONG_SECONDS} must be a number"))
        });
        Self {
            quick: place(QUICK).is_some(),
            rows,
            long: place(LONG).map(|_| Duration::from_secs(seconds)),
        }
    }

    /// Whether the row of this number is wanted.
    pub(crate) fn wants(&self, row: usize) -> bool {
        self.rows.as_ref().is_none_or(|rows| rows.contains(&row))
    }

    /// This many; in a quick run that many.
    pub(crate) fn of<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// How long the long run is; none without it.
    pub(crate) fn long(&self) -> Option<Duration> {
        self.long
    }
}
