//! Ways that are ended by somebody else than their two sides.

use std::time::Duration;

use egress::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Sent, ask, connect, within};
use crate::world::{Server, World};
use crate::{HERE, Opened, open_with};

/// A way to a server that says back what it is told.
async fn open_way(limits: Limits) -> (Opened, Sent, Server) {
    let server = Server::echo().await;
    let world = World::default()
        .name("listed.example", &[HERE])
        .server(HERE, 443, &server);
    let opened = open_with(world, limits).await;
    let way = connect(opened.run.socket_path(), "listed.example:443").await;
    (opened, way.opened().await, server)
}

/// One over which something has passed.
async fn echoing(limits: Limits) -> (Opened, Sent, Server) {
    let (opened, mut way, server) = open_way(limits).await;
    way.say(b"hello").await;
    way.hear(b"hello").await;
    (opened, way, server)
}

#[tokio::test]
async fn a_fence_that_goes_up_cuts_off_what_is_open_and_lets_nothing_out() {
    let (opened, mut way, _server) = echoing(Limits::default()).await;
    opened.fence.send_replace(true);
    assert_eq!(way.rest().await, "");
    let lines = opened.notes.of(2).await;
    let ended = "cut off, since this host may let nothing out any more; 5 bytes sent, 5 received";
    assert!(lines[1].contains(ended), "{lines:?}");

    let (status, _) = ask(opened.run.socket_path(), "listed.example:443").await;
    assert_eq!(status, 503);
    assert_eq!(opened.world.connected().len(), 1);
    let lines = opened.notes.of(3).await;
    assert!(lines[2].contains("lets nothing out"), "{lines:?}");

    opened.fence.send_replace(false);
    let way = connect(opened.run.socket_path(), "listed.example:443").await;
    way.opened().await;
}

#[tokio::test]
async fn a_fence_that_goes_up_takes_back_what_is_not_connected_yet() {
    let opened = open_with(World::default().without_answers(), Limits::default()).await;
    let asked = connect(opened.run.socket_path(), "listed.example:443").await;
    opened.fence.send_replace(true);
    assert_eq!(asked.refused().await.0, 503);
}

#[tokio::test]
async fn a_run_that_is_closed_in_mid_transfer_writes_down_how_far_it_got() {
    let endless = Server::start(|mut stream| async move {
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let world = World::default()
        .name("listed.example", &[HERE])
        .server(HERE, 443, &endless);
    let opened = open_with(world, Limits::default()).await;
    let path = opened.run.socket_path().to_owned();
    let way = connect(&path, "listed.example:443").await;
    let mut way = way.opened().await;
    way.hear(&[b'x'; 10_000]).await;
    // One that has said nothing yet, and one that waits for its name.
    let mut silent = crate::client::send(&path, b"").await;
    opened.run.close().await;
    let lines = opened.notes.lines();
    assert_eq!(lines.len(), 2, "it is written down by now: {lines:?}");
    assert!(lines[1].contains("cut off with the run; 0 bytes sent, "));
    assert!(!lines[1].contains(" 0 received"), "{lines:?}");
    way.rest().await;
    assert_eq!(silent.rest().await, "");
    assert!(!path.exists());
}

#[tokio::test]
async fn what_waits_for_its_name_as_the_run_is_closed_is_refused() {
    let opened = open_with(World::default().without_answers(), Limits::default()).await;
    let asked = connect(opened.run.socket_path(), "listed.example:443").await;
    // It has been read once its name is asked for.
    while opened.world.resolved().is_empty() {
        tokio::task::yield_now().await;
    }
    let (refused, ()) = tokio::join!(asked.refused(), opened.run.close());
    assert_eq!(refused.0, 503, "{refused:?}");
    assert_eq!(opened.notes.lines().len(), 1);
}

#[tokio::test]
async fn a_way_on_which_nothing_passes_is_cut_off() {
    let limits = Limits {
        idle: Duration::from_millis(50),
        ..Limits::default()
    };
    let (opened, mut way, _server) = open_way(limits).await;
    assert_eq!(way.rest().await, "");
    let lines = opened.notes.of(2).await;
    assert!(lines[1].contains("nothing passed any more"), "{lines:?}");
}

#[tokio::test]
async fn a_way_that_is_open_for_too_long_is_cut_off_though_much_passes() {
    let limits = Limits {
        total: Duration::from_millis(200),
        ..Limits::default()
    };
    let (opened, mut way, _server) = open_way(limits).await;
    let mut echo = [0; 4];
    let busy = async {
        while way.0.write_all(b"more").await.is_ok() && way.0.read_exact(&mut echo).await.is_ok() {}
    };
    within(busy).await;
    let lines = opened.notes.of(2).await;
    assert!(lines[1].contains("open for too long"), "{lines:?}");
}

#[tokio::test]
async fn bytes_of_a_run_have_a_limit_in_each_direction() {
    for (sent_bytes, received_bytes) in [(10, 100), (100, 10)] {
        let limits = Limits {
            sent_bytes,
            received_bytes,
            ..Limits::default()
        };
        let (opened, mut way, _server) = echoing(limits).await;
        way.say(b"12345").await;
        way.hear(b"12345").await;
        // Ten have passed, which is all; one more is too many.
        way.say(b"6").await;
        assert_eq!(way.rest().await, "");
        let lines = opened.notes.of(2).await;
        assert!(lines[1].contains("all the bytes that it may"), "{lines:?}");
        let (status, text) = ask(opened.run.socket_path(), "listed.example:443").await;
        assert_eq!(status, 429, "{text}");
        assert_eq!(opened.world.connected().len(), 1);
    }
}
