//! Knobs for tests, from the environment only and in no list of settings: where this host dies
//! or stands still, when something is an orphan, how far its clock is off. Without them each
//! does nothing. What they are is told in docs/src/developing.md.

use crate::settings::Layers;
use anyhow::{Context, Result, anyhow};
use pipeline::{Boundaries, Boundary};
use rustix::process::{Signal, getpid, kill_process};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A container or folder younger than this is never taken for an orphan.
const ORPHAN_AGE: Duration = Duration::from_secs(60);

/// Far longer than a signal takes to reach every thread.
const UNTIL_IT_STOPS: Duration = Duration::from_millis(100);

/// What tests ask for.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    /// The host kills itself here.
    die_at: Option<Point>,
    /// The host stops here, as on SIGSTOP, until it is told to go on.
    stop_at: Option<Point>,
    pub(crate) orphan_age: Duration,
    /// The host's clock is ahead of the machine's.
    pub(crate) clock_ahead: Duration,
}

/// The Nth time that a boundary is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Point {
    boundary: Boundary,
    nth: u32,
}

impl Knobs {
    pub(crate) fn from_layers(layers: &Layers) -> Result<Self> {
        let knobs = Self {
            die_at: point(layers, "GANTRY_DIE_AT")?,
            stop_at: point(layers, "GANTRY_STOP_AT")?,
            orphan_age: millis(layers, "GANTRY_ORPHAN_MS")?.unwrap_or(ORPHAN_AGE),
            clock_ahead: millis(layers, "GANTRY_CLOCK_AHEAD_MS")?.unwrap_or_default(),
        };
        Ok(knobs)
    }

    /// Who is told when a boundary is reached.
    pub(crate) fn boundaries(&self) -> Boundaries {
        let points = [(&self.die_at, Signal::KILL), (&self.stop_at, Signal::STOP)];
        let points: Vec<_> = points
            .into_iter()
            .filter_map(|(point, signal)| Some((point.clone()?, signal)))
            .collect();
        if points.is_empty() {
            return Boundaries::default();
        }
        let left: Vec<_> = points
            .iter()
            .map(|(point, _)| AtomicU32::new(point.nth))
            .collect();
        let left = Arc::new(left);
        Boundaries::told(move |boundary| {
            for ((point, signal), left) in points.iter().zip(left.iter()) {
                if point.boundary == boundary && left.fetch_sub(1, Ordering::SeqCst) == 1 {
                    tracing::warn!(%boundary, nth = point.nth, ?signal, "as GANTRY_…_AT asks");
                    let _ = kill_process(getpid(), *signal);
                    // The signal is the process's: this thread could go on for a moment, past the
                    // boundary. It is stopped while it sleeps.
                    std::thread::sleep(UNTIL_IT_STOPS);
                }
            }
        })
    }
}

fn point(layers: &Layers, name: &str) -> Result<Option<Point>> {
    let text = layers.get(name)?;
    text.map(|text| parse(&text).with_context(|| format!("{name}={text}")))
        .transpose()
}

fn parse(text: &str) -> Result<Point> {
    let (word, nth) = text.split_once(':').unwrap_or((text, "1"));
    let boundary = word.parse().map_err(|error: String| anyhow!(error))?;
    let nth = nth.parse().ok().filter(|nth| *nth > 0);
    let nth = nth.context("what follows the colon must be 1 or more")?;
    Ok(Point { boundary, nth })
}

fn millis(layers: &Layers, name: &str) -> Result<Option<Duration>> {
    let Some(text) = layers.get(name)? else {
        return Ok(None);
    };
    let millis = text.parse().with_context(|| format!("{name}={text}"))?;
    Ok(Some(Duration::from_millis(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_a_boundary_and_how_often() {
        let at = |boundary, nth| Point { boundary, nth };
        assert_eq!(
            parse("run-made").unwrap(),
            at(Boundary::RunMade, 1),
            "the first time, where nothing is said"
        );
        assert_eq!(
            parse("after-commit:12").unwrap(),
            at(Boundary::AfterCommit, 12)
        );
        for wrong in ["after-commit:0", "after-commit:x", "after-commit:"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let error = format!("{:#}", parse("comit").unwrap_err());
        assert!(error.contains("`comit`, only claimed"), "{error}");
    }

    #[test]
    fn without_a_knob_nobody_is_told() {
        let layers = Layers::read(&[], Vec::new(), Some(std::path::Path::new("/dev/null")));
        let knobs = Knobs::from_layers(&layers.unwrap()).unwrap();
        assert_eq!(format!("{:?}", knobs.boundaries()), "untold");
        assert_eq!(knobs.orphan_age, ORPHAN_AGE);
        assert!(knobs.clock_ahead.is_zero());
    }
}
