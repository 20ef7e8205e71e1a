//! A host that dies at each boundary between two things that it does, every time that a job
//! comes to it; the next one goes on. From outside nothing is lost, doubled or left over.
//! Hosts that die while an agent works are in `crash`.

#![expect(clippy::expect_used, reason = "a test that fails here has failed")]

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeline::Boundary;
use reqwest::Method;
use serde_json::json;
use tests::harness::{
    Agents, DEADLINE, Database, Docker, Host, Part, Parts, Setup, Shared, Timeline, gantry,
};
use tests::once;
use tokio::time::{sleep, timeout};

const TASKS: [(&str, &str); 4] = [
    ("idea", "idea"),
    ("design", "currencies"),
    ("design", "progression"),
    ("design", "interface"),
];

/// Two phases, four runs, a site.
const SHORT: &str = "name = \"short\"\n\
    [[phase]]\nid = \"idea\"\nplugin = \"idea\"\n\
    [[phase]]\nid = \"design\"\nplugin = \"design\"\n\
    [deploy]\nplugin = \"static-site\"\n";

/// Reached only where a job is cancelled.
const OF_A_CANCEL: [Boundary; 3] = [
    Boundary::AgentStopped,
    Boundary::BeforeCancel,
    Boundary::AfterCancel,
];

/// The demo agent, and a page to publish.
fn agents() -> Agents {
    let page = "mkdir -p \"$WORKSPACE_DIR/site\"; echo here >\"$WORKSPACE_DIR/site/index.html\"";
    Agents::running(&format!("{page}; {} __demo-agent", gantry().display()))
}

