//! Counts all memories and all tables of a store together; wasmtime's own limits count each by
//! itself. It never lets a guest see that it was refused: growing past a limit ends the call.

use thiserror::Error;
use wasmtime::{ResourceLimiter, Result};

/// Which limit ended a call.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Broke {
    #[error("all memories together")]
    Memory,
    #[error("all tables together")]
    Tables,
    #[error("time")]
    Time,
    #[error("time in functions of the host")]
    HostTime,
    #[error("bytes handed to the guest")]
    Given,
    #[error("`job.{function}` was called from `{step}`, where there is no job")]
    NoJob {
        function: &'static str,
        step: &'static str,
    },
}

/// What is left of memory and tables.
pub(super) struct Limiter {
    memory_most: usize,
    memory_left: usize,
    elements_left: usize,
    pub(super) broke: Option<Broke>,
}

impl Limiter {
    pub(super) fn new(memory_bytes: usize, table_elements: usize) -> Self {
        Self {
            memory_most: memory_bytes,
            memory_left: memory_bytes,
            elements_left: table_elements,
            broke: None,
        }
    }

    /// Memories never shrink, so that this is the most as well.
    pub(super) fn memory_used(&self) -> usize {
        self.memory_most.saturating_sub(self.memory_left)
    }
}

/// Takes what is asked from what is left. Growth past the guest's own maximum fails by itself and
/// must not count, or a guest that merely tries would use up its memory.
fn take(left: &mut usize, current: usize, desired: usize, maximum: Option<usize>) -> Option<bool> {
    let rest = left.checked_sub(desired.saturating_sub(current))?;
    if maximum.is_some_and(|most| desired > most) {
        return Some(false);
    }
    *left = rest;
    Some(true)
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        take(&mut self.memory_left, current, desired, maximum).ok_or_else(|| {
            self.broke = Some(Broke::Memory);
            Broke::Memory.into()
        })
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        take(&mut self.elements_left, current, desired, maximum).ok_or_else(|| {
            self.broke = Some(Broke::Tables);
            Broke::Tables.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_count_together() {
        let mut limiter = Limiter::new(100, 10);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(limiter.memory_growing(40, 41, None).is_err());
        assert_eq!(limiter.broke, Some(Broke::Memory));
    }

    #[test]
    fn growth_past_the_guests_own_maximum_is_not_counted() {
        let mut limiter = Limiter::new(100, 10);
        assert!(!limiter.memory_growing(0, 60, Some(50)).unwrap());
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(limiter.table_growing(10, 11, None).is_err());
        assert_eq!(limiter.broke, Some(Broke::Tables));
    }
}
