//! What a job's agent may take on the disk, when that is too much, and in which words. Who looks
//! is the driver's matter, and how much there is the workspace's.

use std::fmt;
use std::time::Duration;

/// What trees take on a disk, or may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes, as the file system counts them: a hole in a file takes none.
    pub bytes: u64,
    /// Files, folders and everything else that has a name.
    pub entries: u64,
    /// Folders that can't be looked into: closed to the host, or too deep within each other.
    pub hidden: u64,
}

/// That an agent's files take more than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskPast {
    used: DiskUse,
    most: DiskUse,
}

/// For an agent's output, its session and what its tools leave for a moment.
const TIDY_BYTES: u64 = 256 << 20;
const TIDY_ENTRIES: u64 = 1_000;
/// Between two looks, where they cost nothing.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// A look may take a twentieth of the time.
const PAUSE_FOR_A_LOOK: u32 = 19;

impl DiskUse {
    /// Entries that an agent may have, whatever their size: each takes an inode, and a moment at
    /// each look.
    pub const ENTRIES_MOST: u64 = 500_000;

    /// So many bytes, and what else goes with them.
    pub const fn of_bytes(bytes: u64) -> Self {
        Self {
            bytes,
            entries: Self::ENTRIES_MOST,
            hidden: 0,
        }
    }

    /// What is too much of it; none where nothing is.
    pub fn past(&self, most: &Self) -> Option<DiskPast> {
        let fits =
            self.bytes <= most.bytes && self.entries <= most.entries && self.hidden <= most.hidden;
        (!fits).then_some(DiskPast {
            used: *self,
            most: *most,
        })
    }

    /// The limit on a run that found `self`, while it works: whoever finds too much may tidy it up,
    /// for which an agent needs some room.
    #[must_use]
    pub fn or_at_start(&self, most: &Self) -> Self {
        if self.past(most).is_none() {
            return *most;
        }
        Self {
            bytes: self.bytes.saturating_add(TIDY_BYTES).max(most.bytes),
            entries: self.entries.saturating_add(TIDY_ENTRIES).max(most.entries),
            hidden: self.hidden.max(most.hidden),
        }
    }
}

impl fmt::Display for DiskPast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { used, most } = self;
        if used.bytes > most.bytes {
            let (used, most) = (size(used.bytes), size(most.bytes));
            return write!(
                f,
                "the agent's files take {used} on the disk, and {most} are allowed: leave less, or raise `disk` of the phase"
            );
        }
        if used.entries > most.entries {
            let most = most.entries;
            return write!(
                f,
                "the agent left more than the {most} files and folders that are allowed: leave fewer"
            );
        }
        write!(
            f,
            "the agent left {} folders that can't be looked into, so that nobody knows what they hold: leave them open to their owner, and less deep within each other",
            used.hidden
        )
    }
}

/// How long to leave a tree alone after a look that took so long.
pub fn pause_after_look(took: Duration) -> Duration {
    took.saturating_mul(PAUSE_FOR_A_LOOK).max(LEAST_PAUSE)
}

/// Bytes for people, with the unit that leaves the least digits before the point; rounded up, so
/// that what is past a limit doesn't look like it.
fn size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >> shift > 0 {
            let (whole, rest) = (bytes >> shift, bytes & ((1 << shift) - 1));
            return match (rest * 100).div_ceil(1 << shift) {
                0 => format!("{whole} {unit}"),
                100 => format!("{} {unit}", whole + 1),
                hundredths => format!("{whole}.{hundredths:02} {unit}"),
            };
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: DiskUse = DiskUse::of_bytes(4 << 30);

    fn used(bytes: u64, entries: u64, hidden: u64) -> DiskUse {
        DiskUse {
            bytes,
            entries,
            hidden,
        }
    }

    #[test]
    fn each_limit_is_kept_and_broken() {
        let most = DiskUse::ENTRIES_MOST;
        assert_eq!(used(4 << 30, most, 0).past(&LIMIT), None);
        for (used, said) in [
            (
                used((4 << 30) + (1 << 20), 1, 0),
                "take 4.01 GiB on the disk, and 4 GiB are allowed",
            ),
            (
                used(5 << 30, most + 1, 1),
                "take 5 GiB on the disk, and 4 GiB are allowed: leave less, or raise `disk`",
            ),
            (
                used(1, most + 1, 0),
                "more than the 500000 files and folders",
            ),
            (used(1, 1, 2), "left 2 folders that can't be looked into"),
        ] {
            let past = used.past(&LIMIT).unwrap().to_string();
            assert!(past.contains(said), "{past}");
        }
    }

    #[test]
    fn who_finds_too_much_may_tidy_it_up_and_add_little_to_it() {
        let found = used(6 << 30, 7, 1);
        let most = found.or_at_start(&LIMIT);
        assert_eq!(used((6 << 30) + TIDY_BYTES, 9, 1).past(&most), None);
        assert_eq!(used(5 << 30, 9, 0).past(&most), None);
        assert!(used((6 << 30) + TIDY_BYTES + 1, 7, 1).past(&most).is_some());
        assert!(used(6 << 30, 7, 2).past(&most).is_some());
        let many = used(0, DiskUse::ENTRIES_MOST + 1, 0).or_at_start(&LIMIT);
        assert_eq!(many.entries, DiskUse::ENTRIES_MOST + 1 + TIDY_ENTRIES);
        assert_eq!(used(4 << 30, 7, 0).or_at_start(&LIMIT), LIMIT);
    }

    #[test]
    fn a_look_takes_a_twentieth_of_the_time_at_most() {
        assert_eq!(pause_after_look(Duration::ZERO), LEAST_PAUSE);
        let slow = Duration::from_secs(3);
        assert_eq!(pause_after_look(slow), Duration::from_secs(57));
    }

    #[test]
    fn sizes_are_said_as_people_say_them() {
        for (bytes, said) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1 << 10, "1 KiB"),
            (3 << 19, "1.50 MiB"),
            ((1 << 30) + (1 << 24), "1.02 GiB"),
            (u64::MAX, "17179869184 GiB"),
        ] {
            assert_eq!(size(bytes), said);
        }
    }
}
