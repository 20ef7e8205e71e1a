//! Pins: a phase keeps the bytes that it began with, also on a host that never saw the file.

use crate::guests::named;
use crate::host::{Host, job, wanted};
use pipeline::{Digest, PluginPin, PluginState};
use std::fs;

#[tokio::test]
async fn a_pin_outlives_its_file() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &named("innocent", "innocent", "1.0.0"))
        .await;
    let pin = host.served("innocent").await.pin();
    host.drop_in("innocent.wasm", &named("innocent", "innocent", "2.0.0"))
        .await;
    let pinned = host
        .plugins
        .resolve(&wanted("innocent"), Some(&pin))
        .await
        .unwrap();
    assert_eq!(pinned.pin(), pin);
    fs::remove_file(host.path("innocent.wasm")).unwrap();
    host.plugins.settled().await;
    let pinned = host
        .plugins
        .resolve(&wanted("innocent"), Some(&pin))
        .await
        .unwrap();
    assert!(pinned.prompt(job()).await.result.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_was_never_here_is_fetched() {
    let (here, there) = (Host::open().await, Host::open().await);
    there
        .drop_in("innocent.wasm", &named("innocent", "innocent", "2.0.0"))
        .await;
    let pin = there.served("innocent").await.pin();
    here.drop_in("innocent.wasm", &named("innocent", "innocent", "1.0.0"))
        .await;

    // Nobody has the bytes: the one that serves answers.
    let other = here
        .plugins
        .resolve(&wanted("innocent"), Some(&pin))
        .await
        .unwrap();
    assert_eq!(other.pin().version, "1.0.0");

    let bytes = fs::read(there.path("innocent.wasm")).unwrap();
    // Under the right digest, wrong bytes don't pass.
    here.memory
        .bytes
        .lock()
        .unwrap()
        .insert(pin.digest.clone(), b"other".to_vec());
    let other = here
        .plugins
        .resolve(&wanted("innocent"), Some(&pin))
        .await
        .unwrap();
    assert_eq!(other.pin().version, "1.0.0");

    here.memory
        .bytes
        .lock()
        .unwrap()
        .insert(pin.digest.clone(), bytes);
    let fetched = here
        .plugins
        .resolve(&wanted("innocent"), Some(&pin))
        .await
        .unwrap();
    assert_eq!(fetched.pin(), pin);
    assert!(fetched.prompt(job()).await.result.is_ok());
    // New phases aren't moved by it.
    assert_eq!(here.version("innocent").await, "1.0.0");
    let states: Vec<_> = here.plugins.reports().iter().map(|it| it.state).collect();
    assert_eq!(states, [PluginState::Serving, PluginState::Kept]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_of_another_name_is_not_taken() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &named("innocent", "innocent", "1.0.0"))
        .await;
    host.drop_in("other.wasm", &named("innocent", "other", "1.0.0"))
        .await;
    let pin = host.served("other").await.pin();
    let wrong = PluginPin {
        name: "innocent".to_owned(),
        ..pin.clone()
    };
    for pin in [pin, wrong] {
        let served = host
            .plugins
            .resolve(&wanted("innocent"), Some(&pin))
            .await
            .unwrap();
        assert_eq!(served.pin().name, "innocent");
    }
    let unknown = PluginPin {
        name: "innocent".to_owned(),
        version: "1.0.0".to_owned(),
        digest: Digest::of(b"nobody has these"),
    };
    let served = host
        .plugins
        .resolve(&wanted("innocent"), Some(&unknown))
        .await
        .unwrap();
    assert_ne!(served.pin().digest, unknown.digest);
}
