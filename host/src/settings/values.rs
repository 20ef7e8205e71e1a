//! The settings by name, and what each is where nothing is said. How a text becomes a value is
//! `texts`' matter.

use super::Layers;
use super::texts::{
    absolute, blame, breaker, budgets, millis, or_never, parse, provider, redact, replay,
    retention, room, runner, seconds, size, within, words,
};
use crate::knobs::Knobs;
use anyhow::{Result, bail};
use gateway::Provider;
use pipeline::{BlameRule, BreakerRule, BudgetKind, NetworkCap, Retention};
use plugin_runtime::Grants;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What this host was told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) port: u16,
    pub(crate) bind: IpAddr,
    pub(crate) api_token: Option<String>,
    pub(crate) database_url: String,
    pub(crate) max_concurrent: usize,
    pub(crate) poll: Duration,
    pub(crate) lease_time: Duration,
    pub(crate) grace: Duration,
    pub(crate) data: PathBuf,
    pub(crate) plugin_dir: PathBuf,
    pub(crate) builtin_plugin_dir: Option<PathBuf>,
    pub(crate) replay: Replay,
    pub(crate) breaker: BreakerRule,
    /// None: the built-in table.
    pub(crate) prices_file: Option<PathBuf>,
    /// The most that may be spent, in micro-dollars.
    pub(crate) budgets: BTreeMap<BudgetKind, u64>,
    pub(crate) blame: BlameRule,
    pub(crate) plugin_grants: Grants,
    pub(crate) pipeline_dir: PathBuf,
    pub(crate) network: NetworkCap,
    pub(crate) workspaces: Pair,
    pub(crate) run_dir: Pair,
    pub(crate) deploy_dir: Pair,
    pub(crate) retention: Retention,
    pub(crate) domain: Option<String>,
    pub(crate) runner: RunnerChoice,
    /// None: the engine's usual socket.
    pub(crate) docker_host: Option<String>,
    pub(crate) worker_image: String,
    /// None: the demo agent.
    pub(crate) worker_command: Option<Vec<String>>,
    pub(crate) memory_bytes: u64,
    pub(crate) cpus: f64,
    pub(crate) disk_bytes: u64,
    pub(crate) memory_bytes_max: u64,
    pub(crate) cpus_max: f64,
    pub(crate) disk_bytes_max: u64,
    /// None: for ever.
    pub(crate) idle: Option<Duration>,
    pub(crate) uid_first: u32,
    pub(crate) uid_count: u32,
    pub(crate) demo_pace_ms: u32,
    pub(crate) provider: Option<Provider>,
    /// Secrets that Gantry doesn't know of itself.
    pub(crate) redact: Vec<String>,
    pub(crate) json_logs: bool,
    pub(crate) knobs: Knobs,
}

/// A folder, and its path as the Docker Engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) here: PathBuf,
    pub(crate) engine: PathBuf,
}

/// What `RUNNER` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunnerChoice {
    /// Docker where a provider's key is given, else the demo agent as a process.
    Auto,
    Docker,
    Process,
}

/// What `PLUGIN_REPLAY` says of plugins' calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// They aren't recorded.
    Off,
    Record,
    /// Also, a file that does worse on them than what serves is refused.
    Gate,
}

