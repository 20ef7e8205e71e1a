//! The plugin folder: what lands, changes, is broken, and goes. Which guests do harm is
//! `hostile`'s matter.

use crate::guests::{guest, named};
use crate::host::{Host, job, next, wanted};
use pipeline::{Digest, PluginState, StepError};
use plugin_runtime::{PluginChange, PluginError, Plugins};
use rustix::fs::{CWD, FileType, Mode};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

fn innocent(version: &str) -> Vec<u8> {
    named("innocent", "innocent", version)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_file_serves_and_its_bytes_are_kept() {
    let host = Host::open().await;
    let mut changes = host.plugins.changes();
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    host.innocent_call().await;
    let PluginChange::Loaded(report) = next(&mut changes).await else {
        panic!("not loaded");
    };
    assert_eq!(
        (report.name.as_str(), report.version.as_str()),
        ("innocent", "1.0.0")
    );
    assert_eq!((report.generation, report.state), (1, PluginState::Serving));
    assert_eq!(report.steps, ["prompt"]);
    assert_eq!(report.summary, "A guest of the tests");
    // The task that keeps them runs beside; a look is a moment in which it can.
    let until = Instant::now() + crate::host::DEADLINE;
    while !host
        .memory
        .bytes
        .lock()
        .unwrap()
        .contains_key(&report.digest)
    {
        assert!(Instant::now() < until, "the bytes were never kept");
        host.plugins.settled().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_noticed_when_it_is_closed_or_renamed_in() {
    let host = Host::open().await;
    let mut changes = host.plugins.changes();
    fs::write(host.path("innocent.wasm"), innocent("1.0.0")).unwrap();
    assert!(matches!(next(&mut changes).await, PluginChange::Loaded(_)));
    fs::write(host.path(".innocent.wasm.part"), innocent("1.1.0")).unwrap();
    fs::rename(host.path(".innocent.wasm.part"), host.path("innocent.wasm")).unwrap();
    let PluginChange::Loaded(report) = next(&mut changes).await else {
        panic!("not loaded");
    };
    assert_eq!((report.version.as_str(), report.generation), ("1.1.0", 2));
    fs::remove_file(host.path("innocent.wasm")).unwrap();
    assert!(matches!(next(&mut changes).await, PluginChange::Removed(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_replaced_in_place_replaces_its_own_generation() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.2.0")).await;
    let held = host.served("innocent").await;
    // Whatever its version says.
    host.drop_in("innocent.wasm", &innocent("1.1.0")).await;
    assert_eq!(host.version("innocent").await, "1.1.0");
    // Who began with the old one goes on.
    assert_eq!(held.pin().version, "1.2.0");
    assert!(held.prompt(job()).await.result.is_ok());
    let states: Vec<_> = host
        .plugins
        .reports()
        .into_iter()
        .map(|it| (it.version, it.state))
        .collect();
    let (serving, kept) = (PluginState::Serving, PluginState::Kept);
    assert_eq!(
        states,
        [("1.1.0".to_owned(), serving), ("1.2.0".to_owned(), kept)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_accepted_leaves_every_served_plugin_as_it_was() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    let pin = host.served("innocent").await.pin();
    let mut changes = host.plugins.changes();
    let bad: [&[u8]; 3] = [b"", b"garbage", &guest("job-in-describe")];
    for bytes in bad {
        host.drop_in("innocent.wasm", bytes).await;
        assert!(matches!(next(&mut changes).await, PluginChange::Refused(_)));
        assert_eq!(host.served("innocent").await.pin(), pin);
        assert_ne!(host.reason("innocent.wasm"), "");
        host.innocent_call().await;
    }
    // The good bytes again: nothing is refused any more, and nothing is loaded anew.
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    assert_eq!(host.reason("innocent.wasm"), "");
    assert_eq!(host.plugins.reports()[0].generation, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_make_no_new_generation() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    let reports = host.plugins.reports();
    assert_eq!((reports.len(), reports[0].generation), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_version_serves_and_the_next_when_it_goes() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.9.0")).await;
    host.drop_in("innocent@1.10.0.wasm", &innocent("1.10.0"))
        .await;
    assert_eq!(host.version("innocent").await, "1.10.0");
    assert_eq!(host.version("innocent@~1.9").await, "1.9.0");
    let error = host
        .plugins
        .resolve(&wanted("innocent@^2"), None)
        .await
        .err()
        .unwrap();
    let StepError::Unavailable(message) = error else {
        panic!("{error:?}");
    };
    assert!(
        message.contains("loaded is 1.10.0, 1.9.0; drop innocent.wasm of a version ^2"),
        "{message}"
    );

    fs::remove_file(host.path("innocent@1.10.0.wasm")).unwrap();
    host.plugins.settled().await;
    assert_eq!(host.version("innocent").await, "1.9.0");
    fs::remove_file(host.path("innocent.wasm")).unwrap();
    host.plugins.settled().await;
    let gone = host
        .plugins
        .resolve(&wanted("innocent"), None)
        .await
        .err()
        .unwrap();
    let StepError::Unavailable(message) = gone else {
        panic!("{gone:?}");
    };
    assert!(
        message.contains("no file is named for it: drop innocent.wasm into"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_plugin_names_what_was_refused() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", b"garbage").await;
    let error = host
        .plugins
        .resolve(&wanted("innocent"), None)
        .await
        .err()
        .unwrap();
    let StepError::Unavailable(message) = error else {
        panic!("{error:?}");
    };
    assert!(
        message.contains("innocent.wasm was refused: it isn't wasm"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_later_folder_wins_on_equal_versions() {
    let host = Host::open().await;
    let built_in = host.folder.path().join("built-in/innocent.wasm");
    fs::write(&built_in, innocent("1.0.0")).unwrap();
    host.plugins.settled().await;
    let first = host.served("innocent").await.pin();
    // Other bytes of the same version: another summary would do as well.
    let mut other = innocent("1.0.0");
    other.extend([0, 2, 1, b'x']);
    host.drop_in("innocent.wasm", &other).await;
    let second = host.served("innocent").await.pin();
    assert_eq!(second.version, "1.0.0");
    assert_ne!(second.digest, first.digest);
    fs::remove_file(host.path("innocent.wasm")).unwrap();
    host.plugins.settled().await;
    assert_eq!(host.served("innocent").await.pin(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_pipes_are_refused_and_temporary_files_are_ignored() {
    let host = Host::open().await;
    let outside = host.folder.path().join("outside.wasm");
    fs::write(&outside, innocent("1.0.0")).unwrap();
    symlink(&outside, host.path("innocent.wasm")).unwrap();
    rustix::fs::mknodat(
        CWD,
        host.path("pipe.wasm"),
        FileType::Fifo,
        Mode::from(0o600),
        0,
    )
    .unwrap();
    fs::create_dir(host.path("folder.wasm")).unwrap();
    for name in [
        ".innocent.wasm",
        ".innocent.wasm.swp",
        "4913",
        "#innocent.wasm#",
        "innocent.wasm~",
        "innocent.wasm.bak",
        "innocent.wasm.part",
        "innocent.wasm.tmp",
        "x.txt",
    ] {
        fs::write(host.path(name), b"garbage").unwrap();
    }
    host.plugins.settled().await;
    let refused: Vec<_> = host
        .plugins
        .refused()
        .into_iter()
        .map(|it| (it.file, it.reason))
        .collect();
    let row = |file: &str, reason: &str| (file.to_owned(), reason.to_owned());
    assert_eq!(
        refused,
        [
            row("folder.wasm", "isn't a regular file"),
            row(
                "innocent.wasm",
                "is a symbolic link: copy the file itself here"
            ),
            row("pipe.wasm", "isn't a regular file"),
        ]
    );
    assert!(host.plugins.reports().is_empty());
    fs::remove_file(host.path("innocent.wasm")).unwrap();
    host.plugins.settled().await;
    assert_eq!(host.reason("innocent.wasm"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_vanishes_takes_nothing_with_it_and_is_watched_again() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    let (here, away) = (
        host.folder.path().join("plugins"),
        host.folder.path().join("away"),
    );
    fs::rename(&here, &away).unwrap();
    host.plugins.settled().await;
    host.innocent_call().await;
    let mut changes = host.plugins.changes();
    fs::create_dir(&here).unwrap();
    host.plugins.settled().await;
    assert!(matches!(next(&mut changes).await, PluginChange::Removed(_)));
    fs::write(host.path("innocent.wasm"), innocent("1.1.0")).unwrap();
    let PluginChange::Loaded(report) = next(&mut changes).await else {
        panic!("not loaded");
    };
    assert_eq!(report.version, "1.1.0");
}

/// The same plugin of other bytes: what a custom section holds doesn't matter.
fn other_bytes(version: &str) -> Vec<u8> {
    let mut other = innocent(version);
    other.extend([0, 2, 1, b'x']);
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_that_claim_one_name_and_version_are_ranked_alike_on_every_host() {
    let host = Host::open().await;
    host.drop_in("innocent@1.0.0.wasm", &innocent("1.0.0"))
        .await;
    host.drop_in("innocent.wasm", &other_bytes("1.0.0")).await;
    host.innocent_call().await;
    let serves = host.served("innocent").await.pin();
    assert_eq!(host.plugins.reports().len(), 2);
    // Whichever landed first there.
    let later = Plugins::open(host.config.clone(), host.memory.clone()).await;
    let later = later.unwrap();
    later.settled().await;
    let there = later.resolve(&wanted("innocent"), None).await;
    assert_eq!(there.unwrap().pin(), serves);
    fs::remove_file(host.path("innocent@1.0.0.wasm")).unwrap();
    host.plugins.settled().await;
    assert_ne!(host.served("innocent").await.pin(), serves);
    host.innocent_call().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_file_goes_on_under_a_name_that_fits_it() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    let pin = host.served("innocent").await.pin();
    let rename = |from: &str, to: &str| fs::rename(host.path(from), host.path(to)).unwrap();
    rename("innocent.wasm", "innocent@1.0.0.wasm");
    host.plugins.settled().await;
    assert_eq!(host.served("innocent").await.pin(), pin);
    assert!(host.plugins.refused().is_empty());
    rename("innocent@1.0.0.wasm", "other.wasm");
    host.plugins.settled().await;
    assert!(
        host.reason("other.wasm")
            .contains("rename the file or the plugin")
    );
    let gone = host.plugins.resolve(&wanted("innocent"), None).await;
    assert!(matches!(gone, Err(StepError::Unavailable(_))));
    // A phase that began with it goes on.
    let pinned = host.plugins.resolve(&wanted("innocent"), Some(&pin)).await;
    assert!(pinned.unwrap().prompt(job()).await.result.is_ok());
    rename("other.wasm", "innocent.wasm");
    host.plugins.settled().await;
    assert_eq!(host.reason("other.wasm"), "");
    assert_eq!(host.served("innocent").await.pin(), pin);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_files_at_once_all_serve_and_disturb_no_call() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    let names: Vec<String> = (0..10).map(|i| format!("innocent-{i}")).collect();
    for name in &names {
        let path = host.path(&format!("{name}.wasm"));
        fs::write(path, named("innocent", name, "1.0.0")).unwrap();
    }
    let plugins = host.plugins.clone();
    let settled = tokio::spawn(async move { plugins.settled().await });
    while !settled.is_finished() {
        host.innocent_call().await;
    }
    settled.await.unwrap();
    for name in &names {
        assert!(host.served(name).await.prompt(job()).await.result.is_ok());
    }
    for name in &names {
        fs::remove_file(host.path(&format!("{name}.wasm"))).unwrap();
    }
    host.plugins.settled().await;
    for name in &names {
        let gone = host.plugins.resolve(&wanted(name), None).await;
        assert!(matches!(gone, Err(StepError::Unavailable(_))), "{name}");
    }
    host.innocent_call().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_comes_back_as_it_was_changes_nothing() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    let root = host.folder.path();
    fs::rename(root.join("plugins"), root.join("away")).unwrap();
    host.plugins.settled().await;
    fs::rename(root.join("away"), root.join("plugins")).unwrap();
    host.plugins.settled().await;
    host.innocent_call().await;
    assert_eq!(host.plugins.reports()[0].generation, 1);
    // It is watched again: nobody has to ask for a look.
    let mut changes = host.plugins.changes();
    fs::write(host.path("innocent.wasm"), innocent("1.1.0")).unwrap();
    assert!(matches!(next(&mut changes).await, PluginChange::Loaded(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_file_that_becomes_a_link_goes_on_serving() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    let outside = host.folder.path().join("outside.wasm");
    fs::write(&outside, innocent("6.6.6")).unwrap();
    // At once, or a look could see that the file is gone.
    symlink(&outside, host.path(".link")).unwrap();
    fs::rename(host.path(".link"), host.path("innocent.wasm")).unwrap();
    host.plugins.settled().await;
    assert!(host.reason("innocent.wasm").contains("symbolic link"));
    assert_eq!(host.version("innocent").await, "1.0.0");
    host.innocent_call().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_that_saves_by_renaming_replaces_the_plugin() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    // As vim does: can it write here, then the old one aside, the new one in its place.
    fs::write(host.path("4913"), b"").unwrap();
    fs::remove_file(host.path("4913")).unwrap();
    let (file, backup) = (host.path("innocent.wasm"), host.path("innocent.wasm~"));
    fs::rename(&file, &backup).unwrap();
    fs::write(&file, innocent("1.1.0")).unwrap();
    fs::remove_file(&backup).unwrap();
    host.plugins.settled().await;
    assert_eq!(host.version("innocent").await, "1.1.0");
    // As Emacs does: a new file, renamed over the old one.
    fs::write(host.path("#innocent.wasm#"), b"half").unwrap();
    fs::write(host.path(".#innocent-new"), innocent("1.2.0")).unwrap();
    fs::rename(host.path(".#innocent-new"), &file).unwrap();
    host.plugins.settled().await;
    assert_eq!(host.version("innocent").await, "1.2.0");
    assert!(host.plugins.refused().is_empty());
}

/// Whatever a look reads of it, only whole and accepted bytes ever serve.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_read_never_serves_in_part() {
    let host = Host::open().await;
    host.drop_in("innocent.wasm", &innocent("1.0.0")).await;
    let versions: Vec<Vec<u8>> = (0..8).map(|i| innocent(&format!("1.{i}.0"))).collect();
    let digests: Vec<Digest> = versions.iter().map(|bytes| Digest::of(bytes)).collect();
    let path = host.path("innocent.wasm");
    let writer = std::thread::spawn(move || {
        for round in 0..200 {
            // In place and in pieces, as no copy should.
            let mut file = File::create(&path).unwrap();
            for piece in versions[round % 8].chunks(100) {
                file.write_all(piece).unwrap();
            }
        }
    });
    while !writer.is_finished() {
        host.plugins.settled().await;
        host.innocent_call().await;
        let serves = host.served("innocent").await.pin().digest;
        assert!(digests.contains(&serves), "{serves}");
    }
    writer.join().unwrap();
    host.plugins.settled().await;
    assert_eq!(host.version("innocent").await, "1.7.0");
    assert_eq!(host.reason("innocent.wasm"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_plugins_are_ready_when_a_warm_host_opens() {
    let names: Vec<String> = (0..10).map(|i| format!("innocent-{i}")).collect();
    let host = Host::open().await;
    for name in &names {
        let path = host.folder.path().join(format!("built-in/{name}.wasm"));
        fs::write(path, named("innocent", name, "1.0.0")).unwrap();
    }
    host.plugins.settled().await;
    let (config, bytes) = (host.config.clone(), host.memory.clone());
    let began = Instant::now();
    let warm = Plugins::open(config, bytes).await.unwrap();
    let took = began.elapsed();
    assert_eq!(warm.reports().len(), 10, "{:?}", warm.refused());
    // Ten times the aim, for a busy machine and an unoptimised build.
    assert!(took < Duration::from_secs(3), "{took:?}");
    println!("ten plugins ready after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_made_is_named() {
    let host = Host::open().await;
    let mut config = host.config.clone();
    fs::write(host.path("file"), b"").unwrap();
    config.sources = vec![host.path("file")];
    let error = Plugins::open(config, host.memory.clone())
        .await
        .err()
        .unwrap();
    assert!(matches!(&error, PluginError::Folder { path, .. } if *path == host.path("file")));
}
