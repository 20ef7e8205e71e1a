//! `gantry serve`: puts the parts together, runs them until a signal, and takes them apart within
//! the grace period. What each part does meanwhile is its own matter.

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
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workspace::{Root, TreeLimits};

/// Serves until SIGTERM or SIGINT. An error where it was cut off, since not all had ended by the
/// end of the grace period, or as it was told to end again.
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
    let root = Root::open(&settings.workspaces.here, &parts::fresh_root(&data.host.0))?;
    let sites = deploy::Sites::open(&settings.deploy_dir.here)?;
    let (shutdown, drained) = (CancellationToken::new(), CancellationToken::new());
    let (drives, serves) = (TaskTracker::new(), TaskTracker::new());
    let mut driving = None;
    if args.role != Role::Api {
        let driver = drive(args.role, &settings, &data, &stores, &root, &sites).await?;
        let store = Arc::clone(&stores.driver);
        let (dir, cap) = (settings.pipeline_dir.clone(), settings.network.clone());
        let pipelines = Pipelines::open(store, dir, cap).await;
        driving = Some((driver, pipelines));
    }
    // Up to here a signal ends this process by itself: it holds nothing yet.
    let mut signals = Signals::new()?;
    let mut held = None;
    if let Some((driver, pipelines)) = driving {
        drives.spawn(pipelines.follow(shutdown.clone()));
        drives.spawn(Arc::clone(&driver).run(shutdown.clone()));
        held = Some(driver);
    }
    if let Some((listener, address)) = listener {
        let api = api(&settings, address, &stores, &root, &sites, held.clone());
        serves.spawn(api.run(listener, shutdown.clone(), drained.clone()));
        say_ready(address);
    }
    signals.next().await;
    tracing::info!(
        grace_s = settings.grace.as_secs(),
        "shutting down: no job is taken any more, those held are given back, their agents go on"
    );
    shutdown.cancel();
    let ended = async {
        drives.close();
        drives.wait().await;
        drained.cancel();
        serves.close();
        serves.wait().await;
    };
    let why = tokio::select! {
        () = ended => return Ok(()),
        () = tokio::time::sleep(settings.grace) => "the grace period is over",
        () = signals.next() => "told to end again",
    };
    let jobs = held.map_or(0, |driver| driver.holds());
    let mut left = Vec::new();
    if jobs > 0 {
        left.push(format!(
            "{jobs} jobs, which others take once their leases have run out"
        ));
    }
    if !drives.is_empty() && jobs == 0 {
        left.push("the driver".to_owned());
    }
    if !serves.is_empty() {
        left.push("connections".to_owned());
    }
    bail!("cut off at shutdown ({why}): {}", left.join("; "))
}

/// What tells a host to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on they end nothing by themselves.
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
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
    let config = DriverConfig {
        host: data.host.clone(),
        role: role.word().to_owned(),
        installation,
        max_concurrent: settings.max_concurrent,
        poll: settings.poll,
        lease_time: settings.lease_time,
        run_dir: settings.run_dir.here.clone(),
        run_limits: parts::run_limits(settings),
        disk_bytes: settings.disk_bytes,
        most: MostLimits {
            memory_bytes: settings.memory_bytes_max,
            cpus: settings.cpus_max,
            disk_bytes: settings.disk_bytes_max,
        },
        idle: settings.idle,
        secrets: parts::secrets(settings),
        owners: agent.owners,
        agent: agent.about,
        limits: Limits::default(),
        provider: agent.provider,
        breaker: settings.breaker,
        budgets: settings.budgets.clone(),
        blame: settings.blame,
        retention: settings.retention.clone(),
        record: settings.replay != Replay::Off,
        trees: TreeLimits::default(),
        sessions: TreeLimits::SESSIONS,
        agent_env: vec![("DEMO_PACE_MS".to_owned(), settings.demo_pace_ms.to_string())],
        orphan_age: settings.knobs.orphan_age,
        boundaries,
        clock_ahead: settings.knobs.clock_ahead,
    };
    let parts = Parts {
        store: Arc::clone(&stores.driver),
        retention: Arc::clone(&stores.retention),
        money: Arc::clone(&stores.money),
        plugin_store: Arc::clone(&stores.plugins),
        plugins,
        runner: agent.runner,
        gateway: agent.gateway,
        egress: parts::egress(settings),
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
        budgets: settings.budgets.clone(),
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
    let parts = api::Parts {
        store: Arc::clone(&stores.api),
        access: Arc::clone(&stores.access),
        money: Arc::clone(&stores.money),
        plugins: Arc::clone(&stores.plugins),
        files: Arc::new(files),
        sites: Arc::new(pages),
    };
    Api::new(config, parts, assets::GALLERY)
}
