//! A run's way out over real sockets. The world outside is a small one on loopback, which the
//! tests own: names resolve to addresses that nobody connects to, and each stands for a server
//! here. What is public is judged as ever.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

mod client;
mod world;

mod ends;
mod pass;
mod refuse;
mod request;
mod socket;

use std::sync::Arc;

use egress::{Book, Egress, Limits, Outside, Run, RunSpec};
use pipeline::NetworkCap;
use tokio::sync::watch;

use crate::world::{Notes, World};

/// Two that stand for servers, as `world` says; nobody connects to them.
const HERE: &str = "93.184.216.34";
const THERE: &str = "2606:2800:220:1::1";

/// An open run, its fence, its folder, and what it is surrounded by.
struct Opened {
    run: Run,
    fence: watch::Sender<bool>,
    folder: tempfile::TempDir,
    world: Arc<World>,
    notes: Arc<Notes>,
}

fn egress(world: &Arc<World>, cap: NetworkCap, limits: Limits) -> Egress {
    Egress::new(Arc::clone(world) as Arc<dyn Outside>, cap, limits)
}

fn spec(folder: &tempfile::TempDir, fence: watch::Receiver<bool>, notes: &Arc<Notes>) -> RunSpec {
    let listed = ["listed.example", "*.below.example", "other.example:8080"];
    RunSpec {
        socket_path: folder.path().join("proxy.sock"),
        listed: listed.map(|entry| entry.parse().unwrap()).to_vec(),
        owner: None,
        fence,
        book: Arc::clone(notes) as Arc<dyn Book>,
    }
}

async fn open_with(world: World, limits: Limits) -> Opened {
    open_within(world, NetworkCap::Any, limits).await
}

async fn open_within(world: World, cap: NetworkCap, limits: Limits) -> Opened {
    let (folder, world) = (tempfile::tempdir().unwrap(), Arc::new(world));
    let (fence, fenced) = watch::channel(false);
    let notes = Arc::<Notes>::default();
    let egress = egress(&world, cap, limits);
    let run = egress.open(spec(&folder, fenced, &notes)).await;
    Opened {
        run: run.unwrap(),
        fence,
        folder,
        world,
        notes,
    }
}

async fn open(world: World) -> Opened {
    open_with(world, Limits::default()).await
}
