//! Bytes in both directions, counted and bounded, until one of the reasons to end it. It doesn't
//! look at them.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::attempt::{End, What};
use crate::run::Out;

const CHUNK: usize = 16 << 10;

/// Bytes that have passed.
#[derive(Debug, Default)]
struct Passed {
    sent: AtomicU64,
    received: AtomicU64,
}

/// Carries bytes until the connection is over; what it came to.
pub(crate) async fn carry(out: &Out, outside: TcpStream, upgrade: OnUpgrade) -> What {
    let (started, passed) = (Instant::now(), Passed::default());
    let limits = &out.shared.limits;
    let mut fence = out.fence.clone();
    let end = tokio::select! {
        biased;
        _ = fence.wait_for(|closed| *closed) => End::Fenced,
        () = out.over.cancelled() => End::RunOver,
        () = sleep(limits.total) => End::TooLong,
        () = idle(&passed, limits.idle) => End::Idle,
        end = both(out, outside, upgrade, &passed) => end,
    };
    What::Ended {
        end,
        sent: passed.sent.load(Ordering::Relaxed),
        received: passed.received.load(Ordering::Relaxed),
        took: started.elapsed(),
    }
}

/// Returns once nothing has passed for that long, and at most twice as long.
async fn idle(passed: &Passed, limit: Duration) {
    let count = || {
        let sent = passed.sent.load(Ordering::Relaxed);
        (sent, passed.received.load(Ordering::Relaxed))
    };
    loop {
        let before = count();
        sleep(limit).await;
        if count() == before {
            return;
        }
    }
}

async fn both(out: &Out, outside: TcpStream, upgrade: OnUpgrade, passed: &Passed) -> End {
    let Ok(agent) = upgrade.await else {
        return End::BrokenOff;
    };
    let (from_agent, to_agent) = split(TokioIo::new(agent));
    let (from_outside, to_outside) = outside.into_split();
    let sent = pass(from_agent, to_outside, &passed.sent, &out.left.sent);
    let received = pass(from_outside, to_agent, &passed.received, &out.left.received);
    match tokio::try_join!(sent, received) {
        Ok(_) => End::Closed,
        Err(end) => end,
    }
}

/// One direction, to its end.
async fn pass(
    from: impl AsyncRead,
    to: impl AsyncWrite,
    passed: &AtomicU64,
    left: &AtomicU64,
) -> Result<(), End> {
    let (mut from, mut to) = (pin!(from), pin!(to));
    let broken = |_| End::BrokenOff;
    let mut buffer = vec![0; CHUNK];
    loop {
        let bytes = from.read(&mut buffer).await.map_err(broken)?;
        if bytes == 0 {
            return to.shutdown().await.map_err(broken);
        }
        take(left, bytes as u64)?;
        to.write_all(&buffer[..bytes]).await.map_err(broken)?;
        passed.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What doesn't fit any more uses up what is left, so that the run's next attempt is refused.
fn take(left: &AtomicU64, bytes: u64) -> Result<(), End> {
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        Some(left.saturating_sub(bytes))
    });
    match taken {
        Ok(left) if left >= bytes => Ok(()),
        _ => Err(End::UsedUp),
    }
}
