//! What only containers keep: network, capabilities, files, memory, processes, system calls.
//! The engine's own correctness is not tested, but that it was asked for each of these.

use crate::stage::{SOON, Stage};
use runner::{How, RunSpec};
use tokio::time::timeout;

/// Runs the script to its end; what it wrote to standard output and standard error.
async fn run(stage: &Stage, spec: &RunSpec) -> (How, String) {
    let mut run = stage.start(spec).await;
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    let said = stage.runner().tail(&spec.name, 64 << 10).await.unwrap();
    (ended.how, said)
}

/// The script must end with status 0, and say what is wanted.
macro_rules! isolated {
    ($($name:ident: $script:expr, $check:expr;)+) => {
        $(pub(crate) async fn $name(stage: Stage) {
            let (how, said) = run(&stage, &stage.spec($script)).await;
            assert_eq!(how, How::Exited { code: 0 }, "{said}");
            let check: fn(&str) -> bool = $check;
            assert!(check(&said), "{said}");
        })+
    };
}

isolated! {
    the_only_interface_is_loopback:
        "tail -n +3 /proc/net/dev | cut -d: -f1",
        |said| said.split_whitespace().collect::<Vec<_>>() == ["lo"];
    it_has_no_capability_and_can_gain_none:
        "grep -E '^(Cap(Eff|Prm|Bnd|Inh|Amb)|NoNewPrivs|Seccomp):' /proc/self/status",
        |said| said.matches("0000000000000000").count() == 5
            && said.contains("NoNewPrivs:\t1") && said.contains("Seccomp:\t2");
    it_is_not_root:
        "test $(id -u) -ne 0 && test $(id -g) -ne 0",
        str::is_empty;
    only_its_own_folders_are_writable:
        "for f in / /etc /usr /run/gantry /workspace /out /session /tmp /home/agent; do \
         if touch $f/probe 2>/dev/null; then echo $f; fi; done",
        |said| said.lines().collect::<Vec<_>>() == ["/workspace", "/out", "/session", "/tmp", "/home/agent"];
    the_prompt_is_not_writable:
        "if echo x >> /run/gantry/prompt.md; then exit 1; fi; test \"$(cat $PROMPT_FILE)\" = 'make a game'",
        |said| said.contains("Read-only file system") || said.contains("Permission denied");
    vsock_and_io_uring_are_refused:
        // AF_VSOCK, AF_ALG, AF_UNIX, AF_INET, then io_uring_setup and unshare(CLONE_NEWUSER).
        "perl -e 'my $b = \"\\0\" x 200; \
         print join(\" \", map { $_ < 0 ? \"no\" : \"yes\" } syscall(41,40,1,0), syscall(41,38,5,0), \
         syscall(41,1,1,0), syscall(41,2,1,0), syscall(425,1,$b), syscall(272,0x10000000)), \"\\n\"'",
        |said| cfg!(not(target_arch = "x86_64")) || said == "no no yes yes no no\n";
}

/// Podman doesn't always say why a container was killed; that it was, is seen in
/// [`the_engine_at_hand_says_what_it_cannot_enforce`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_kept_and_broken() {
    let Some(stage) = Stage::docker().await else {
        return;
    };
    let hungry = |mib: u32| format!("exec perl -e 'my $x = \"x\" x ({mib} << 20); exit 0'");
    let mut spec = stage.spec(&hungry(16));
    assert_eq!(run(&stage, &spec).await.0, How::Exited { code: 0 });
    spec = stage.spec(&hungry(512));
    spec.key.run = 2;
    spec.name = spec.key.name(&stage.installation);
    assert_eq!(run(&stage, &spec).await.0, How::OutOfMemory);
}

/// Whether the agent ends for that is its own matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_is_killed_for_want_of_memory_is_named() {
    let Some(stage) = Stage::docker().await else {
        return;
    };
    for (number, status, how) in [(1, 3, How::OutOfMemory), (2, 0, How::Exited { code: 0 })] {
        let script = format!("perl -e 'my $x = \"x\" x (512 << 20)'; exit {status}");
        let mut spec = stage.spec(&script);
        spec.key.run = number;
        spec.name = spec.key.name(&stage.installation);
        let mut run = stage.start(&spec).await;
        let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
        assert_eq!((ended.how, ended.starved), (how, true), "{ended:?}");
    }
}

pub(crate) async fn what_lies_in_memory_is_bounded(stage: Stage) {
    // Less than each allows, then more than it does.
    let script = "for f in /tmp /home/agent /dev/shm; do \
        head -c 8000000 /dev/zero >$f/kept || exit 7; \
        if head -c 90000000 /dev/zero >$f/broken; then exit 8; fi; \
        rm $f/kept $f/broken; done; exit 0";
    let mut spec = stage.spec(script);
    spec.limits.memory_bytes = 256 << 20;
    let (how, said) = run(&stage, &spec).await;
    assert_eq!(how, How::Exited { code: 0 }, "{said}");
    assert_eq!(said.matches("No space left on device").count(), 3, "{said}");
}

