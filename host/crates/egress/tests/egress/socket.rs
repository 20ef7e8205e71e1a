//! The socket's path over the life of hosts. The socket as a file is `door`'s matter.

use std::os::unix::net::UnixListener;
use std::sync::Arc;

use egress::{Error, Limits};
use pipeline::NetworkCap;
use tokio::sync::watch;

use crate::client::connect;
use crate::world::{Notes, Server, World};
use crate::{HERE, egress, open, spec};

#[tokio::test]
async fn the_same_path_serves_again_after_a_restart() {
    let server = Server::echo().await;
    let world = World::default()
        .name("listed.example", &[HERE])
        .server(HERE, 443, &server);
    let opened = open(world).await;
    let path = opened.run.socket_path().to_owned();
    let way = connect(&path, "listed.example:443").await;
    let mut way = way.opened().await;
    // As a host does that gives the job up.
    drop(opened.run);
    assert_eq!(way.rest().await, "");
    assert!(!path.exists());
    // And as one that was killed leaves it.
    drop(UnixListener::bind(&path).unwrap());

    let (_fence, fenced) = watch::channel(false);
    let notes = Arc::<Notes>::default();
    let egress = egress(&opened.world, NetworkCap::Any, Limits::default());
    let again = egress.open(spec(&opened.folder, fenced, &notes));
    let again = again.await.unwrap();
    let way = connect(&path, "listed.example:443").await;
    let mut way = way.opened().await;
    way.say(b"hello").await;
    way.hear(b"hello").await;
    again.close().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_path_on_which_another_host_answers_is_left_alone() {
    let opened = open(World::default()).await;
    let (_fence, fenced) = watch::channel(false);
    let notes = Arc::<Notes>::default();
    let egress = egress(&opened.world, NetworkCap::Any, Limits::default());
    let refused = egress.open(spec(&opened.folder, fenced, &notes)).await;
    assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    let (status, _) = crate::client::ask(opened.run.socket_path(), "evil.example:443").await;
    assert_eq!(status, 403);
}
