//! `gantry serve`: puts the parts together, runs them until a signal, and takes them apart.

use crate::adapters::{SitePages, Workspaces};
use crate::assets;
use crate::cli::{self, Role};
use crate::data::Data;
use crate::parts::{self, Stores};
use crate::pipelines::Pipelines;
use crate::settings::{Replay, Settings};
use crate::show;
use anyhow::{Context, Result, bail};
use api::{Api, ApiConfig, Secret};
use driver::{Driver, DriverConfig, MostLimits, Parts};
use pipeline::Limits;
use runner::RunLimits;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workspace::{Root, TreeLimits};

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn serve(args: &cli::Serve, settings: Settings) -> Result<()> {
    let data = Data::open(&settings.data)?;
    parts::make_folders(&settings)?;
    // Asked for first, so that a port in use is said before anything has begun.
    let listener = listen(&settings, args.role).await?;
    let stores = parts::store(&settings, args.role).await?;
    if listener.is_some()
        && let Some(why) = parts::unguarded(&settings, &stores).await?
    {
        bail!("{why}");
    }
    let root = Root::open(&settings.workspaces.here, &data.host.0)?;
    let sites = deploy::Sites::open(&settings.deploy_dir.here)?;
    let shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut ready = None;
    if args.role != Role::Api {
        let driver = drive(args.role, &settings, &data, &stores, &root, &sites).await?;
        let dir = settings.pipeline_dir.clone();
        let pipelines = Pipelines::open(Arc::clone(&stores.driver), dir).await;
        tasks.spawn(pipelines.follow(shutdown.clone()));
        tasks.spawn(Arc::clone(&driver).run(shutdown.clone()));
        ready = Some(driver);
    }
    if let Some((listener, address)) = listener {
        let api = api(&settings, address, &stores, &root, &sites, ready);
        let stop = shutdown.clone();
        tasks.spawn(async move {
            api.run(listener, stop).await;
        });
        say_ready(address);
    }
    tasks.close();
    wait_for_signal(&shutdown).await?;
    tracing::info!("shutting down: jobs are given back, their agents go on");
    shutdown.cancel();
    tasks.wait().await;
    Ok(())
}

async fn listen(settings: &Settings, role: Role) -> Result<Option<(TcpListener, SocketAddr)>> {
    if role == Role::Driver {
        return Ok(None);
    }
    let wanted = SocketAddr::new(settings.bind, settings.port);
    let listener = TcpListener::bind(wanted).await.with_context(|| {
        format!("{wanted} can't be listened on: choose another PORT, or stop what uses it")
    })?;
    let address = listener.local_addr()?;
    Ok(Some((listener, address)))
}

/// The line that scripts wait for; logs go to standard error.
fn say_ready(address: SocketAddr) {
    // A host serves, whether or not somebody reads this.
    let _ = show::line(&format!("gantry: ready on http://{address}"));
}

async fn drive(
    role: Role,
    settings: &Settings,
    data: &Data,
    stores: &Stores,
    root: &Root,
    sites: &deploy::Sites,
) -> Result<Arc<Driver>> {
    let installation = stores.driver.installation().await?;
    let boundaries = settings.knobs.boundaries();
    let agent = parts::agent(settings, &installation, &boundaries)?;
    let about = agent.runner.about();
    tracing::info!(
        agent = agent.about.name,
        runner = about.name,
        isolates = about.isolates,
        store = stores.name,
        "host starts"
    );
    if agent.about.demo {
        tracing::info!("{}", agent.about.hint);
    }
    if !about.isolates {
        tracing::warn!("{}", about.note);
    }
    match agent.runner.check().await {
        Ok(checked) => checked
            .warnings
            .iter()
            .for_each(|warning| tracing::warn!("{warning}")),
        // It may be back in a moment: jobs wait, and say for what.
        Err(error) => tracing::error!(%error, "no agent can run for now"),
    }
    let archive = Arc::new(stores.plugin_memory());
    let plugins = parts::plugins(settings, data, archive).await?;
    if plugins.reports().is_empty() {
        tracing::warn!(
            "no plugin is loaded: `cargo xtask plugins` builds those that come with Gantry"
        );
    }
    let limits = RunLimits {
        memory_bytes: settings.memory_bytes,
        cpus: settings.cpus,
        ..RunLimits::default()
    };
    let config = DriverConfig {
        host: data.host.clone(),
        role: role.word().to_owned(),
        installation,
        max_concurrent: settings.max_concurrent,
        poll: settings.poll,
        lease_time: settings.lease_time,
        run_dir: settings.run_dir.here.clone(),
        run_limits: limits,
        most: MostLimits {
            memory_bytes: settings.memory_bytes_max,
            cpus: settings.cpus_max,
        },
        owners: agent.owners,
        agent: agent.about,
        limits: Limits::default(),
        provider: agent.provider,
        breaker: settings.breaker,
        blame: settings.blame,
        retention: settings.retention.clone(),
        record: settings.replay != Replay::Off,
        trees: TreeLimits::default(),
        agent_env: vec![("DEMO_PACE_MS".to_owned(), settings.demo_pace_ms.to_string())],
        orphan_age: settings.knobs.orphan_age,
        boundaries,
        clock_ahead: settings.knobs.clock_ahead,
    };
    let parts = Parts {
        store: Arc::clone(&stores.driver),
        retention: Arc::clone(&stores.retention),
        plugin_store: Arc::clone(&stores.plugins),
        plugins,
        runner: agent.runner,
        gateway: agent.gateway,
        root: root.clone(),
        sites: sites.clone(),
    };
    Ok(Driver::new(parts, config))
}

fn api(
    settings: &Settings,
    address: SocketAddr,
    stores: &Stores,
    root: &Root,
    sites: &deploy::Sites,
    driver: Option<Arc<Driver>>,
) -> Api {
    let config = ApiConfig {
        api_token: settings.api_token.clone().map(Secret::new),
        bind_is_loopback: address.ip().is_loopback(),
        port: address.port(),
        domain: settings.domain.clone(),
        limits: Limits::default(),
        body_bytes: ApiConfig::BODY_BYTES,
        version: env!("CARGO_PKG_VERSION"),
        ready: Arc::new(move || match &driver {
            Some(driver) if !driver.is_ready() => {
                Err("this host's heartbeats don't reach the store".to_owned())
            }
            _ => Ok(()),
        }),
        entropy: Arc::new(parts::random),
        now: Arc::new(|| std::time::SystemTime::now().into()),
    };
    let files = Workspaces {
        root: root.clone(),
        limits: TreeLimits::default(),
    };
    let pages = SitePages(sites.clone());
    Api::new(
        config,
        Arc::clone(&stores.api),
        Arc::clone(&stores.access),
        Arc::clone(&stores.plugins),
        Arc::new(files),
        Arc::new(pages),
        assets::GALLERY,
    )
}

async fn wait_for_signal(shutdown: &CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = shutdown.cancelled() => {}
    }
    Ok(())
}
