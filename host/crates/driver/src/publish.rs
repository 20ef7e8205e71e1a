//! Telling the store how this host and its plugins are, so that an API on another machine can
//! show it; and putting the sites' links right. It changes no job.

use crate::Driver;
use pipeline::{Event, EventKind, Timestamp};
use plugin_runtime::PluginChange;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{HostReport, Wake};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// How often the host looks whether there is something new to report, such as calls of plugins.
const EVERY: Duration = Duration::from_secs(15);

/// How often it reports, and looks at what wake-ups tell of, where nothing has changed.
const SELDOM: Duration = Duration::from_secs(45);

/// Reports until the driver ends.
pub(crate) async fn run(driver: Arc<Driver>, shutdown: CancellationToken) {
    let mut changes = driver.parts.plugins.changes();
    let mut wakes = driver.parts.store.wakes();
    let mut reporter = Reporter {
        started_at: crate::now(),
        last: None,
    };
    let mut links = true;
    let mut looked = Instant::now();
    while !shutdown.is_cancelled() {
        reporter.report(&driver).await;
        if std::mem::take(&mut links) {
            follow(&driver).await;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => if looked.elapsed() >= SELDOM {
                looked = Instant::now();
                links = true;
                driver.parts.plugins.take_holds().await;
            },
            change = changes.recv() => match change {
                Ok(change) => tell(&driver, &change).await,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => tokio::time::sleep(EVERY).await,
            },
            woken = woken(&mut wakes) => match woken {
                Woken::Sites => links = true,
                Woken::Plugins => driver.parts.plugins.take_holds().await,
            },
        }
    }
}

/// What changed elsewhere.
enum Woken {
    Sites,
    Plugins,
}

async fn woken(wakes: &mut tokio::sync::broadcast::Receiver<Wake>) -> Woken {
    loop {
        match wakes.recv().await {
            // What was missed is looked at within `SELDOM`.
            Ok(Wake::Sites) | Err(RecvError::Lagged(_)) => return Woken::Sites,
            Ok(Wake::Plugins) => return Woken::Plugins,
            Ok(_) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// What the host says of itself, and what it said last.
struct Reporter {
    started_at: Timestamp,
    last: Option<(HostReport, Instant)>,
}

impl Reporter {
    /// Says what is new, or that nothing is where that wasn't said for long.
    async fn report(&mut self, driver: &Driver) {
        let Driver { parts, config, .. } = driver;
        let report = HostReport {
            host: config.host.clone(),
            role: config.role.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            runner: about_runner(driver),
            agent: json!(config.agent),
            plugins: parts.plugins.reports(),
            refused: parts.plugins.refused(),
            roots: driver.roots(),
        };
        let is_told = |(last, at): &(HostReport, Instant)| *last == report && at.elapsed() < SELDOM;
        if self.last.as_ref().is_some_and(is_told) {
            return;
        }
        match parts.store.report_host(&report).await {
            Ok(()) => self.last = Some((report, Instant::now())),
            Err(error) => tracing::warn!(%error, "the host's report didn't get through"),
        }
    }
}

/// What it is, which engine it reaches, and what that can't enforce.
fn about_runner(driver: &Driver) -> Value {
    let runner = &driver.parts.runner;
    let mut about = json!(runner.about());
    if let Some(about) = about.as_object_mut() {
        about.insert("engine".to_owned(), json!(runner.engine()));
        about.insert("unenforced".to_owned(), json!(runner.unenforced()));
    }
    about
}

async fn tell(driver: &Driver, change: &PluginChange) {
    let (kind, data) = match change {
        PluginChange::Loaded(report) => {
            let digest = &report.digest;
            tracing::info!(plugin.name = report.name, plugin.version = report.version, %digest, "plugin serves");
            let data = json!({
                "name": report.name, "version": report.version, "digest": digest,
                "generation": report.generation, "host": driver.config.host,
            });
            (EventKind::PluginLoaded, data)
        }
        PluginChange::Refused(refused) => {
            tracing::warn!(
                file = refused.file,
                reason = refused.reason,
                "plugin refused"
            );
            let data = json!({
                "file": refused.file, "reason": refused.reason, "host": driver.config.host,
            });
            (EventKind::PluginRefused, data)
        }
        PluginChange::Removed(pin) => {
            tracing::info!(
                plugin.name = pin.name,
                plugin.version = pin.version,
                "plugin removed"
            );
            return;
        }
    };
    let event = Event {
        kind,
        phase: None,
        attempt: None,
        data: object(data),
    };
    if let Err(error) = driver.parts.store.tell(&[event]).await {
        tracing::warn!(%error, "a plugin's event didn't get through");
    }
}

/// The links of published sites follow the rows.
async fn follow(driver: &Driver) {
    let rows = match driver.parts.store.published().await {
        Ok(sites) => sites
            .into_iter()
            .map(|site| (site.slug, site.publication.folder))
            .collect::<BTreeMap<String, String>>(),
        Err(error) => return tracing::warn!(%error, "the published sites couldn't be read"),
    };
    let sites = driver.parts.sites.clone();
    match tokio::task::spawn_blocking(move || sites.follow(&rows)).await {
        Ok(Err(error)) => tracing::warn!(%error, "the links of sites couldn't be put right"),
        Err(error) => tracing::error!(%error, "the links of sites couldn't be put right"),
        Ok(Ok(_)) => {}
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