impl Settings {
    /// Checks the layers' texts.
    pub(crate) fn from_layers(layers: &Layers) -> Result<Self> {
        let data = absolute(
            &layers
                .get("GANTRY_DATA")?
                .unwrap_or_else(|| "./data".into()),
        )?;
        let dir = |name: &str, below: &str| -> Result<PathBuf> {
            layers
                .get(name)?
                .map_or_else(|| Ok(data.join(below)), |path| absolute(&path))
        };
        let pair = |name: &str, below: &str| -> Result<Pair> {
            let here = dir(name, below)?;
            let engine = layers.get(&format!("HOST_{name}"))?.map(PathBuf::from);
            Ok(Pair {
                engine: engine.unwrap_or_else(|| here.clone()),
                here,
            })
        };
        let settings = Self {
            port: parse(layers, "PORT", 3000)?,
            bind: parse(layers, "BIND", IpAddr::from([127, 0, 0, 1]))?,
            api_token: layers.get("API_TOKEN")?,
            database_url: match layers.get("DATABASE_URL")? {
                Some(url) => url,
                None => format!("sqlite:{}", data.join("gantry.db").display()),
            },
            max_concurrent: within(
                parse(layers, "MAX_CONCURRENT", 5)?,
                "MAX_CONCURRENT",
                1,
                1000,
            )?,
            poll: millis(within(
                parse(layers, "POLL_INTERVAL", 5000)?,
                "POLL_INTERVAL",
                100,
                600_000,
            )?),
            lease_time: seconds(within(
                parse(layers, "LEASE_SECONDS", 6)?,
                "LEASE_SECONDS",
                3,
                3600,
            )?),
            grace: seconds(within(
                parse(layers, "SHUTDOWN_SECONDS", 10)?,
                "SHUTDOWN_SECONDS",
                1,
                3600,
            )?),
            plugin_dir: dir("PLUGIN_DIR", "plugins")?,
            builtin_plugin_dir: layers
                .get("BUILTIN_PLUGIN_DIR")?
                .map(|p| absolute(&p))
                .transpose()?,
            replay: replay(layers.get("PLUGIN_REPLAY")?.as_deref())?,
            breaker: breaker(layers.get("PROVIDER_BREAKER")?.as_deref())?,
            prices_file: layers
                .get("PRICES_FILE")?
                .map(|p| absolute(&p))
                .transpose()?,
            budgets: budgets(layers)?,
            blame: blame(layers.get("PLUGIN_FAULTS")?.as_deref())?,
            plugin_grants: parse(layers, "PLUGIN_GRANTS", Grants::default())?,
            pipeline_dir: dir("PIPELINE_DIR", "pipelines")?,
            network: parse(layers, "NETWORK_ALLOW", NetworkCap::Any)?,
            workspaces: pair("WORKSPACE_PATH", "workspaces")?,
            run_dir: pair("RUN_DIR", "run")?,
            deploy_dir: pair("DEPLOY_DIR", "sites")?,
            retention: retention(layers)?,
            domain: layers.get("DOMAIN")?,
            runner: runner(layers.get("RUNNER")?.as_deref())?,
            docker_host: layers.get("DOCKER_HOST")?,
            worker_image: layers
                .get("WORKER_IMAGE")?
                .unwrap_or_else(|| "gantry-worker".into()),
            worker_command: layers
                .get("WORKER_COMMAND")?
                .map(|line| words(&line))
                .transpose()?,
            memory_bytes: size(layers, "WORKER_MEMORY", "2GiB")?,
            cpus: within(
                parse(layers, "WORKER_CPUS", 1.0)?,
                "WORKER_CPUS",
                0.01,
                1024.0,
            )?,
            disk_bytes: room(layers, "WORKER_DISK", "4GiB")?,
            memory_bytes_max: size(layers, "WORKER_MEMORY_MAX", "8GiB")?,
            cpus_max: within(
                parse(layers, "WORKER_CPUS_MAX", 4.0)?,
                "WORKER_CPUS_MAX",
                0.01,
                1024.0,
            )?,
            disk_bytes_max: room(layers, "WORKER_DISK_MAX", "16GiB")?,
            idle: or_never(
                layers,
                "WORKER_IDLE",
                Some(seconds(900)),
                "a time of 1s or more, such as 15m",
                |text| pipeline::parse_duration(text).filter(|idle| !idle.is_zero()),
            )?,
            uid_first: within(
                parse(layers, "WORKER_UID_FIRST", 300_000)?,
                "WORKER_UID_FIRST",
                1000,
                u32::MAX / 2,
            )?,
            uid_count: within(
                parse(layers, "WORKER_UID_COUNT", 65_536)?,
                "WORKER_UID_COUNT",
                1,
                1 << 24,
            )?,
            demo_pace_ms: parse(layers, "DEMO_PACE_MS", 0)?,
            provider: provider(layers)?,
            redact: redact(layers.get("REDACT")?.as_deref())?,
            knobs: Knobs::from_layers(layers)?,
            json_logs: match layers.get("LOG_FORMAT")?.as_deref() {
                None | Some("text") => false,
                Some("json") => true,
                Some(other) => bail!("LOG_FORMAT=`{other}`: must be `text` or `json`"),
            },
            data,
        };
        settings.check_socket_path()?;
        Ok(settings)
    }

