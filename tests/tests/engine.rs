//! A Docker Engine that dies in the middle of what it was asked for.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use pipeline::RunKey;
use runner::{Docker, DockerConfig, Owner, RunLimits, RunSpec, Runner as _, RunnerError};
use tests::harness::{DEADLINE, Engine, Part, Parts};
use tokio::time::{sleep, timeout};

/// It takes some: what is left of a start differs with the moment.
const STARTS: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_start_in_which_the_engine_died_is_over() {
    let test = "a_start_in_which_the_engine_died_is_over";
    let Some(parts) = Parts::of(test, &[Part::Docker, Part::WorkerImage]) else {
        return;
    };
    let there = tests::harness::Docker::find().unwrap();
    let image = parts.place(Part::WorkerImage);
    let mut engine = Engine::start().await.unwrap();
    there.give(&image, engine.docker());
    let runner = |host: &str| {
        Docker::new(DockerConfig {
            host: Some(host.to_owned()),
            command: Some(vec!["sleep".to_owned(), "60".to_owned()]),
            ..DockerConfig::new(&image, "0123456789ab")
        })
    };
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=STARTS {
        let spec = spec(folder.path(), number);
        let first = runner(engine.docker().host());
        let asked = spec.clone();
        let start = tokio::spawn(async move { first.start(&asked).await.is_ok() });
        sleep(Duration::from_millis(60) + Duration::from_millis(25) * number).await;
        engine.crash().await;
        // However it ended.
        let _ = timeout(DEADLINE, start).await.unwrap();
        engine.go().await;
        let next = runner(engine.docker().host());
        let again = timeout(DEADLINE, next.start(&spec)).await.unwrap();
        match again {
            Ok(mut run) => {
                run.stop(Duration::ZERO).await.unwrap();
                timeout(DEADLINE, run.wait()).await.unwrap().unwrap();
                next.remove(&spec.name).await.unwrap();
            }
            // It is cut off, and gone: its next number has a name of its own.
            Err(RunnerError::Vanished { .. }) => {}
            Err(error) => panic!("start {number}: {error}"),
        }
        assert_eq!(
            engine.docker().containers(folder.path()),
            Vec::<serde_json::Value>::new()
        );
    }
}

fn spec(folder: &Path, number: u32) -> RunSpec {
    let owner = Owner {
        uid: 12_345,
        gid: 12_345,
    };
    let folder = folder.join(number.to_string());
    let made = ["workspace", "run", "out", "session"].map(|name| {
        let made = folder.join(name);
        fs::create_dir_all(&made).unwrap();
        chown(&made, Some(owner.uid), Some(owner.gid)).unwrap();
        made
    });
    let [workspace, run_dir, out_dir, session_dir] = made;
    let key = RunKey {
        job: "0197b6c2-7a1e-7000-8000-000000000001".parse().unwrap(),
        revision: 1,
        phase: "build".to_owned(),
        attempt: 1,
        task: "page".to_owned(),
        run: number,
    };
    RunSpec {
        name: key.name("0123456789ab"),
        key,
        env: BTreeMap::new(),
        workspace,
        run_dir,
        out_dir,
        session_dir,
        owner,
        limits: RunLimits::default(),
        time_limit: Duration::from_secs(300),
    }
}
