//! Names: one run each, listed for their installation, never started twice.
//! Nothing here kills a host.

use crate::stage::{SOON, Stage};
use pipeline::FailureKind;
use runner::{How, RunnerError};
use tokio::time::timeout;

pub(crate) async fn an_orphan_is_listed_and_removed(stage: Stage) {
    let _held = stage.fifo("held");
    let spec = stage.spec("exec 3> held; echo up >&3; while :; do sleep 0.1; done");
    drop(stage.start(&spec).await);
    let runner = stage.runner();
    let found = runner.list().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, spec.name);
    assert_eq!(found[0].key, spec.key);
    assert_eq!(found[0].job, spec.key.job);
    assert!(found[0].running);
    assert!(found[0].created_at.as_millis() > 0);
    runner.remove(&spec.name).await.unwrap();
    assert_eq!(runner.list().await.unwrap(), []);
    // It has ended: nobody has the pipe open for writing any more.
    let said = stage.path("workspace/held");
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let pipe = rustix::fs::open(said, flags, rustix::fs::Mode::empty()).unwrap();
    assert_eq!(rustix::io::read(&pipe, &mut [0_u8; 8]), Ok(0));
    runner.remove(&spec.name).await.unwrap();
}

pub(crate) async fn another_installations_is_not_listed(stage: Stage) {
    let spec = stage.spec("exit 0");
    timeout(SOON, stage.start(&spec).await.wait())
        .await
        .unwrap()
        .unwrap();
    let other = stage.runner_with(&crate::stage::COMMAND, "another");
    assert_eq!(other.list().await.unwrap(), []);
    let own = stage.runner().list().await.unwrap();
    assert_eq!(own.len(), 1);
    assert!(!own[0].running);
}

pub(crate) async fn two_starts_at_once_are_one(stage: Stage) {
    let spec = stage.spec("echo once >> count; exit 4");
    let (first, second) = (stage.runner(), stage.runner());
    let (first, second) = tokio::join!(first.start(&spec), second.start(&spec));
    let (mut first, mut second) = (first.unwrap(), second.unwrap());
    assert!(first.adopted() != second.adopted());
    for run in [&mut first, &mut second] {
        let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
        assert_eq!(ended.how, How::Exited { code: 4 });
    }
    assert_eq!(stage.read("workspace/count"), "once\n");
}

pub(crate) async fn a_name_is_never_started_again(stage: Stage) {
    let spec = stage.spec("echo once >> count");
    timeout(SOON, stage.start(&spec).await.wait())
        .await
        .unwrap()
        .unwrap();
    stage.runner().remove(&spec.name).await.unwrap();
    let error = stage.runner().start(&spec).await.err().expect("it is gone");
    assert!(
        matches!(&error, RunnerError::Vanished { name } if *name == spec.name),
        "{error}"
    );
    assert_eq!(error.failure_kind(), FailureKind::Interrupted);
    assert_eq!(stage.read("workspace/count"), "once\n");
}

pub(crate) async fn a_name_that_never_ran_is_removed_without_complaint(stage: Stage) {
    let spec = stage.spec("exit 0");
    stage.runner().remove(&spec.name).await.unwrap();
    let mut run = stage.start(&spec).await;
    assert!(!run.adopted());
    timeout(SOON, run.wait()).await.unwrap().unwrap();
}

/// Processes only: an engine refuses the second of a name by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_stands_still_in_a_start_is_named_and_not_waited_for_for_ever() {
    let stage = Stage::process();
    let spec = stage.spec("echo once >> count");
    let stands = std::fs::File::open(stage.path("run")).unwrap();
    stands.lock().unwrap();
    let started = timeout(SOON, stage.runner().start(&spec)).await.unwrap();
    let error = started.err().expect("it isn't this host's turn");
    assert_eq!(error.failure_kind(), FailureKind::Engine);
    assert!(error.to_string().contains("stands still"), "{error}");
    stands.unlock().unwrap();
    let mut run = stage.start(&spec).await;
    timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(stage.read("workspace/count"), "once\n");
}