fn setup(agents: &Agents) -> Setup {
    Setup::agents(agents)
        .pipeline("short", SHORT)
        .set("GANTRY_ORPHAN_MS", "300")
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_killed_at_every_boundary_of_a_job() {
    let agents = agents();
    let mut host = Host::start(setup(&agents)).await;
    host.kill().await;
    let mut deaths = 0;
    for boundary in of_a_job() {
        // Slow enough for its output to be told in pieces.
        let pace = (boundary == Boundary::OutputTold).then_some("150");
        host.set("DEMO_PACE_MS", pace);
        for nth in 1.. {
            let point = format!("{boundary}:{nth}");
            if !dies_at(&mut host, &point).await {
                assert!(nth > 1, "no job came to {boundary}");
                break;
            }
            deaths += 1;
            host.restart().await;
            let id = submit(&host, &point).await.unwrap();
            is_whole(&host, &id, &point, agents.book()).await;
            nothing_left(&point, || host.run_folders()).await;
            host.terminate().await;
        }
        println!("{boundary}: {deaths} deaths so far");
    }
    assert!(deaths > 50, "only {deaths} deaths");
}

/// Adopting what the last host left is the next one's way into a job.
#[tokio::test(flavor = "multi_thread")]
async fn killed_again_while_adopting() {
    let agents = agents();
    let mut held = agents.hold("design", "progression");
    let mut host = Host::start(setup(&agents)).await;
    let id = submit(&host, "adopting").await.unwrap();
    held.arrived().await;
    host.kill().await;
    for point in [
        "run-adopted",
        "before-command",
        "folder-ready",
        "run-adopted",
    ] {
        host.set("GANTRY_DIE_AT", Some(point));
        host.restart().await;
        let status = timeout(DEADLINE, host.ends()).await.unwrap();
        assert_eq!(status.signal(), Some(9), "{point}");
    }
    host.set("GANTRY_DIE_AT", None);
    host.restart().await;
    held.let_on().await;
    is_whole(&host, &id, "adopting", agents.book()).await;
    nothing_left("adopting", || host.run_folders()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_boundary_of_a_cancel() {
    let agents = agents();
    let mut host = Host::start(setup(&agents)).await;
    host.kill().await;
    for boundary in OF_A_CANCEL.into_iter().chain([Boundary::RunRemoved]) {
        // The first run's own removal comes before that of the cancelled one.
        let nth = if boundary == Boundary::RunRemoved {
            2
        } else {
            1
        };
        let point = format!("{boundary}:{nth}");
        let mut held = agents.hold("design", "currencies");
        host.set("GANTRY_DIE_AT", Some(&point));
        host.restart().await;
        host.set("GANTRY_DIE_AT", None);
        let id = submit(&host, &format!("cancel-{point}")).await.unwrap();
        let agent = held.arrived().await;
        let cancel = host
            .client()
            .request(Method::POST, &format!("/api/jobs/{id}/cancel"));
        // The host may be gone before it has said that it will.
        let _ = cancel.send().await;
        let status = timeout(DEADLINE, host.ends()).await.unwrap();
        assert_eq!(status.signal(), Some(9), "{point}");
        host.restart().await;
        let job = host.client().ended(&id).await;
        assert_eq!(job["status"], "cancelled", "{point}: {job:#}");
        agent.ended(DEADLINE).await;
        let timeline = Timeline::of(&host.client().events(&id).await);
        assert_eq!(timeline.of_type("job.cancelled").len(), 1, "{point}");
        nothing_left(&point, || host.run_folders()).await;
        host.terminate().await;
        agents.free("design", "currencies");
    }
}

/// Of two hosts one dies, and the other one takes over.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_another_host_takes_over_at_every_boundary() {
    let test = "postgres_another_host_takes_over_at_every_boundary";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let database = Database::new(parts).await;
    let (agents, shared) = (agents(), Shared::new());
    let setup = shared
        .setup(setup(&agents))
        .set("DATABASE_URL", database.url())
        .set("LEASE_SECONDS", "3")
        .set("POLL_INTERVAL", "200");
    let mut host = Host::start(setup.clone()).await;
    host.kill().await;
    let mut heir = host.beside(setup).await;
    heir.kill().await;
    for boundary in of_a_job() {
        for nth in 1.. {
            let point = format!("{boundary}:{nth}");
            // The waits for a lease are what takes the time: a few of each, and all by --full.
            let enough = nth > 1 && std::env::var_os("GANTRY_TEST_FULL").is_none();
            if enough || !dies_at(&mut host, &point).await {
                assert!(nth > 1, "no job came to {boundary}");
                break;
            }
            heir.restart().await;
            let id = submit(&heir, &point).await.unwrap();
            is_whole(&heir, &id, &point, agents.book()).await;
            nothing_left(&point, || shared.run_folders()).await;
            heir.terminate().await;
            // Each has its turn.
            std::mem::swap(&mut host, &mut heir);
        }
    }
    drop((host, heir));
    assert!(shared.processes().is_empty(), "{:?}", shared.processes());
}

/// What stands on an engine while a start is cut short, at each point of it.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_boundary_of_a_start_in_docker() {
    let test = "killed_at_every_boundary_of_a_start_in_docker";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_none() {
        return;
    }
    let docker = Docker::find().unwrap();
    let setup = Setup::docker("http://127.0.0.1:9", "not-used")
        .set("WORKER_IMAGE", docker.demo_image())
        .pipeline("short", SHORT)
        .set("GANTRY_ORPHAN_MS", "300");
    let mut host = Host::start(setup).await;
    host.kill().await;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let of_a_start = [
        Boundary::FolderReady,
        Boundary::RunMade,
        Boundary::RunMarked,
        Boundary::RunStarted,
        Boundary::RunHeardOut,
        Boundary::RunRemoved,
    ];
    for boundary in of_a_start {
        let point = format!("{boundary}:1");
        assert!(dies_at(&mut host, &point).await, "no job came to {point}");
        host.restart().await;
        let id = submit(&host, &point).await.unwrap();
        is_whole(&host, &id, &point, docker.book(since.as_secs(), "")).await;
        let left = || (host.run_folders(), host.containers());
        nothing_left(&point, || {
            let (folders, containers) = left();
            let names = containers.iter().map(|it| it["Name"].to_string());
            folders.into_iter().chain(names).collect()
        })
        .await;
        host.terminate().await;
    }
}

/// What a host leaves that dies, or finds no room, while a run's folder comes or goes.
#[tokio::test(flavor = "multi_thread")]
async fn folders_of_runs_that_came_or_went_by_half_are_cleared_up() {
    let host = Host::start(setup(&agents())).await;
    for name in ["0123456789abcdef", ".new-1", ".gone-1"] {
        let out = host.data().join("run").join(name).join("out");
        std::fs::create_dir_all(out).expect("a folder without a key");
    }
    assert_eq!(host.run_folders().len(), 3);
    nothing_left("by half", || host.run_folders()).await;
}

/// A host stands still between a commit and its command, or in the middle of a start, until
/// another has done all of the job. Then it goes on, and starts nothing again.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_wakes_after_its_lease_starts_no_agent_again() {
    let test = "a_host_that_wakes_after_its_lease_starts_no_agent_again";
    let Some(parts) = Parts::of(test, &[Part::Postgres]) else {
        return;
    };
    let database = Database::new(parts).await;
    let (agents, shared) = (agents(), Shared::new());
    let setup = shared
        .setup(setup(&agents))
        .set("DATABASE_URL", database.url())
        .set("LEASE_SECONDS", "3")
        .set("POLL_INTERVAL", "200");
    let mut sleeper = Host::start(setup.clone()).await;
    sleeper.kill().await;
    let mut heir = sleeper.beside(setup).await;
    heir.kill().await;
    // The second command is the first run of an agent.
    for point in ["before-command:2", "folder-ready"] {
        sleeper.set("GANTRY_STOP_AT", Some(point));
        sleeper.restart().await;
        let id = submit(&sleeper, point).await.unwrap();
        sleeper.said("as GANTRY_…_AT asks").await;
        heir.restart().await;
        heir.client().succeeded(&id).await;
        nothing_left(point, || shared.run_folders()).await;
        sleeper.pause(false);
        sleeper.said("let go of, for its next holder").await;
        // What it might have started has written so by the time that it is reaped.
        nothing_left(point, || shared.run_folders()).await;
        is_whole(&heir, &id, point, agents.book()).await;
        sleeper.terminate().await;
        heir.terminate().await;
    }
}

