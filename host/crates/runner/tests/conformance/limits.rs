//! Limits that every runner keeps, each once kept and once broken. Those on memory,
//! processes and the like are in `isolation.rs`.

use crate::stage::{SOON, Stage};
use runner::How;
use std::time::Duration;
use tokio::time::timeout;

pub(crate) async fn time_kept(stage: Stage) {
    let mut spec = stage.spec("exit 0");
    spec.time_limit = Duration::from_secs(30);
    let ended = timeout(SOON, stage.start(&spec).await.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.how, How::Exited { code: 0 });
}

pub(crate) async fn time_broken(stage: Stage) {
    let mut spec = stage.spec("trap 'exit 9' TERM; while :; do sleep 0.1; done");
    spec.time_limit = Duration::from_millis(700);
    let ended = timeout(SOON, stage.start(&spec).await.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.how, How::TimedOut);
    assert_eq!(ended.exit_code, Some(9));
    let ran = ended.finished_at.since(ended.started_at);
    assert!(
        ran >= Duration::from_millis(650) && ran < Duration::from_secs(20),
        "{ran:?}"
    );
}

pub(crate) async fn file_size_kept_and_broken(stage: Stage) {
    let script = "head -c 1048576 /dev/zero > kept || exit 1; \
                  head -c 1048577 /dev/zero > broken && exit 2; exit 0";
    let mut spec = stage.spec(script);
    spec.limits.file_bytes = 1 << 20;
    let ended = timeout(SOON, stage.start(&spec).await.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.how, How::Exited { code: 0 });
    for file in ["workspace/kept", "workspace/broken"] {
        assert_eq!(std::fs::metadata(stage.path(file)).unwrap().len(), 1 << 20);
    }
}

pub(crate) async fn a_flood_of_output_is_dropped(stage: Stage) {
    // The engine writes each line into a log of its own, at a twentieth of the speed.
    let bytes: u64 = if stage.isolates() { 128 << 20 } else { 1 << 30 };
    let mut spec = stage.spec(&format!(
        "yes $(printf flood%01000d 0) | head -c {bytes} >&2; exit 0"
    ));
    spec.limits.log_bytes = 256 << 10;
    let mut run = stage.start(&spec).await;
    let ended = timeout(SOON * 3, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 0 });
    let tail = stage.runner().tail(&spec.name, 64 << 20).await.unwrap();
    assert!(tail.contains("flood000"));
    assert!(tail.len() <= 256 << 10, "{}", tail.len());
    assert!(size(stage.dir.path()) < 1 << 20);
}

/// Of all files below.
fn size(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata().unwrap() {
            found if found.is_dir() => size(&entry.path()),
            found => found.len(),
        })
        .sum()
}