    /// A unix socket's path has 107 bytes at most, and each run's is below `RUN_DIR`.
    fn check_socket_path(&self) -> Result<()> {
        let longest = self.run_dir.here.join("0123456789abcdef/run/model.sock");
        let bytes = longest.as_os_str().len();
        if bytes > 107 {
            bail!(
                "RUN_DIR={}: sockets below it would have a path of {bytes} bytes, and 107 are \
                 allowed: choose a shorter one",
                self.run_dir.here.display()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway::Credential;
    use std::path::Path;

    fn settings(pairs: &[&str]) -> Result<Settings> {
        let set: Vec<String> = pairs.iter().map(ToString::to_string).collect();
        Settings::from_layers(&Layers::read(&set, [], None)?)
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let settings = settings(&["GANTRY_DATA=/tmp/g"]).unwrap();
        assert_eq!((settings.port, settings.max_concurrent), (3000, 5));
        assert_eq!(settings.poll, Duration::from_secs(5));
        assert_eq!(settings.database_url, "sqlite:/tmp/g/gantry.db");
        assert_eq!(settings.workspaces.engine, Path::new("/tmp/g/workspaces"));
        assert_eq!(settings.memory_bytes, 2 << 30);
        let disk = (settings.disk_bytes, settings.disk_bytes_max);
        assert_eq!(disk, (4 << 30, 16 << 30));
        assert!(settings.provider.is_none() && settings.worker_command.is_none());
        assert_eq!(settings.idle, Some(Duration::from_secs(900)));
        assert!(settings.redact.is_empty());
    }

    #[test]
    fn secrets_are_apart_by_commas_or_lines() {
        let settings = settings(&[
            "REDACT=one-secret, another one,\nthe-third\n",
            "WORKER_IDLE=never",
        ]);
        let settings = settings.unwrap();
        assert_eq!(settings.redact, ["one-secret", "another one", "the-third"]);
        assert_eq!(settings.idle, None);
    }

    #[test]
    fn what_is_kept_for_ever_is_said_in_words() {
        let settings = settings(&[
            "RETAIN_JOBS=never",
            "RETAIN_LOGS=0",
            "RETAIN_EVENTS=2d",
            "RETAIN_WORKSPACES=36h",
            "RETAIN_WORKSPACES_BYTES=2GiB",
            "RETAIN_VERSIONS=1",
        ]);
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3_600));
        assert_eq!(
            settings.unwrap().retention,
            Retention {
                jobs: None,
                logs: None,
                events: hours(48),
                workspaces: hours(36),
                workspaces_bytes: Some(2 << 30),
                versions: Some(1),
            }
        );
    }

    #[test]
    fn a_wrong_value_names_its_setting_and_what_is_right() {
        for (pair, said) in [
            ("PORT=x", "PORT=`x`"),
            ("PORT=70000", "PORT=`70000`"),
            ("MAX_CONCURRENT=0", "MAX_CONCURRENT=0: must be 1 to 1000"),
            ("RUNNER=podman", "must be `auto`, `docker` or `process`"),
            ("WORKER_MEMORY=2", "such as 512MiB"),
            (
                "WORKER_DISK=1023KiB",
                "WORKER_DISK=1047552B: must be at least 1MiB",
            ),
            ("BIND=everywhere", "BIND=`everywhere`"),
            ("WORKER_COMMAND= ", "WORKER_COMMAND is empty"),
            ("PLUGIN_REPLAY=on", "must be `off`, `record` or `gate`"),
            ("PLUGIN_FAULTS=1/10m", "such as 3/10m"),
            ("PLUGIN_FAULTS=3", "such as 3/10m"),
            (
                "RETAIN_JOBS=soon",
                "RETAIN_JOBS=`soon`: must be a time such as 30d",
            ),
            ("RETAIN_JOBS=0d", "RETAIN_JOBS=`0d`"),
            ("RETAIN_WORKSPACES_BYTES=9", "such as 50GiB"),
            ("RETAIN_VERSIONS=-1", "must be a number, or `never`"),
            ("PROVIDER_BREAKER=1/30s", "such as 5/30s"),
            (
                "BUDGET_DAY_USD=1,50",
                "BUDGET_DAY_USD: `1,50` must be an amount",
            ),
            ("PROVIDER_BREAKER=5/1h", "such as 5/30s"),
            (
                "WORKER_IDLE=0s",
                "must be a time of 1s or more, such as 15m",
            ),
            (
                "REDACT=long-enough, short",
                "REDACT: value 2 has fewer than 8 bytes",
            ),
            (
                "NETWORK_ALLOW=npm, all",
                "NETWORK_ALLOW=`npm, all`: `all` is neither a host name",
            ),
            (
                "PLUGIN_GRANTS=idea=root",
                "PLUGIN_GRANTS=`idea=root`: `idea` can't be granted `root`: there is real-time",
            ),
        ] {
            let error = format!("{:#}", settings(&[pair]).unwrap_err());
            assert!(error.contains(said), "{pair}: {error}");
        }
        let long = format!("RUN_DIR=/{}", "x".repeat(74));
        assert!(settings(&[&long]).is_ok());
        let long = format!("RUN_DIR=/{}", "x".repeat(75));
        assert!(settings(&[&long]).unwrap_err().to_string().contains("107"));
    }

    #[test]
    fn the_seeds_key_is_read_where_no_other_is_set() {
        let zai = ["ZAI_API_KEY=z", "ZAI_BASE_URL=http://z"];
        let provider = settings(&zai).unwrap().provider.unwrap();
        assert_eq!(provider.base_url, "http://z");
        let both = ["ZAI_API_KEY=z", "ANTHROPIC_API_KEY=a"];
        let provider = settings(&both).unwrap().provider.unwrap();
        assert!(matches!(provider.credential, Credential::ApiKey(key) if key == "a"));
        let both = ["ZAI_API_KEY=z", "CLAUDE_CODE_OAUTH_TOKEN=o"];
        let provider = settings(&both).unwrap().provider.unwrap();
        assert!(matches!(provider.credential, Credential::OAuthToken(token) if token == "o"));
    }
}
