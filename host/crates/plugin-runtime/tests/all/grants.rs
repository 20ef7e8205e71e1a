//! Capabilities: what a plugin requests and an operator grants, seen from inside a call. How a
//! grant is written is tested where it is read.

use crate::guests::guest;
use crate::host::{Host, job};

async fn host(grants: &str) -> Host {
    let grants = grants.parse().unwrap();
    Host::with(|config| config.grants = grants).await
}

/// WASI's clock in seconds, and its random number, as a call of `tells-time` saw them.
async fn told(host: &Host) -> (u64, u64) {
    let called = host.served("tells-time").await.prompt(job()).await;
    assert_eq!(called.result, Ok(Some(Vec::new())));
    let number = |line: usize| u64::from_str_radix(&called.logs[line].1, 16).unwrap();
    (number(0), number(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_requested_and_granted_is_the_machines() {
    let host = host("tells-time=real-time,real-random").await;
    host.drop_in("tells-time.wasm", &guest("tells-time")).await;
    assert_eq!(host.reason("tells-time.wasm"), "");
    let (first, second) = (told(&host).await, told(&host).await);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    assert!(now.as_secs().abs_diff(first.0) < 60, "{first:?}");
    assert_ne!(first.0, job().now_ms / 1000);
    assert_ne!(first.1, second.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_and_not_requested_is_the_jobs() {
    let host = host("tells-time=real-time,real-random").await;
    let mut quiet = guest("tells-time");
    // The list of its requests, and how long it is.
    let list = [0, 6, 0, 0, 2, 0, 0, 0];
    let at = quiet.windows(8).position(|bytes| bytes == list).unwrap();
    quiet[at + 4] = 0;
    host.drop_in("tells-time.wasm", &quiet).await;
    let (first, second) = (told(&host).await, told(&host).await);
    assert_eq!(first.0, job().now_ms / 1000);
    assert_eq!(first, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_requested_and_not_granted_is_a_refusal() {
    for (grants, told) in [
        (
            "",
            "requests real-time and real-random, which it isn't granted",
        ),
        (
            "other=real-time,real-random",
            "requests real-time and real-random",
        ),
        (
            "tells-time=real-time",
            "requests real-random, which it isn't granted",
        ),
    ] {
        let host = host(grants).await;
        host.drop_in("innocent.wasm", &guest("innocent")).await;
        host.drop_in("tells-time.wasm", &guest("tells-time")).await;
        let reason = host.reason("tells-time.wasm");
        assert!(reason.contains(told), "{grants}: {reason}");
        let mend = "the setting PLUGIN_GRANTS, with `tells-time=real-time,real-random` in it";
        assert!(reason.contains(mend), "{grants}: {reason}");
        host.innocent_call().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_host_has_cannot_be_requested() {
    let host = host("requests-network=real-time").await;
    let guest = guest("requests-network");
    host.drop_in("requests-network.wasm", &guest).await;
    let reason = host.reason("requests-network.wasm");
    let told = "requests `network`, which this host doesn't know: it has real-time, real-random";
    assert!(reason.contains(told), "{reason}");
}
