//! A shim that is itself killed: the one way in which a process run can be lost. Containers
//! have no shim of ours.

use crate::stage::{SOON, Stage};
use runner::{How, RunnerError};
use tokio::time::timeout;

/// Kills the shim of the stage's only run.
fn kill_shim(stage: &Stage) {
    let folder = std::fs::read_dir(stage.path("state"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let started = std::fs::read_to_string(folder.path().join("shim.json")).unwrap();
    let started: serde_json::Value = serde_json::from_str(&started).unwrap();
    let pid = i32::try_from(started["shim"]["pid"].as_i64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

const HELD: &str = "echo once >> count; exec 3> held; sleep 300 & while :; do sleep 0.1; done";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_shim_is_a_run_that_vanished_and_nothing_of_it_goes_on() {
    let stage = Stage::process();
    let held = stage.fifo("held");
    let spec = stage.spec(HELD);
    let mut run = stage.start(&spec).await;
    let pipe = tokio::task::spawn_blocking(move || std::fs::File::open(held).unwrap());
    let pipe = timeout(SOON, pipe).await.unwrap().unwrap();
    until_started(&stage).await;
    kill_shim(&stage);
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!((ended.how, ended.exit_code), (How::Vanished, None));
    until_closed(pipe).await;
    let error = stage
        .runner()
        .start(&spec)
        .await
        .err()
        .expect("never again");
    assert!(matches!(error, RunnerError::Vanished { .. }), "{error}");
    assert_eq!(stage.read("workspace/count"), "once\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_shim_left_ends_before_the_run_is_called_vanished() {
    let stage = Stage::process();
    let held = stage.fifo("held");
    let spec = stage.spec(HELD);
    stage.start_from_a_host_that_is_killed(&spec).await;
    let pipe = tokio::task::spawn_blocking(move || std::fs::File::open(held).unwrap());
    let pipe = timeout(SOON, pipe).await.unwrap().unwrap();
    until_started(&stage).await;
    kill_shim(&stage);
    // As long as the kernel hasn't ended the shim, it is adopted; then it is gone.
    let error = loop {
        match stage.runner().start(&spec).await {
            Err(error) => break error,
            Ok(mut adopted) => {
                assert!(adopted.adopted());
                let ended = timeout(SOON, adopted.wait()).await.unwrap().unwrap();
                assert_eq!(ended.how, How::Vanished);
            }
        }
    };
    assert!(matches!(error, RunnerError::Vanished { .. }), "{error}");
    until_closed(pipe).await;
}

/// The shim writes its file once the agent runs, so possibly after the agent opened its pipe.
async fn until_started(stage: &Stage) {
    let folder = std::fs::read_dir(stage.path("state"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let file = folder.path().join("shim.json");
    let seen = tokio::task::spawn_blocking(move || {
        while !file.exists() {
            std::thread::yield_now();
        }
    });
    timeout(SOON, seen).await.unwrap().unwrap();
}

/// Until nobody has the pipe open for writing.
async fn until_closed(mut pipe: std::fs::File) {
    let closed = tokio::task::spawn_blocking(move || {
        std::io::Read::read_to_end(&mut pipe, &mut Vec::new()).unwrap()
    });
    timeout(SOON, closed)
        .await
        .expect("the agent is killed")
        .unwrap();
}
