//! The attempts of one run, all of them, and the same ones where nothing holds them.

use std::fs;
use std::os::unix::net::UnixListener;

use tests::harness::{Docker, Part, Parts};
use tests::standin::Asked;

use crate::attempts::{
    Elsewhere, HELD, THROUGH, not_held, not_through, on_the_machine, put, seen_through, told,
};
use crate::scene::{IDEA, Scene, attempts, file, image, probe};

/// The agent's own limit: less than it tries to take.
const PIPELINE: &str = "name = \"escape\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\n\
    attempts = 1\npermissions = \"full\"\nmemory = \"1GiB\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_held_inside_and_gets_through_where_nothing_holds_it() {
    let test = "an_attempt_is_held_inside_and_gets_through_where_nothing_holds_it";
    let Some(parts) = Parts::of(test, &[Part::Docker, Part::WorkerImage]) else {
        return;
    };
    let scene = Scene::start(PIPELINE).await;
    held_inside(&scene).await;
    assert_eq!(scene.machine.came(), 0, "nobody has come");
    through_on_the_machine(&scene).await;
    through_where_it_is_unlocked(parts);
    scene.neighbour_goes_on().await;
}

async fn held_inside(scene: &Scene) {
    let names: Vec<&str> = HELD.iter().map(|(name, ..)| *name).collect();
    let all = [THROUGH, &names].concat();
    let steps = vec![probe(), attempts("rows", &scene.given(), &all)];
    scene.plan.set(IDEA, steps);
    let client = scene.host.client();
    let job = scene.submit().await;
    // By the neighbour, for both tools, by two attempts, and after them.
    scene.asked(6).await;
    // It does its work afterwards: nothing was broken that it needs.
    client.succeeded(&job).await;

    let inside = told(&file(client, &job, "rows").await);
    let held: Vec<_> = HELD.iter().map(|(name, why, _)| (*name, *why)).collect();
    let wrong = [not_held(&inside, &held), not_through(&inside, THROUGH)].concat();
    assert!(wrong.is_empty(), "{wrong:#?}\n{inside:#?}");
    assert!(inside["own-token"].contains("/environ"), "{inside:#?}");
    assert_eq!(
        own_requests(&scene.api.asked()),
        ["plain", "please redirect"]
    );
}

/// The machine has what the attempts reach for.
async fn through_on_the_machine(scene: &Scene) {
    let mut names = seen_through(Elsewhere::Machine);
    if scene.machine.tcp6.is_none() {
        names.retain(|name| *name != "tcp6");
    }
    let outside = on_the_machine(&scene.given(), &names).await;
    assert_eq!(not_through(&outside, &names), [""; 0], "{outside:#?}");
    assert!(scene.machine.came() >= 3, "{outside:#?}");
}

/// It is the locks that hold the others: without them, the same image lets them through.
fn through_where_it_is_unlocked(parts: Parts) {
    let names = seen_through(Elsewhere::Unlocked);
    let folder = tempfile::tempdir().unwrap();
    put(folder.path());
    fs::write(folder.path().join("prompt.md"), "").unwrap();
    let _socket = UnixListener::bind(folder.path().join("other.sock")).unwrap();
    let program = ["perl", "/run/gantry/probe.pl", "open=1"];
    let program = [&program, &names[..]].concat();
    let docker = Docker::find().unwrap();
    let unlocked = told(&docker.unlocked(&image(parts), folder.path(), &program));
    assert_eq!(not_through(&unlocked, &names), [""; 0], "{unlocked:#?}");
}

/// What was said in the requests that reached the provider and weren't the CLI's.
fn own_requests(asked: &[Asked]) -> Vec<String> {
    let own = asked.iter().filter(|it| it.body["max_tokens"] == 16);
    let mut said: Vec<String> = own.map(Asked::prompt).collect();
    said.sort();
    said
}