/// What it says of itself is what the tests here see it do.
pub(crate) async fn the_engine_at_hand_says_what_it_cannot_enforce(stage: Stage) {
    let runner = stage.runner();
    assert!(runner.unenforced().is_empty(), "it wasn't asked yet");
    let checked = runner.check().await.unwrap();
    runner.list().await.unwrap();
    assert_eq!(runner.unenforced(), checked.warnings);
    assert!(checked.cgroup.is_some(), "{checked:?}");
    let hungry = "perl -e 'my $x = \"x\" x (512 << 20)' && exit 4; exit 3";
    let (how, _) = run(&stage, &stage.spec(hungry)).await;
    let says = |what: &str| checked.warnings.iter().any(|line| line.contains(what));
    let had_it = how == How::Exited { code: 4 };
    assert_eq!(had_it, says("memory isn't limited"), "{how:?}");
}

pub(crate) async fn processes_kept_and_broken(stage: Stage) {
    let many = |count: u32| {
        format!(
            "perl -e 'for (1..{count}) {{ my $p = fork; exit 8 if !defined $p; if (!$p) {{ sleep 60 }} }} exit 0'"
        )
    };
    let mut spec = stage.spec(&many(20));
    assert_eq!(run(&stage, &spec).await.0, How::Exited { code: 0 });
    spec = stage.spec(&many(200));
    spec.key.run = 2;
    spec.name = spec.key.name(&stage.installation);
    assert_eq!(run(&stage, &spec).await.0, How::Exited { code: 8 });
}

pub(crate) async fn a_container_that_is_removed_meanwhile_has_ended_badly(stage: Stage) {
    let ready = stage.fifo("ready");
    let spec = stage.spec("echo up > ready; while :; do sleep 0.1; done");
    let mut run = stage.start(&spec).await;
    stage.hear(ready).await;
    stage.runner().remove(&spec.name).await.unwrap();
    // The engine may still show how it was killed, or nothing of it any more.
    let ended = timeout(SOON, run.wait()).await.unwrap().unwrap();
    assert!(
        matches!(ended.how, How::Vanished | How::Exited { code: 137 }),
        "{ended:?}"
    );
}

pub(crate) async fn a_folder_that_the_engine_does_not_see_is_named(stage: Stage) {
    let mut spec = stage.spec("exit 0");
    spec.workspace = stage.path("nowhere");
    let error = stage
        .runner()
        .start(&spec)
        .await
        .err()
        .expect("no such folder");
    assert!(
        matches!(error, runner::RunnerError::BadSpec { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_away_is_an_error_that_passes_and_names_the_mend() {
    let config = runner::DockerConfig {
        host: Some("unix:///nowhere/docker.sock".to_owned()),
        ..runner::DockerConfig::new("gantry-worker", "here")
    };
    let error = runner::Runner::check(&runner::Docker::new(config))
        .await
        .unwrap_err();
    assert!(error.failure_kind().passes());
    let said = error.to_string();
    assert!(
        said.contains("/nowhere/docker.sock") && said.contains("DOCKER_HOST"),
        "{said}"
    );
}

/// Whose a container is: the store's word and the engine's id, both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_of_the_same_store_on_another_engine_is_not_ours() {
    let Some(stage) = Stage::docker().await else {
        return;
    };
    let spec = stage.spec("exit 0");
    run(&stage, &spec).await;
    let engine = stage.client();
    let id = engine.info().await.unwrap().id.unwrap();
    assert!(!id.is_empty());
    let standing = engine.inspect_container(&spec.name, None).await.unwrap();
    let config = standing.config.unwrap();
    let mut labels = config.labels.unwrap();
    let label = labels.get_mut("gantry.installation").unwrap();
    assert_eq!(*label, format!("{}.{id}", stage.installation));
    // The same but for the engine, as a copied store's host made it elsewhere.
    *label = format!("{}.another", stage.installation);
    let mut copy = spec.clone();
    copy.key.run = 2;
    copy.name = copy.key.name(&stage.installation);
    let body = bollard::models::ContainerCreateBody {
        image: config.image,
        cmd: Some(vec!["true".to_owned()]),
        labels: Some(labels),
        ..Default::default()
    };
    let options = bollard::query_parameters::CreateContainerOptionsBuilder::new();
    let options = options.name(&copy.name).build();
    engine.create_container(Some(options), body).await.unwrap();
    let listed = stage.runner().list().await;
    copy.run_dir = stage.path("elsewhere");
    std::fs::create_dir(&copy.run_dir).unwrap();
    let started = stage.runner().start(&copy).await;
    engine.remove_container(&copy.name, None).await.unwrap();
    let names: Vec<String> = listed.unwrap().into_iter().map(|run| run.name).collect();
    assert_eq!(names, [spec.name]);
    let error = started.err().expect("it isn't ours");
    assert!(
        error.to_string().contains("isn't this installation's"),
        "{error}"
    );
}
