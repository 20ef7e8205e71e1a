//! What doesn't pass: nothing of it reaches a server. Which addresses aren't public is tested
//! where it is decided.

use std::sync::Arc;
use std::time::Duration;

use egress::Limits;

use crate::client::{ask, connect};
use crate::world::{Server, World};
use crate::{HERE, Opened, THERE, open, open_with, open_within};

/// The request is refused with the status, and the log says this.
async fn refused(opened: &Opened, target: &str, status: u16, line: &str) {
    let (got, text) = ask(opened.run.socket_path(), target).await;
    assert_eq!(got, status, "{target}: {text}");
    assert!(text.contains("gantry: "), "{text}");
    let lines = opened.notes.lines();
    assert!(lines.last().unwrap().contains(line), "{lines:?}");
    assert!(opened.world.connected().is_empty());
}

#[tokio::test]
async fn a_name_or_port_that_is_not_listed_is_not_even_resolved() {
    let opened = open(World::default().name("other.example", &[HERE])).await;
    for target in [
        "other.example:443",
        "listed.example:80",
        "below.example:443",
        "evil.example:443",
        "listed.example.evil.example:443",
    ] {
        let line = format!("network: {target}: refused: not in the `network`");
        refused(&opened, target, 403, &line).await;
    }
    refused(&opened, "127.0.0.1:443", 403, "refused: an address").await;
    refused(&opened, "[::1]:443", 403, "refused: an address").await;
    assert!(opened.world.resolved().is_empty());
}

#[tokio::test]
async fn what_the_operator_allows_nobody_is_refused_though_it_is_listed() {
    let cap = "other.example:8080".parse().unwrap();
    let world = World::default().name("listed.example", &[HERE]);
    let opened = open_within(world, cap, Limits::default()).await;
    refused(&opened, "listed.example:443", 403, "NETWORK_ALLOW").await;
    assert!(opened.world.resolved().is_empty());
}

#[tokio::test]
async fn a_name_with_an_address_that_is_not_public_is_refused_whatever_else_it_has() {
    let world = World::default()
        .name("listed.example", &["10.1.2.3"])
        .name("a.below.example", &[HERE, "169.254.169.254"])
        .name("b.below.example", &["::ffff:127.0.0.1", HERE])
        .name("c.below.example", &[THERE, "fd00:ec2::254"])
        .name("d.below.example", &[HERE, "9.9.9.9"])
        .own("9.9.9.9");
    let opened = open(world).await;
    for (target, line) in [
        ("listed.example:443", "resolves to 10.1.2.3, a private"),
        ("a.below.example:443", "169.254.169.254, a cloud's metadata"),
        ("b.below.example:443", "::ffff:127.0.0.1, a loopback"),
        ("c.below.example:443", "fd00:ec2::254, a private"),
        ("d.below.example:443", "9.9.9.9, an address of this machine"),
    ] {
        refused(&opened, target, 403, line).await;
    }
    let (_, text) = ask(opened.run.socket_path(), "listed.example:443").await;
    assert!(!text.contains("10.1.2.3"), "the agent isn't told: {text}");
}

/// A resolver that answers with something else the next time changes nothing: there is no next
/// time.
#[tokio::test]
async fn what_was_looked_at_is_what_is_connected_to() {
    let server = Server::echo().await;
    let world = World::default()
        .name("listed.example", &[HERE])
        .name("listed.example", &["127.0.0.1"])
        .server(HERE, 443, &server);
    let opened = open(world).await;
    let mut way = connect(opened.run.socket_path(), "listed.example:443")
        .await
        .opened()
        .await;
    way.say(b"hello").await;
    way.hear(b"hello").await;
    assert_eq!(opened.world.resolved(), ["listed.example"]);
    assert_eq!(opened.world.connected(), [format!("{HERE}:443")]);
    let (status, _) = ask(opened.run.socket_path(), "listed.example:443").await;
    assert_eq!(status, 403, "and the next time it is looked at again");
    assert_eq!(opened.world.connected().len(), 1);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_or_takes_no_connection_is_a_502() {
    let world = World::default()
        .name("listed.example", &[HERE, THERE])
        .name("a.below.example", &[]);
    let opened = open(world).await;
    let line = "failed: the name doesn't resolve (there is no such name)";
    refused(&opened, "b.below.example:443", 502, line).await;
    refused(&opened, "a.below.example:443", 502, "it has no address").await;
    let (status, _) = ask(opened.run.socket_path(), "listed.example:443").await;
    assert_eq!(status, 502);
    let (first, second) = (format!("{HERE}:443"), format!("[{THERE}]:443"));
    assert_eq!(opened.world.connected(), [first, second], "each was tried");
    let lines = opened.notes.lines();
    let [.., allowed, failed] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert!(allowed.ends_with(&format!("allowed, at {HERE}, {THERE}")));
    assert!(failed.contains("failed: no connection"), "{failed}");
}

#[tokio::test]
async fn a_resolver_that_says_nothing_is_given_up() {
    let limits = Limits {
        resolve: Duration::from_millis(1),
        ..Limits::default()
    };
    let opened = open_with(World::default().without_answers(), limits).await;
    refused(&opened, "listed.example:443", 502, "no answer in time").await;
}

#[tokio::test]
async fn so_many_addresses_are_tried_and_no_more() {
    let limits = Limits {
        addresses: 2,
        ..Limits::default()
    };
    let server = Server::echo().await;
    let addresses = ["9.9.9.1", "9.9.9.2", "9.9.9.3"];
    for (reached, status) in [(1, 200), (2, 502)] {
        let world = World::default().name("listed.example", &addresses);
        let world = world.server(addresses[reached], 443, &server);
        let opened = open_with(world, limits.clone()).await;
        let mut way = connect(opened.run.socket_path(), "listed.example:443").await;
        let head = way.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        assert_eq!(opened.world.connected().len(), 2);
    }
}

#[tokio::test]
async fn past_so_many_attempts_all_are_refused_and_one_line_says_so() {
    let limits = Limits {
        attempts: 2,
        ..Limits::default()
    };
    let opened = open_with(World::default(), limits).await;
    for status in [403, 403, 429, 429, 429] {
        let (got, _) = ask(opened.run.socket_path(), "evil.example:443").await;
        assert_eq!(got, status);
    }
    let lines = opened.notes.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[2].contains("has made 2 attempts"), "{lines:?}");
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    let server = Server::echo().await;
    let world = World::default()
        .name("listed.example", &[HERE])
        .server(HERE, 443, &server);
    let opened = open(world).await;
    opened.notes.lose_all();
    let (status, _) = ask(opened.run.socket_path(), "listed.example:443").await;
    assert_eq!(status, 503);
    assert!(opened.world.connected().is_empty());
    assert_eq!(Arc::strong_count(&opened.world), 2, "nothing hangs on");
}