/// All but those that need something else to happen.
fn of_a_job() -> impl Iterator<Item = Boundary> {
    let all = Boundary::ALL.iter().copied();
    all.filter(|it| !OF_A_CANCEL.contains(it) && *it != Boundary::RunAdopted)
}

/// Submits the one job of this point. Who had no answer submits again, under the same key.
async fn submit(host: &Host, point: &str) -> Option<String> {
    let body = json!({ "name": "a game about a ferry", "pipeline": "short" });
    host.client()
        .try_submit(&body, &format!("at-{point}"))
        .await
}

/// Starts the host, which is to die at this point of the one job that it is given. False: the
/// job ended without coming to it.
async fn dies_at(host: &mut Host, point: &str) -> bool {
    host.set("GANTRY_DIE_AT", Some(point));
    host.restart().await;
    host.set("GANTRY_DIE_AT", None);
    let client = host.client().clone();
    let id = submit(host, point).await;
    let ended = async {
        match id {
            Some(id) => client.ended(&id).await,
            None => std::future::pending().await,
        }
    };
    let status = tokio::select! {
        status = timeout(DEADLINE, host.ends()) => Some(status.expect("it dies, or the job ends")),
        _ = ended => None,
    };
    let status = match status {
        Some(status) => status,
        // The job's end may be told before its host dies of what comes right after.
        None => host.terminate().await,
    };
    let died = status.signal() == Some(9);
    assert!(died || status.success(), "{point}: {status}");
    died
}

/// The job succeeds, and everything in it happened once.
async fn is_whole(host: &Host, id: &str, point: &str, book: Vec<String>) {
    let client = host.client();
    let job = client.succeeded(id).await;
    let timeline = Timeline::of(&client.events(id).await);
    let mut faults = once::faults(&job, timeline.events(), &TASKS);
    let ours: Vec<String> = book.into_iter().filter(|line| line.contains(id)).collect();
    faults.extend(once::runs(&ours));
    assert_eq!(faults, [], "{point}: {job:#}\n{:#?}", timeline.words());
    let sites = client.sites().await;
    let of_job = sites.iter().filter(|site| site["job"] == json!(id)).count();
    assert_eq!(of_job, 1, "{point}: {sites:#?}");
    let mut said = client.logs(id).await;
    said.retain(|line| line.starts_with("Working on"));
    assert_eq!(
        said.len(),
        TASKS.len(),
        "{point}: each line once: {said:#?}"
    );
}

/// What the reaper has to remove is gone soon.
async fn nothing_left<T: std::fmt::Debug>(point: &str, left: impl Fn() -> Vec<T>) {
    let gone = async {
        while !left().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let gone = timeout(DEADLINE, gone).await;
    assert!(gone.is_ok(), "{point}: left over: {:#?}", left());
}
