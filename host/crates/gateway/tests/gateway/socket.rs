//! The socket as a file, and the fence.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future;
use gateway::{Credential, Error, Gateway, Limits, Owner, RunSpec};
use hyper::StatusCode;
use tokio::sync::{Notify, watch};

use crate::client::{ask, message, send};
use crate::provider::TestProvider;
use crate::{KEY, gateway, open, spec};

fn some_gateway() -> Gateway {
    gateway(
        "http://127.0.0.1:9",
        Credential::ApiKey(KEY.into()),
        Limits::default(),
    )
}

#[tokio::test]
async fn the_socket_goes_with_the_run_and_its_path_serves_again() {
    let provider = TestProvider::plain().await;
    let opened = open(&provider).await;
    let path = opened.run.socket_path().to_owned();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    drop(opened.run);
    assert!(!path.exists());

    let (_fence, fenced) = watch::channel(false);
    let mut again = gateway(
        provider.url(),
        Credential::ApiKey(KEY.into()),
        Limits::default(),
    )
    .open(spec(&opened.folder, fenced))
    .await
    .unwrap();
    assert_eq!(ask(&path, message()).await.0, StatusCode::OK);
    again.close().await.unwrap();
    drop(again);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_of_a_host_that_is_gone_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let (_fence, fenced) = watch::channel(false);
    let spec = spec(&folder, fenced);
    // Its file stays, as after a kill.
    drop(UnixListener::bind(&spec.socket_path).unwrap());
    assert!(spec.socket_path.exists());
    some_gateway().open(spec).await.unwrap();
}

#[tokio::test]
async fn a_socket_of_a_host_that_stands_still_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let (_fence, fenced) = watch::channel(false);
    let spec = spec(&folder, fenced);
    // It takes no connection; the kernel does.
    let _still = UnixListener::bind(&spec.socket_path).unwrap();
    let run = some_gateway().open(spec).await.unwrap();
    let (status, _) = ask(run.socket_path(), message()).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "it is ours");
}

#[tokio::test]
async fn what_is_in_use_or_no_socket_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (_fence, fenced) = watch::channel(false);
    let gateway = some_gateway();
    let run = gateway.open(spec(&folder, fenced.clone())).await.unwrap();
    let refused = gateway.open(spec(&folder, fenced.clone())).await;
    assert!(
        matches!(refused, Err(Error::Door(door::Error::InUse { .. }))),
        "{refused:?}"
    );
    let path = run.socket_path().to_owned();
    let (status, _) = ask(&path, message()).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    drop(run);

    std::fs::write(&path, "mine").unwrap();
    let refused = gateway.open(spec(&folder, fenced)).await;
    assert!(matches!(
        refused,
        Err(Error::Door(door::Error::NotASocket { .. }))
    ));
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}

#[tokio::test]
async fn a_path_may_have_107_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (_fence, fenced) = watch::channel(false);
    let gateway = some_gateway();
    let base = folder.path().as_os_str().len() + 1;
    for length in [107, 108] {
        let spec = RunSpec {
            socket_path: folder.path().join("s".repeat(length - base)),
            ..spec(&folder, fenced.clone())
        };
        let opened = gateway.open(spec).await;
        if length == 107 {
            opened.unwrap();
        } else {
            let error = opened.unwrap_err();
            assert!(matches!(
                error,
                Error::Door(door::Error::PathTooLong { length: 108, .. })
            ));
            assert!(error.to_string().contains("107"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_owner_gets_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (_fence, fenced) = watch::channel(false);
    let ours = folder.path().metadata().unwrap();
    // Only root can give a socket to another user.
    let uid = if ours.uid() == 0 { 4242 } else { ours.uid() };
    let owner = Owner {
        uid,
        gid: ours.gid(),
    };
    let spec = RunSpec {
        owner: Some(owner),
        ..spec(&folder, fenced)
    };
    let run = some_gateway().open(spec).await.unwrap();
    let socket = run.socket_path().metadata().unwrap();
    assert_eq!((socket.uid(), socket.gid()), (owner.uid, owner.gid));
    assert_eq!(socket.permissions().mode() & 0o777, 0o660);
}

#[tokio::test]
async fn an_empty_token_or_a_missing_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_fence, fenced) = watch::channel(false);
    let gateway = some_gateway();
    let spec_with = |token: &str, path: PathBuf| RunSpec {
        token: token.into(),
        socket_path: path,
        ..spec(&folder, fenced.clone())
    };
    let refused = gateway.open(spec_with("", folder.path().join("s"))).await;
    assert!(matches!(refused, Err(Error::EmptyToken)));
    let missing = folder.path().join("none/s");
    let refused = gateway.open(spec_with("t", missing)).await.unwrap_err();
    assert!(refused.to_string().contains("none/s"), "{refused}");
}

#[tokio::test]
async fn nothing_is_forwarded_behind_the_fence() {
    let provider = TestProvider::plain().await;
    let opened = open(&provider).await;
    opened.fence.send_replace(true);
    let response = send(opened.run.socket_path(), message()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    assert!(provider.seen().is_empty());

    opened.fence.send_replace(false);
    let (status, _) = ask(opened.run.socket_path(), message()).await;
    assert_eq!(status, StatusCode::OK);
    let usage = opened.run.usage();
    assert_eq!((usage.requests, usage.refused), (1, 1));
}

#[tokio::test]
async fn a_fence_that_goes_up_takes_back_what_is_not_answered_yet() {
    let arrived = Arc::new(Notify::new());
    let arriving = Arc::clone(&arrived);
    let provider = TestProvider::start(move |_| {
        arriving.notify_one();
        future::pending()
    })
    .await;
    let opened = open(&provider).await;
    let socket = opened.run.socket_path();
    let ((status, body), ()) = tokio::join!(ask(socket, message()), async {
        arrived.notified().await;
        opened.fence.send_replace(true);
    });
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["error"]["type"], "overloaded_error");
}

/// What an agent kept of its run is worth nothing to the next one.
#[tokio::test]
async fn the_token_of_a_run_that_has_ended_opens_no_other() {
    let provider = TestProvider::plain().await;
    let mut ended = open(&provider).await;
    let path = ended.run.socket_path().to_owned();
    assert_eq!(ask(&path, message()).await.0, StatusCode::OK);
    ended.run.close().await.unwrap();
    assert!(tokio::net::UnixStream::connect(&path).await.is_err());
    // At the same place, as a run that follows has it, and beside it.
    let (_fence, fenced) = watch::channel(false);
    let gateway = gateway(
        provider.url(),
        Credential::ApiKey(KEY.into()),
        Limits::default(),
    );
    let next = gateway.open(RunSpec {
        token: "the-next-token".into(),
        ..spec(&ended.folder, fenced)
    });
    let next = next.await.unwrap();
    assert_eq!(next.socket_path(), path);
    let (status, body) = ask(&path, message()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["error"]["type"], "authentication_error");
    assert_eq!(provider.seen().len(), 1);
}
