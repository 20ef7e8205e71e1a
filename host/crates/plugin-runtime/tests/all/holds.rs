//! Holds: what was rolled back or quarantined doesn't answer, whatever began with it, and what a
//! file held before does.

use crate::guests::named;
use crate::host::{Host, job, wanted};
use pipeline::{HoldKind, PluginHold, PluginPin, PluginState, StepError, Timestamp};
use plugin_runtime::Plugins;
use std::fs;

fn hold(pin: PluginPin, kind: HoldKind) -> PluginHold {
    PluginHold {
        pin,
        kind,
        message: "3 jobs faulted".to_owned(),
        at: Timestamp::from_millis(0),
    }
}

impl Host {
    /// Drops this version into `innocent.wasm`.
    async fn version_dropped(&self, version: &str) -> PluginPin {
        let wasm = named("innocent", "innocent", version);
        self.drop_in("innocent.wasm", &wasm).await;
        let digest = pipeline::Digest::of(&wasm);
        let version = version.to_owned();
        let name = "innocent".to_owned();
        PluginPin {
            name,
            version,
            digest,
        }
    }

    async fn holds(&self, holds: Vec<PluginHold>) {
        *self.memory.holds.lock().unwrap() = holds;
        self.plugins.take_holds().await;
    }
}

#[tokio::test]
async fn a_rollback_gives_the_older_generation_also_to_phases_that_began_with_the_newer() {
    let host = Host::open().await;
    host.version_dropped("1.0.0").await;
    let bad = host.version_dropped("2.0.0").await;
    assert_eq!(host.version("innocent").await, "2.0.0");

    host.holds(vec![hold(bad.clone(), HoldKind::RolledBack)])
        .await;
    assert_eq!(host.version("innocent").await, "1.0.0");
    let pinned = host.plugins.resolve(&wanted("innocent"), Some(&bad)).await;
    assert_eq!(pinned.unwrap().pin().version, "1.0.0");
    let reports = host.plugins.reports();
    let of_bad = reports.iter().find(|it| it.digest == bad.digest).unwrap();
    assert_eq!(of_bad.state, PluginState::RolledBack);
    assert_eq!(of_bad.held.as_deref(), Some("3 jobs faulted"));

    // The next digest is free of it, and the hold stays on the old one.
    host.version_dropped("2.0.1").await;
    assert_eq!(host.version("innocent").await, "2.0.1");
    host.version_dropped("2.0.0").await;
    assert_eq!(host.version("innocent").await, "2.0.1");

    host.holds(Vec::new()).await;
    assert_eq!(host.version("innocent").await, "2.0.0");
}

#[tokio::test]
async fn a_quarantined_plugin_makes_jobs_wait_and_not_fail() {
    let host = Host::open().await;
    let only = host.version_dropped("1.0.0").await;
    host.holds(vec![hold(only.clone(), HoldKind::Quarantined)])
        .await;
    let nothing = host.plugins.resolve(&wanted("innocent"), Some(&only)).await;
    let Err(StepError::Held(message)) = nothing else {
        panic!("{:?}", nothing.err())
    };
    for told in [
        "quarantined",
        "3 jobs faulted",
        "drop a mended innocent.wasm",
    ] {
        assert!(message.contains(told), "{message}");
    }
    host.version_dropped("1.0.1").await;
    host.innocent_call().await;
}

#[tokio::test]
async fn after_a_restart_a_held_file_serves_with_what_it_held_before() {
    let host = Host::open().await;
    host.version_dropped("1.0.0").await;
    let bad = host.version_dropped("2.0.0").await;
    host.kept(&bad).await;
    *host.memory.holds.lock().unwrap() = vec![hold(bad, HoldKind::RolledBack)];
    let again = Plugins::open(host.config.clone(), host.memory.clone());
    let again = again.await.unwrap();
    again.settled().await;
    let served = again.resolve(&wanted("innocent"), None).await.unwrap();
    assert_eq!(served.pin().version, "1.0.0");
    let tasks = served.prompt(job()).await.result.unwrap().unwrap();
    assert_eq!(tasks[0].prompt, "Make it.");
}

#[tokio::test]
async fn after_a_restart_a_file_that_went_bad_serves_with_what_it_held_before() {
    let host = Host::open().await;
    let good = host.version_dropped("1.0.0").await;
    host.kept(&good).await;
    host.drop_in("innocent.wasm", b"garbage").await;
    assert_eq!(host.version("innocent").await, "1.0.0");
    let again = Plugins::open(host.config.clone(), host.memory.clone());
    let again = again.await.unwrap();
    again.settled().await;
    let served = again.resolve(&wanted("innocent"), None).await.unwrap();
    assert_eq!(served.pin().version, "1.0.0");
    assert_eq!(again.refused().len(), 1);
}

#[tokio::test]
async fn a_file_that_was_removed_leaves_no_past_behind() {
    let host = Host::open().await;
    let good = host.version_dropped("1.0.0").await;
    host.kept(&good).await;
    fs::remove_file(host.path("innocent.wasm")).unwrap();
    host.plugins.settled().await;
    host.until("its past is forgotten", || {
        host.memory.past.lock().unwrap().is_empty()
    })
    .await;
    host.drop_in("innocent.wasm", b"garbage").await;
    let nothing = host.plugins.resolve(&wanted("innocent"), None).await;
    assert!(matches!(nothing, Err(StepError::Unavailable(_))));
}
