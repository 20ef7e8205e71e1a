//! Connections: how many, how long a head may take, and how they end. Routing is elsewhere, and
//! so is how long a host waits for their end.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const CONNECTIONS: usize = 2_048;
/// For a request's head, also of the next one on the same connection.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// The same of who comes at shutdown, as a probe does: it holds nobody up for longer.
const LAST_HEAD_WITHIN: Duration = Duration::from_secs(2);
/// After an accept that failed: descriptors may be scarce.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Until `stopping`, and then until the host is `drained` and every connection of before has
/// ended. Who comes meanwhile is answered once.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stopping: CancellationToken,
    drained: CancellationToken,
) {
    let (before, late) = (TaskTracker::new(), TaskTracker::new());
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let over = async {
        drained.cancelled().await;
        stopping.cancelled().await;
        before.close();
        before.wait().await;
    };
    tokio::pin!(over);
    loop {
        let accepted = tokio::select! {
            () = &mut over => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, slot)) = accepted else {
            continue;
        };
        let (router, stopping) = (router.clone(), stopping.clone());
        let connections = match stopping.is_cancelled() {
            true => &late,
            false => &before,
        };
        connections.spawn(async move {
            connection(stream, router, stopping).await;
            drop(slot);
        });
    }
    drop(listener);
    late.close();
    late.wait().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(error = %error, "a connection couldn't be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stopping: CancellationToken) {
    // Small pieces of a stream of events go out at once.
    let _ = stream.set_nodelay(true);
    let is_last = stopping.is_cancelled();
    let head_within = if is_last {
        LAST_HEAD_WITHIN
    } else {
        HEAD_WITHIN
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_within)
        .keep_alive(!is_last)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled(), if !is_last => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection broke");
    }
}
