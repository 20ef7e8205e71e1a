//! Keeping leases up: one heartbeat for all that this host holds, three in a lease time;
//! two while it holds nothing.
//! It takes no jobs.

use crate::Driver;
use crate::signal::Signal;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Beats until the driver ends. On shutdown it goes on while jobs are given back.
pub(crate) async fn run(driver: Arc<Driver>, shutdown: CancellationToken) {
    loop {
        // A host that holds nothing has nothing to lose but its turn.
        let every = match driver.slots.holds().is_empty() {
            true => driver.config.lease_time / 2,
            false => driver.config.lease_time / 3,
        };
        let pause = match beat(&driver).await {
            Ok(()) => every,
            Err(error) => {
                tracing::warn!(%error, "a heartbeat didn't get through");
                (every / 4).min(Duration::from_secs(1))
            }
        };
        if !driver.fence.holds(Instant::now()) && !shutdown.is_cancelled() {
            tracing::error!(
                "the leases of this host have run out: it does nothing until the store is back"
            );
        }
        tokio::time::sleep(pause).await;
    }
}

async fn beat(driver: &Driver) -> Result<(), String> {
    let held = driver.slots.holds();
    let sent = Instant::now();
    let config = &driver.config;
    let limit = config.lease_time / 2;
    let beats = driver
        .parts
        .store
        .heartbeat(&config.host, &held, config.lease_time);
    let beats = match tokio::time::timeout(limit, beats).await {
        Ok(beats) => beats.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("no answer within {} ms", limit.as_millis())),
    };
    let kept: HashMap<_, _> = beats
        .iter()
        .map(|beat| (&beat.hold, beat.cancel_requested))
        .collect();
    for hold in held {
        match kept.get(&hold) {
            None => driver.slots.lose(&hold),
            Some(true) => driver.slots.tell(hold.job, Signal::Cancel),
            Some(false) => {}
        }
    }
    // Last: who looks at the fence after a long pause must find what is lost lost.
    driver.fence.confirm(sent);
    Ok(())
}
