//! How many hosts run at once, over all test programs: each has a seat, which is a locked file.
//! It doesn't care which test sits where.

use std::fs::{self, File};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FlockOperation, flock};

const SEATS: usize = 3;

/// A place among the hosts; free again when it is dropped.
pub(super) struct Seat(#[expect(dead_code, reason = "the lock is what it is kept for")] File);

impl Seat {
    /// Waits for one.
    pub(super) async fn take() -> Self {
        tokio::task::spawn_blocking(take).await.unwrap()
    }
}

fn take() -> Seat {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let folder = std::env::temp_dir().join("gantry-test-seats");
    fs::create_dir_all(&folder).unwrap();
    let seat = |number: usize| File::create(folder.join(format!("seat-{number}"))).unwrap();
    for number in 0..SEATS {
        let file = seat(number);
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Seat(file);
        }
    }
    let file = seat(NEXT.fetch_add(1, Ordering::Relaxed) % SEATS);
    flock(&file, FlockOperation::LockExclusive).unwrap();
    Seat(file)
}
