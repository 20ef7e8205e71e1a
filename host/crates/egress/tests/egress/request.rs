//! What comes over the socket and isn't a request that is understood.

use std::time::Duration;

use egress::Limits;

use crate::client::{connect, send};
use crate::world::{Server, World};
use crate::{HERE, Opened, open, open_with};

async fn world() -> (World, Server) {
    let server = Server::echo().await;
    let world = World::default()
        .name("listed.example", &[HERE])
        .server(HERE, 443, &server);
    (world, server)
}

/// After whatever came before, others are served.
async fn serves(opened: &Opened) {
    let way = connect(opened.run.socket_path(), "listed.example:443").await;
    let mut way = way.opened().await;
    way.say(b"still here").await;
    way.hear(b"still here").await;
}

#[tokio::test]
async fn rubbish_is_a_400_and_a_line() {
    let (world, _server) = world().await;
    let opened = open(world).await;
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for (count, bytes) in [
        &b"\0\0\0\0\0\0\0\0\0\0"[..],
        tls,
        b"EHLO listed.example\r\n\r\n",
        b"CONNECT listed.example:443\r\n\r\n",
        b"CONNECT listed.example:443 HTTP/1.1\r\n\xff\xff: x\r\n\r\n",
        b"CONNECT li\x07sted.example:443 HTTP/1.1\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let (status, text) = send(opened.run.socket_path(), bytes).await.refused().await;
        assert_eq!(status, 400, "{bytes:?}: {text}");
        let lines = opened.notes.of(count + 1).await;
        let line = "network: a connection: refused: it isn't an HTTP request";
        assert!(lines[count].starts_with(line), "{lines:?}");
    }
    assert!(opened.world.resolved().is_empty());
    serves(&opened).await;
}

#[tokio::test]
async fn a_target_without_port_or_with_more_than_a_name_is_a_400_that_says_why() {
    let (world, _server) = world().await;
    let opened = open(world).await;
    for target in [
        "listed.example",
        "u:p@listed.example:443",
        "listed.example:0",
    ] {
        let way = connect(opened.run.socket_path(), target).await;
        let (status, text) = way.refused().await;
        assert_eq!(status, 400, "{target}");
        assert!(text.contains("a host name and a port"), "{text}");
    }
    assert!(opened.world.resolved().is_empty());
}

#[tokio::test]
async fn plain_http_is_refused_with_what_to_do_instead() {
    let (world, _server) = world().await;
    let opened = open(world).await;
    for request in [
        "GET http://listed.example/ HTTP/1.1\r\nhost: listed.example\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: listed.example:443\r\n\r\n",
        "HEAD / HTTP/1.0\r\n\r\n",
        "POST http://listed.example/ HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
    ] {
        let sent = send(opened.run.socket_path(), request.as_bytes()).await;
        let (status, text) = sent.refused().await;
        assert_eq!(status, 405, "{request}");
        assert!(
            text.starts_with("HTTP/1.") && text.contains("405 this proxy takes CONNECT only"),
            "some clients show this alone: {text}"
        );
        let lines = opened.notes.lines();
        assert!(lines.last().unwrap().contains("only CONNECT is understood"));
    }
    assert!(opened.world.connected().is_empty());
}

#[tokio::test]
async fn a_head_may_have_16_kib() {
    let (world, _server) = world().await;
    let opened = open(world).await;
    let head = |bytes: usize| {
        let filling = "a".repeat(bytes);
        format!("CONNECT listed.example:443 HTTP/1.1\r\nx: {filling}\r\n\r\n")
    };
    let fits = send(opened.run.socket_path(), head(15 << 10).as_bytes()).await;
    fits.opened().await;
    let way = send(opened.run.socket_path(), head(17 << 10).as_bytes()).await;
    let (status, _) = way.refused().await;
    assert_eq!(status, 431);
    let lines = opened.notes.of(2).await;
    let line = "refused: it isn't an HTTP request, or its head is too long";
    assert!(lines.iter().any(|it| it.contains(line)), "{lines:?}");
    serves(&opened).await;
}

#[tokio::test]
async fn a_head_that_does_not_end_holds_its_place_for_a_while_only() {
    let (world, _server) = world().await;
    let limits = Limits {
        head: Duration::from_millis(500),
        connections: 1,
        ..Limits::default()
    };
    let opened = open_with(world, limits).await;
    for begun in [
        &b"CONNECT listed.exa"[..],
        b"CONNECT a:1 HTTP/1.1\r\nx: y\r\n",
    ] {
        let mut slow = send(opened.run.socket_path(), begun).await;
        slow.rest().await;
    }
    let lines = opened.notes.of(2).await;
    assert!(lines[1].contains("did not arrive in time"), "{lines:?}");
    serves(&opened).await;
}

#[tokio::test]
async fn who_goes_away_without_a_word_leaves_no_line() {
    let (world, _server) = world().await;
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let opened = open_with(world, limits).await;
    drop(send(opened.run.socket_path(), b"").await);
    serves(&opened).await;
    let lines = opened.notes.lines();
    assert!(
        lines[0].contains("listed.example:443: allowed"),
        "{lines:?}"
    );
}
