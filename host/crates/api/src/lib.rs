//! The HTTP API, the gallery's files and the sites, over the store alone. It never calls a driver:
//! what is to be done to a job is written into the store.
//!
//! The route table is [`Api::router`]. Every request passes `observe`: a site's name leads to
//! `pages` and nowhere else, anything else through `auth` to its route. Errors are `problem`s.

mod config;
mod serve;

mod auth;
mod host;
mod observe;
mod problem;

mod body;
mod query;
mod view;
mod waits;

mod bulk;
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

pub use config::{ApiConfig, Entropy, Now, Ready, Secret};
pub use files::{FilesError, FilesPage, JobFiles};
pub use gallery::Asset;
pub use pages::SiteFiles;

use auth::Token;
use axum::Router;
use axum::routing::{delete, get, post, put};
use gallery::Gallery;
use observe::Requests;
use problem::{Code, Problem};
use std::sync::Arc;
use store::{ApiStore, PluginStore};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The API of one host.
pub struct Api {
    shared: Arc<Shared>,
}

/// What all requests share.
struct Shared {
    config: ApiConfig,
    token: Option<Token>,
    store: Arc<dyn ApiStore>,
    plugins: Arc<dyn PluginStore>,
    /// Whose the jobs are that come in here.
    submitter: String,
    files: Arc<dyn JobFiles>,
    sites: Arc<dyn SiteFiles>,
    gallery: Gallery,
    requests: Requests,
    streams: Arc<Semaphore>,
    stopping: CancellationToken,
}

impl Shared {
    /// Whether everybody who can connect may do everything.
    fn is_open(&self) -> bool {
        self.token.is_none() && self.config.bind_is_loopback
    }
}

impl Api {
    /// Over these parts; nothing is opened yet.
    pub fn new(
        config: ApiConfig,
        store: Arc<dyn ApiStore>,
        plugins: Arc<dyn PluginStore>,
        files: Arc<dyn JobFiles>,
        sites: Arc<dyn SiteFiles>,
        assets: &'static [Asset],
    ) -> Self {
        let shared = Shared {
            token: config
                .api_token
                .as_ref()
                .map(|token| Token::new(token.expose())),
            submitter: auth::submitter(config.api_token.as_ref().map(Secret::expose)),
            config,
            store,
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

    /// Answers on `listener` until `shutdown`; then takes no more connections, ends the streams of
    /// events, and gives what is under way ten seconds.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let stopping = self.shared.stopping.clone();
        let serving = serve::serve(listener, self.router(), stopping.clone());
        let stop = async {
            shutdown.cancelled().await;
            stopping.cancel();
        };
        tokio::join!(serving, stop);
    }

    /// Every route. Streams of events end with [`Api::run`] only.
    pub fn router(&self) -> Router {
        let jobs = Router::new()
            .route("/api/jobs", post(jobs::submit).get(jobs::list))
            .route("/api/jobs/retry", post(bulk::retry))
            .route("/api/jobs/cancel", post(bulk::cancel))
            .route("/api/jobs/{id}", get(jobs::read).delete(jobs::delete))
            .route("/api/jobs/{id}/cancel", post(jobs::cancel))
            .route("/api/jobs/{id}/retry", post(jobs::retry))
            .route("/api/jobs/{id}/feedback", post(jobs::feedback))
            .route("/api/jobs/{id}/logs", get(logs::read))
            .route("/api/jobs/{id}/events", get(events::of_job))
            .route("/api/jobs/{id}/files", get(files::list))
            .route("/api/jobs/{id}/files/{*path}", get(files::open));
        let rest = Router::new()
            .route("/api/events", get(events::of_all))
            .route("/api/sites", get(sites::list))
            .route("/api/sites/{slug}", delete(sites::delete))
            .route("/api/plugins", get(plugins::list))
            .route("/api/plugins/{name}/rollback", post(plugins::roll_back))
            .route("/api/plugins/{name}/release", post(plugins::release))
            .route("/api/plugins/{name}/calls", get(plugins::calls))
            .route("/api/pipelines", get(pipelines::list))
            .route("/api/pipelines/{name}/pause", post(gates::pause))
            .route("/api/pipelines/{name}/resume", post(gates::resume))
            .route("/api/pause", post(gates::pause_all))
            .route("/api/resume", post(gates::resume_all))
            .route("/api/gates", get(gates::list))
            .route("/api/groups/{name}", put(gates::put_group))
            .route("/api/stats", get(stats::read))
            .route("/api/session", post(session::begin).delete(session::end));
        let own = Router::new()
            .route("/", get(gallery::index))
            .route("/gallery/{*path}", get(gallery::file))
            .route("/sites/{*rest}", get(sites::lead))
            .route("/health", get(health::live))
            .route("/livez", get(health::live))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(health::metrics));
        let observed =
            axum::middleware::from_fn_with_state(Arc::clone(&self.shared), observe::observe);
        Router::new()
            .merge(jobs)
            .merge(rest)
            .merge(own)
            .fallback(nowhere)
            .layer(observed)
            .with_state(Arc::clone(&self.shared))
    }
}

async fn nowhere() -> Problem {
    Problem::new(Code::NotFound, "nothing is at this address")
}
