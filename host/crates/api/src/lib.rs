//! The HTTP API, the gallery's files and the sites, over the store alone. It never calls a driver:
//! what is to be done to a job is written into the store.
//!
//! The route table is [`routes`]. Every request passes `observe`: a site's name leads to `pages` and
//! nowhere else, anything else through `auth` to its route. Errors are `problem`s.

mod config;
mod serve;

mod routes;

mod access;
mod auth;
mod caller;
mod host;
mod observe;
mod problem;

mod body;
mod query;
mod view;
mod waits;

mod archive;
mod budgets;
mod bulk;
mod changes;
mod day_budgets;
mod events;
mod files;
mod jobs;
mod logs;

mod pages;
mod sites;

mod gallery;
mod gates;
mod health;
mod pipelines;
mod plugins;
mod session;
mod stats;
mod tokens;

pub use config::{ApiConfig, Entropy, Now, Ready, Secret};
pub use files::{FilesError, FilesPage, JobFiles, Packed};
pub use gallery::Asset;
pub use pages::SiteFiles;
pub use routes::{Need, Route};

use access::Access;
use axum::Router;
use gallery::Gallery;
use observe::Requests;
use pipelines::Pipelines;
use problem::{Code, Problem};
use routes::Needs;
use std::sync::Arc;
use store::{AccessStore, ApiStore, MoneyStore, PluginStore};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The API of one host.
pub struct Api {
    shared: Arc<Shared>,
}

/// What the API works with: chosen by the host, known here by what it can do.
pub struct Parts {
    /// Jobs, events, sites.
    pub store: Arc<dyn ApiStore>,
    /// Who may call.
    pub access: Arc<dyn AccessStore>,
    /// What is spent.
    pub money: Arc<dyn MoneyStore>,
    /// What hosts remember of plugins.
    pub plugins: Arc<dyn PluginStore>,
    /// What agents left.
    pub files: Arc<dyn JobFiles>,
    /// What is published.
    pub sites: Arc<dyn SiteFiles>,
}

/// What all requests share.
struct Shared {
    config: ApiConfig,
    access: Access,
    needs: Needs,
    store: Arc<dyn ApiStore>,
    money: Arc<dyn MoneyStore>,
    plugins: Arc<dyn PluginStore>,
    files: Arc<dyn JobFiles>,
    sites: Arc<dyn SiteFiles>,
    gallery: Gallery,
    pipelines: Pipelines,
    requests: Requests,
    streams: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Api {
    /// Over these parts; nothing is opened yet.
    pub fn new(config: ApiConfig, parts: Parts, assets: &'static [Asset]) -> Self {
        let Parts {
            store,
            access,
            money,
            plugins,
            files,
            sites,
        } = parts;
        let shared = Shared {
            access: Access::new(&config, access),
            needs: Needs::new(&routes::table().routes),
            config,
            pipelines: Pipelines::new(Arc::clone(&store)),
            store,
            money,
            plugins,
            files,
            sites,
            gallery: Gallery::new(assets),
            requests: Requests::default(),
            streams: Arc::new(Semaphore::new(events::STREAMS)),
            stopping: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Answers on `listener` until `shutdown`. From then on it isn't ready, ends the streams of
    /// events and every connection with its request, and still answers whoever comes. It returns
    /// once the rest of the host is `drained`, and what was under way has ended: who doesn't want
    /// to wait for that as long as it takes drops it.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
        drained: CancellationToken,
    ) {
        let stopping = self.shared.stopping.clone();
        let serving = serve::serve(listener, self.router(), stopping.clone(), drained);
        let stop = async {
            shutdown.cancelled().await;
            stopping.cancel();
        };
        tokio::join!(serving, stop);
    }

    /// Every route. Streams of events end with [`Api::run`] only.
    pub fn router(&self) -> Router {
        let observed =
            axum::middleware::from_fn_with_state(Arc::clone(&self.shared), observe::observe);
        let table = routes::table();
        table
            .router
            .fallback(nowhere)
            .layer(observed)
            .with_state(Arc::clone(&self.shared))
    }
}

/// Every route with what it needs.
pub fn routes() -> Vec<Route> {
    routes::table().routes
}

async fn nowhere() -> Problem {
    Problem::new(Code::NotFound, "nothing is at this address")
}
