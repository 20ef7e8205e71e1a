//! How runs end, and what is known of them then. Limits have cases of their own.

use crate::stage::{SOON, Stage};
use pipeline::FailureKind;
use runner::{How, RunnerError};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use tokio::time::timeout;

pub(crate) async fn an_exit_status_is_kept(stage: Stage) {
    let mut run = stage.start(&stage.spec("exit 7")).await;
    assert!(!run.adopted());
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 7 });
    assert_eq!(ended.exit_code, Some(7));
    assert!(ended.started_at <= ended.finished_at);
    // Ended already: the same answer, and nothing to stop.
    assert_eq!(run.wait().await.unwrap(), ended);
    run.stop(Duration::ZERO).await.unwrap();
}

pub(crate) async fn the_environment_is_the_specs_alone(stage: Stage) {
    let script = "env > \"$OUT_DIR/env\"; pwd > \"$OUT_DIR/pwd\"; cat \"$PROMPT_FILE\" > \"$OUT_DIR/prompt\"; \
                  cat > \"$OUT_DIR/stdin\"; echo kept > \"$SESSION_DIR/s\"; touch \"$HOME/h\" \"$WORKSPACE_DIR/w\"; \
                  id -u > \"$OUT_DIR/uid\"";
    let mut spec = stage.spec(script);
    spec.env
        .insert("MODEL".to_owned(), "a b=c\"$\n'".to_owned());
    let places = stage.runner().places(&spec);
    let mut run = stage.start(&spec).await;
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 0 }, "{}", tail(&stage).await);
    let env = stage.read("out/env");
    assert!(env.contains("MODEL=a b=c\"$\n'"), "{env}");
    // Cargo gives it to each test.
    assert!(!env.contains("CARGO_MANIFEST_DIR"), "{env}");
    assert_eq!(
        stage.read("out/pwd").trim(),
        places.workspace.to_str().unwrap()
    );
    assert_eq!(stage.read("out/prompt"), "make a game");
    assert_eq!(stage.read("out/stdin"), "");
    assert_eq!(stage.read("session/s"), "kept\n");
    assert_eq!(stage.read("workspace/w"), "");
    assert_eq!(stage.read("out/uid").trim(), spec.owner.uid.to_string());
}

pub(crate) async fn what_it_says_is_kept_for_people(stage: Stage) {
    let mut run = stage
        .start(&stage.spec("echo to out; echo MODEL is missing >&2; exit 64"))
        .await;
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 64 });
    let said = tail(&stage).await;
    assert!(
        said.contains("to out\n") && said.contains("MODEL is missing\n"),
        "{said}"
    );
    let name = stage.spec("").name;
    assert_eq!(stage.runner().tail(&name, 8).await.unwrap().len(), 8);
    assert_eq!(stage.runner().tail("gantry-nobody", 8).await.unwrap(), "");
}

pub(crate) async fn a_stop_lets_it_tidy_up(stage: Stage) {
    let ready = stage.fifo("ready");
    let script = "trap 'echo tidied > \"$OUT_DIR/t\"; exit 3' TERM; echo up > ready; while :; do sleep 0.1; done";
    let mut run = stage.start(&stage.spec(script)).await;
    stage.hear(ready).await;
    run.stop(SOON).await.unwrap();
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 3 });
    assert_eq!(stage.read("out/t"), "tidied\n");
}

pub(crate) async fn a_stop_ends_what_ignores_it(stage: Stage) {
    let ready = stage.fifo("ready");
    let script = "trap '' TERM; echo up > ready; while :; do sleep 0.1; done";
    let mut run = stage.start(&stage.spec(script)).await;
    stage.hear(ready).await;
    let asked = Instant::now();
    run.stop(Duration::from_millis(300)).await.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert!(asked.elapsed() < Duration::from_secs(20));
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 137 });
}

pub(crate) async fn wait_can_be_dropped_and_called_again(stage: Stage) {
    let go = stage.fifo("go");
    let mut run = stage.start(&stage.spec("read go < go; exit 5")).await;
    for _ in 0..3 {
        let early = timeout(Duration::from_millis(20), run.wait()).await;
        assert!(early.is_err(), "{early:?}");
    }
    stage.tell(go).await;
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 5 });
}

pub(crate) async fn what_it_left_running_ends_with_it(stage: Stage) {
    let held = stage.fifo("held");
    // In a session of its own, and with an end of the pipe that closes when it dies.
    let script = "exec 3> held; setsid sleep 300 & echo started >&3; exit 0";
    let mut run = stage.start(&stage.spec(script)).await;
    assert_eq!(stage.hear(held).await, "started\n");
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 0 });
}

pub(crate) async fn check_names_a_missing_command_or_image(stage: Stage) {
    let checked = stage.runner().check().await.unwrap();
    assert!(!checked.engine.is_empty());
    assert_eq!(checked.api.is_some(), stage.isolates());
    let about = stage.runner().about();
    assert_eq!(about.isolates, stage.isolates());
    assert_eq!(checked.warnings.contains(&about.note), !about.isolates);

    let broken = stage.broken_runner();
    let spec = stage.spec("exit 0");
    for error in [
        broken.check().await.unwrap_err(),
        broken.start(&spec).await.err().expect("nothing to start"),
    ] {
        match (&error, stage.isolates()) {
            (RunnerError::MissingImage { image, .. }, true) => {
                assert_eq!(image, "gantry-no-such-image")
            }
            (RunnerError::BadCommand { command, .. }, false) => {
                assert_eq!(command, "/no/such/agent")
            }
            _ => panic!("{error}"),
        }
        assert_eq!(error.failure_kind(), FailureKind::Engine);
    }
    // Nothing ran, so the same name may be started once it is mended.
    assert_eq!(stage.runner().list().await.unwrap(), []);
    let mut run = stage.start(&spec).await;
    assert!(!run.adopted());
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 0 });
}

pub(crate) async fn a_command_that_is_missing_can_be_mended(stage: Stage) {
    let spec = stage.spec("exit 0");
    let broken = stage.runner_with(&["no-such-agent"], &stage.installation);
    let error = broken.start(&spec).await.err().expect("nothing to start");
    assert!(matches!(error, RunnerError::BadCommand { .. }), "{error}");
    assert!(error.to_string().contains("no-such-agent"), "{error}");
    let mut run = stage.start(&spec).await;
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert_eq!(ended.how, How::Exited { code: 0 });
}

/// A container's start says so at once; a process's only its shim can find out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_there_and_cannot_be_started_is_named() {
    let stage = Stage::process();
    let agent = stage.path("agent");
    std::fs::write(&agent, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&agent, Permissions::from_mode(0o755)).unwrap();
    let agent = agent.to_str().unwrap();
    let runner = stage.runner_with(&[agent], &stage.installation);
    let mut run = runner.start(&stage.spec("")).await.unwrap();
    let error = timeout(SOON, run.wait()).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, RunnerError::BadCommand { command, .. } if command == agent),
        "{error}"
    );
    assert_eq!(error.failure_kind(), FailureKind::Engine);
}

async fn tail(stage: &Stage) -> String {
    let name = stage.spec("").name;
    stage.runner().tail(&name, 64 << 10).await.unwrap()
}
