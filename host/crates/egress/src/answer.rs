//! One connection from its request to its end. What may pass is said elsewhere
//! ([`crate::target`], [`crate::address`]); here is only the order of the steps.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::address::not_public;
use crate::attempt::What;
use crate::refusal::Refusal;
use crate::run::Out;
use crate::target::{self, Target};
use crate::tunnel;

/// Of a request's head; hyper wants 8 KiB at least.
const HEAD_BYTES: usize = 16 << 10;

/// What a request has opened, for when its answer is sent.
type Opened = Mutex<Option<(Target, TcpStream, OnUpgrade)>>;

/// Serves one connection of the agent's: one request, and what it opens.
pub(crate) async fn serve(stream: UnixStream, out: Arc<Out>) {
    let opened = Arc::<Opened>::default();
    let (serving, opening) = (Arc::clone(&out), Arc::clone(&opened));
    let service = service_fn(move |request| {
        let (out, opened) = (Arc::clone(&serving), Arc::clone(&opening));
        async move { Ok::<_, Infallible>(answer(&out, request, &opened).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(out.shared.limits.head)
            .max_buf_size(HEAD_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let served = tokio::select! {
        served = &mut connection => served,
        () = out.over.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        not_served(&out, &error).await;
    }
    let opened = opened.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((target, stream, upgrade)) = opened {
        let ended = tunnel::carry(&out, stream, upgrade).await;
        out.note(&target.to_string(), ended).await;
    }
}

/// What came was no request.
async fn not_served(out: &Out, error: &hyper::Error) {
    tracing::debug!(%error, "a run's connection ended early");
    let refusal = if error.is_timeout() {
        Refusal::LateHead
    } else if error.is_parse() {
        Refusal::NotHttp
    } else {
        // It went away.
        return;
    };
    if out.begin("").await.is_ok() {
        out.note("", What::Refused(refusal)).await;
    }
}

async fn answer(
    out: &Out,
    mut request: Request<Incoming>,
    opened: &Opened,
) -> Response<Full<Bytes>> {
    let upgrade = hyper::upgrade::on(&mut request);
    let target = target::asked(request.method(), request.uri());
    let asked = match &target {
        Ok(target) => target.to_string(),
        Err(_) => format!("{} {}", request.method(), request.uri()),
    };
    if let Err(refusal) = out.begin(&asked).await {
        return refusal.into_response();
    }
    let reached = async {
        let target = target?;
        let stream = reach(out, &target).await?;
        Ok((target, stream))
    };
    match reached.await {
        Ok((target, stream)) => {
            let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
            *opened = Some((target, stream, upgrade));
            Response::new(Full::default())
        }
        Err(refusal) => {
            out.note(&asked, What::Refused(Refusal::clone(&refusal)))
                .await;
            refusal.into_response()
        }
    }
}

/// Judges, resolves, judges again and connects; given up where the host may let nothing out.
async fn reach(out: &Out, target: &Target) -> Result<TcpStream, Refusal> {
    let mut fence = out.fence.clone();
    tokio::select! {
        biased;
        () = out.over.cancelled() => Err(Refusal::Fenced),
        _ = fence.wait_for(|closed| *closed) => Err(Refusal::Fenced),
        reached = reach_out(out, target) => reached,
    }
}

async fn reach_out(out: &Out, target: &Target) -> Result<TcpStream, Refusal> {
    let shared = &out.shared;
    target::is_allowed(target, &out.listed, &shared.cap)?;
    if out.left.is_used_up() {
        return Err(Refusal::UsedUp);
    }
    let addresses = resolve(out, target).await?;
    let told = What::Allowed {
        addresses: addresses.clone(),
    };
    if !out.note(&target.to_string(), told).await {
        return Err(Refusal::NotLogged);
    }
    let mut reason = String::new();
    for address in addresses {
        let address = SocketAddr::new(address, target.port);
        let connected = timeout(shared.limits.connect, shared.outside.connect(address)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = format!("{}: {error}", address.ip()),
        }
    }
    Err(Refusal::Unreachable { reason })
}

/// The addresses that may be tried. One that isn't public spoils the whole answer: who gives it
/// may give it alone the next time.
async fn resolve(out: &Out, target: &Target) -> Result<Vec<IpAddr>, Refusal> {
    let (outside, limits) = (&out.shared.outside, &out.shared.limits);
    let unresolved = |reason: String| Refusal::Unresolved { reason };
    let mut addresses = match timeout(limits.resolve, outside.resolve(&target.name)).await {
        Err(_) => return Err(unresolved("no answer in time".to_owned())),
        Ok(Err(error)) => return Err(unresolved(error.to_string())),
        Ok(Ok(addresses)) => addresses,
    };
    for address in &addresses {
        let own = || {
            outside
                .is_own(*address)
                .then_some("an address of this machine")
        };
        if let Some(why) = not_public(*address).or_else(own) {
            let address = *address;
            return Err(Refusal::NotPublic { address, why });
        }
    }
    addresses.truncate(limits.addresses);
    match addresses.is_empty() {
        true => Err(unresolved("it has no address".to_owned())),
        false => Ok(addresses),
    }
}
