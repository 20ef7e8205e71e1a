//! What passes, and what is written down about it.

use egress::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{ask, connect, send};
use crate::world::{Server, World};
use crate::{HERE, THERE, open, open_with};

#[tokio::test]
async fn bytes_pass_both_ways_to_each_sides_own_end_and_are_counted() {
    let server = Server::hears_and_says(b"heard").await;
    let world = World::default()
        .name("listed.example", &[HERE])
        .server(HERE, 443, &server);
    let opened = open(world).await;
    let way = connect(opened.run.socket_path(), "listed.example:443").await;
    let mut way = way.opened().await;
    way.say(b"twelve bytes").await;
    way.end().await;
    assert_eq!(way.rest().await, "heard");
    let lines = opened.notes.of(2).await;
    assert_eq!(
        lines[0],
        format!("network: listed.example:443: allowed, at {HERE}")
    );
    let ended = "network: listed.example:443: closed; 12 bytes sent, 5 received, in ";
    assert!(lines[1].starts_with(ended), "{lines:?}");
}

#[tokio::test]
async fn what_is_sent_behind_the_request_at_once_passes_too() {
    let server = Server::echo().await;
    let world = World::default()
        .name("a.b.below.example", &[THERE])
        .server(THERE, 443, &server);
    let opened = open(world).await;
    let request = b"CONNECT A.b.Below.example.:443 HTTP/1.1\r\n\r\nat once";
    let mut way = send(opened.run.socket_path(), request).await.opened().await;
    way.hear(b"at once").await;
    assert_eq!(opened.world.resolved(), ["a.b.below.example"]);
}

#[tokio::test]
async fn an_address_that_takes_no_connection_is_followed_by_the_next() {
    let server = Server::echo().await;
    let world = World::default()
        .name("other.example", &[THERE, HERE])
        .server(HERE, 8080, &server);
    let opened = open(world).await;
    let way = connect(opened.run.socket_path(), "other.example:8080").await;
    let mut way = way.opened().await;
    way.say(b"hello").await;
    way.hear(b"hello").await;
}

/// What a server answers with is the client's matter: where it leads elsewhere, the client comes
/// to the same door.
#[tokio::test]
async fn a_redirect_meets_the_same_door() {
    let server = Server::start(|mut stream| async move {
        let mut request = [0; 64];
        let _ = stream.read(&mut request).await;
        let answer = b"HTTP/1.1 302 Found\r\nlocation: https://inside.example/\r\n\r\n";
        let _ = stream.write_all(answer).await;
    })
    .await;
    let world = World::default()
        .name("listed.example", &[HERE])
        .name("inside.example", &["10.0.0.1"])
        .server(HERE, 443, &server);
    let opened = open(world).await;
    let way = connect(opened.run.socket_path(), "listed.example:443").await;
    let mut way = way.opened().await;
    way.say(b"GET / HTTP/1.1\r\n\r\n").await;
    let answer = way.rest().await;
    let leads = answer.split("https://").nth(1).unwrap();
    let next = leads.split('/').next().unwrap();
    let (status, _) = ask(opened.run.socket_path(), &format!("{next}:443")).await;
    assert_eq!((next, status), ("inside.example", 403));
    assert_eq!(opened.world.resolved(), ["listed.example"]);
}

#[tokio::test]
async fn connections_have_a_limit_and_one_more_waits() {
    let server = Server::echo().await;
    let world = World::default()
        .name("listed.example", &[HERE])
        .server(HERE, 443, &server);
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let opened = open_with(world, limits).await;
    let socket = opened.run.socket_path();
    let mut first = connect(socket, "listed.example:443").await.opened().await;
    let mut second = connect(socket, "listed.example:443").await.opened().await;
    // It is in the kernel's queue, and would be refused if it were read.
    let third = connect(socket, "evil.example:443").await;
    for way in [&mut first, &mut second] {
        way.say(b"hello").await;
        way.hear(b"hello").await;
    }
    assert_eq!(opened.notes.lines().len(), 2, "nobody has read it");
    first.end().await;
    first.rest().await;
    assert_eq!(third.refused().await.0, 403);
}
