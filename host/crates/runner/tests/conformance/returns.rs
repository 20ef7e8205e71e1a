//! Hosts that are killed and come back. What a store would say of the run is not looked at.

use crate::stage::{SOON, Stage};
use runner::How;
use std::time::Duration;
use tokio::time::timeout;

pub(crate) async fn a_killed_host_finds_its_run_going_on(stage: Stage) {
    let go = stage.fifo("go");
    let spec = stage.spec("echo once >> count; read go < go; exit 6");
    stage.start_from_a_host_that_is_killed(&spec).await;
    let mut run = stage.start(&spec).await;
    assert!(run.adopted());
    assert!(stage.runner().list().await.unwrap()[0].running);
    stage.tell(go).await;
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 6 });
    assert_eq!(stage.read("workspace/count"), "once\n");
}

pub(crate) async fn a_killed_host_finds_its_run_ended(stage: Stage) {
    let spec = stage.spec("echo once >> count; exit 6");
    stage.start_from_a_host_that_is_killed(&spec).await;
    for _ in 0..2 {
        let mut run = stage.start(&spec).await;
        assert!(run.adopted());
        let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
        assert_eq!(ended.how, How::Exited { code: 6 });
    }
    assert_eq!(stage.read("workspace/count"), "once\n");
}

pub(crate) async fn an_adopted_run_keeps_its_deadline(stage: Stage) {
    let ready = stage.fifo("ready");
    let mut spec = stage.spec("trap 'exit 9' TERM; echo up > ready; while :; do sleep 0.1; done");
    spec.time_limit = Duration::from_millis(1500);
    drop(stage.start(&spec).await);
    stage.hear(ready).await;
    let mut run = stage.start(&spec).await;
    assert!(run.adopted());
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::TimedOut);
    let ran = ended.finished_at.since(ended.started_at);
    assert!(
        ran >= Duration::from_millis(1450) && ran < Duration::from_secs(20),
        "{ran:?}"
    );
}
