//! The choice of parts: which store, which runner, which agent. The only place that names them.

use crate::adapters::PluginMemory;
use crate::cli;
use crate::data::Data;
use crate::settings::{Replay, RunnerChoice, Settings};
use anyhow::{Context, Result, bail};
use driver::{AgentAbout, Owners};
use egress::Egress;
use gateway::{Credential, Gateway, GatewayConfig, Prices};
use pipeline::{Boundaries, Redactor, Token};
use plugin_runtime::{
    Archive, CallLimits, Compiler, Config, ExtismChild, Grants, NoArchive, Plugins,
};
use runner::{Docker, DockerConfig, Process, ProcessConfig, RunLimits, Runner};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::{
    AccessStore, ApiStore, DriverStore, MoneyStore, Options, PluginStore, Postgres, RetentionStore,
    Sqlite,
};

/// A store, as each of its users sees it.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) driver: Arc<dyn DriverStore>,
    pub(crate) api: Arc<dyn ApiStore>,
    pub(crate) access: Arc<dyn AccessStore>,
    pub(crate) plugins: Arc<dyn PluginStore>,
    pub(crate) retention: Arc<dyn RetentionStore>,
    pub(crate) money: Arc<dyn MoneyStore>,
    pub(crate) name: &'static str,
}

impl Stores {
    fn of<S>(store: S, name: &'static str) -> Self
    where
        S: DriverStore
            + ApiStore
            + AccessStore
            + PluginStore
            + RetentionStore
            + MoneyStore
            + 'static,
    {
        let store = Arc::new(store);
        Self {
            driver: Arc::clone(&store) as Arc<dyn DriverStore>,
            access: Arc::clone(&store) as Arc<dyn AccessStore>,
            plugins: Arc::clone(&store) as Arc<dyn PluginStore>,
            retention: Arc::clone(&store) as Arc<dyn RetentionStore>,
            money: Arc::clone(&store) as Arc<dyn MoneyStore>,
            api: store,
            name,
        }
    }

    /// The store as the plugins' memory.
    pub(crate) fn plugin_memory(&self) -> PluginMemory {
        PluginMemory {
            store: Arc::clone(&self.driver),
            plugins: Arc::clone(&self.plugins),
        }
    }
}

/// Opens the store that `DATABASE_URL` names, and brings its tables up to date.
pub(crate) async fn store(settings: &Settings, role: cli::Role) -> Result<Stores> {
    let url = &settings.database_url;
    if let Some(path) = url.strip_prefix("sqlite:") {
        if role != cli::Role::All {
            bail!("SQLite is for one process with the role `all`: set DATABASE_URL to PostgreSQL");
        }
        let path = PathBuf::from(path.trim_start_matches("//"));
        let store = Sqlite::open(&path, Options::default()).await?;
        return Ok(Stores::of(store, "SQLite"));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let store = Postgres::connect(url, Options::default()).await?;
        return Ok(Stores::of(store, "PostgreSQL"));
    }
    let scheme = url.split(':').next().unwrap_or_default();
    bail!("DATABASE_URL begins with `{scheme}:`: must be `sqlite:PATH` or `postgres://…`")
}

/// Opens the plugins' folders.
pub(crate) async fn plugins(
    settings: &Settings,
    data: &Data,
    archive: Arc<dyn Archive>,
) -> Result<Plugins> {
    let mut sources: Vec<PathBuf> = builtin_plugins(settings).into_iter().collect();
    sources.push(settings.plugin_dir.clone());
    let config = Config {
        sources,
        replay_gate: settings.replay == Replay::Gate,
        grants: settings.plugin_grants.clone(),
        ..sandbox(data.cache.join("plugins"))?
    };
    Plugins::open(config, archive)
        .await
        .context("the plugin folders")
}

/// Plugins that are only looked at: nothing is watched, and nothing serves.
pub(crate) async fn examiner(scratch: &Path) -> Result<Plugins> {
    let config = sandbox(scratch.join("compiled"))?;
    Plugins::open(config, Arc::new(NoArchive))
        .await
        .context("the sandbox of plugins")
}

/// Plugins compile, and Extism's run, in children of this program; there are none yet.
fn sandbox(cache_dir: PathBuf) -> Result<Config> {
    Ok(Config {
        sources: Vec::new(),
        cache_dir,
        limits: CallLimits::default(),
        replay_gate: false,
        grants: Grants::default(),
        compiler: Compiler::Child {
            exe: this_program()?,
            args: vec![cli::COMPILE.into()],
        },
        extism: Some(ExtismChild {
            exe: this_program()?,
            args: vec![cli::EXTISM.into()],
        }),
        rescan: Duration::from_secs(2),
    })
}

/// The folder of the plugins that come with Gantry: beside the program, above it where cargo
/// builds it, or where a package puts it.
pub(crate) fn builtin_plugins(settings: &Settings) -> Option<PathBuf> {
    if let Some(dir) = &settings.builtin_plugin_dir {
        return Some(dir.clone());
    }
    let exe = std::env::current_exe().ok()?;
    let beside = exe.parent()?;
    let places = ["plugins", "../plugins", "../share/gantry/plugins"];
    places
        .iter()
        .map(|place| beside.join(place))
        .find(|place| place.is_dir())
}

/// Which agent works, and where.
pub(crate) struct Agent {
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) about: AgentAbout,
    pub(crate) owners: Owners,
    pub(crate) gateway: Option<Gateway>,
    /// Who answers, as people call it; none for an agent that asks nobody.
    pub(crate) provider: Option<String>,
}

const HOW_TO_SWITCH: &str = "No model is asked. For Claude Code: build the image with `cargo xtask \
    image worker`, set ANTHROPIC_API_KEY, and start the host with RUNNER=docker.";

/// Chooses as `RUNNER` says.
pub(crate) fn agent(
    settings: &Settings,
    installation: &str,
    boundaries: &Boundaries,
) -> Result<Agent> {
    let docker = match settings.runner {
        RunnerChoice::Docker => true,
        RunnerChoice::Process => false,
        // An agent with a key but without a container is for somebody to ask for in words.
        RunnerChoice::Auto => settings.provider.is_some(),
    };
    let demo = !docker && settings.worker_command.is_none();
    if !demo && settings.provider.is_none() {
        bail!(
            "RUNNER={} runs a real agent, and there is no key of a provider: set \
             ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN, ZAI_API_KEY), or take \
             RUNNER=process without WORKER_COMMAND for the demo agent",
            if docker {
                "docker"
            } else {
                "process with WORKER_COMMAND"
            }
        );
    }
    let gateway = match (&settings.provider, demo) {
        (Some(provider), false) => Some(gateway(settings, provider.clone())?),
        _ => None,
    };
    let provider = settings.provider.as_ref().filter(|_| gateway.is_some());
    let provider = provider.map(|provider| authority(&provider.base_url));
    let runner = if docker {
        self::docker(settings, installation, boundaries.clone())
    } else {
        process(settings, installation, boundaries.clone())?
    };
    let about = match demo {
        true => AgentAbout {
            name: "demo agent".into(),
            demo,
            hint: HOW_TO_SWITCH.into(),
        },
        false => AgentAbout {
            name: "Claude Code".into(),
            demo,
            hint: String::new(),
        },
    };
    Ok(Agent {
        runner,
        about,
        owners: owners(settings, docker),
        gateway,
        provider,
    })
}

/// Host and port of an address: what people call a provider, and never a secret.
fn authority(url: &str) -> String {
    let known = reqwest::Url::parse(url).ok();
    let name = known.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(
            url.port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
        )
    });
    name.unwrap_or_else(|| "the provider".to_owned())
}

fn gateway(settings: &Settings, provider: gateway::Provider) -> Result<Gateway> {
    let config = GatewayConfig {
        provider,
        // What the CLI takes for its small chores, such as a title.
        small_models: vec![
            "claude-haiku-4-5".into(),
            "claude-haiku-4-5-20251001".into(),
        ],
        prices: prices(settings.prices_file.as_deref())?,
        limits: gateway::Limits::default(),
    };
    Gateway::new(config).context("the model gateway")
}

fn prices(file: Option<&Path>) -> Result<Prices> {
    let Some(file) = file else {
        return Ok(Prices::default());
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("PRICES_FILE: {} can't be read", file.display()))?;
    Prices::parse(&text).with_context(|| format!("PRICES_FILE: {}", file.display()))
}

/// The way to the names that phases list: by this machine's resolver, and by its own line.
pub(crate) fn egress(settings: &Settings) -> Egress {
    let limits = egress::Limits::default();
    Egress::new(Arc::new(egress::System), settings.network.clone(), limits)
}

fn docker(settings: &Settings, installation: &str, boundaries: Boundaries) -> Arc<dyn Runner> {
    let config = docker_config(settings, &settings.worker_image, installation);
    let config = DockerConfig {
        boundaries,
        ..config
    };
    Arc::new(Docker::new(config))
}

/// The engine that the settings name, and this image on it.
pub(crate) fn docker_config(settings: &Settings, image: &str, installation: &str) -> DockerConfig {
    let pairs = [&settings.workspaces, &settings.run_dir];
    DockerConfig {
        host: settings.docker_host.clone(),
        path_map: pairs
            .map(|pair| (pair.here.clone(), pair.engine.clone()))
            .to_vec(),
        ..DockerConfig::new(image, installation)
    }
}

/// What a run may use where its pipeline says nothing else.
pub(crate) fn run_limits(settings: &Settings) -> RunLimits {
    RunLimits {
        memory_bytes: settings.memory_bytes,
        cpus: settings.cpus,
        ..RunLimits::default()
    }
}

fn process(
    settings: &Settings,
    installation: &str,
    boundaries: Boundaries,
) -> Result<Arc<dyn Runner>> {
    let exe = this_program()?;
    let command: Vec<OsString> = match &settings.worker_command {
        Some(command) => command.iter().map(OsString::from).collect(),
        None => vec![exe.clone().into(), cli::DEMO_AGENT.into()],
    };
    let config = ProcessConfig {
        shim: vec![exe.into(), cli::SHIM.into()],
        command,
        installation: installation.to_owned(),
        state: settings.run_dir.here.join("shims"),
        boundaries,
    };
    Ok(Arc::new(Process::new(config)))
}

/// A root host gives each container a uid of its own; a process runs as the host does.
fn owners(settings: &Settings, docker: bool) -> Owners {
    let own = workspace::Owner {
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
    };
    match docker && own.uid == 0 {
        true => Owners::Range {
            first: settings.uid_first,
            count: settings.uid_count,
        },
        false => Owners::Own(own),
    }
}

/// An id for a root of workspaces that has none, and never the same: an empty folder, where a file
/// system isn't mounted, isn't the root that it was.
pub(crate) fn fresh_root(by: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{by}-{}", &random[..8])
}

/// Who the workspaces belong to, for people.
pub(crate) fn owners_in_words(owners: Owners) -> String {
    match owners {
        Owners::Own(owner) => format!("agents and their files are uid {}, as this host", owner.uid),
        Owners::Range { first, count } => {
            format!(
                "each job has a uid of its own, {first} to {}",
                first + count - 1
            )
        }
    }
}

fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("the path of this program")
}

/// Why this host may not listen where `BIND` says; none where it may. Elsewhere than on loopback
/// there must be a token.
pub(crate) async fn unguarded(settings: &Settings, stores: &Stores) -> Result<Option<String>> {
    if settings.bind.is_loopback() || settings.api_token.is_some() {
        return Ok(None);
    }
    if stores.access.tokens().await?.iter().any(Token::is_live) {
        return Ok(None);
    }
    Ok(Some(format!(
        "BIND={} would let anybody on the network submit jobs: set API_TOKEN (or API_TOKEN_FILE), \
         create a token first (`gantry token create --store`), or leave BIND at 127.0.0.1",
        settings.bind
    )))
}

/// Thirty-two bytes of the operating system's.
pub(crate) fn random() -> std::io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut file = std::fs::File::open("/dev/urandom")?;
    std::io::Read::read_exact(&mut file, &mut bytes)?;
    Ok(bytes)
}

/// Sqlite's folder, and the others that must be there before anything else.
pub(crate) fn make_folders(settings: &Settings) -> Result<()> {
    let dirs = [
        &settings.plugin_dir,
        &settings.pipeline_dir,
        &settings.run_dir.here,
    ];
    for dir in dirs {
        std::fs::create_dir_all(dir).with_context(|| format!("{} can't be made", dir.display()))?;
    }
    Ok(())
}

/// What agents and plugins must not be heard to say, as far as this host knows it.
pub(crate) fn secrets(settings: &Settings) -> Redactor {
    let key = settings.provider.iter().map(|it| match &it.credential {
        Credential::ApiKey(key) | Credential::AuthToken(key) | Credential::OAuthToken(key) => {
            key.clone()
        }
    });
    let known = reqwest::Url::parse(&settings.database_url).ok();
    let password = known.as_ref().and_then(reqwest::Url::password);
    // In the address it is escaped; elsewhere it isn't.
    let password = password
        .into_iter()
        .flat_map(|it| [it.to_owned(), unescaped(it)]);
    let all = settings.redact.iter().chain(&settings.api_token).cloned();
    Redactor::new(all.chain(key).chain(password))
}

/// A part of an address as it was meant.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let escaped = more.get(..2).filter(|_| *first == b'%');
        let byte = escaped.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(byte.unwrap_or(*first));
        rest = match byte {
            Some(_) => more.get(2..).unwrap_or_default(),
            None => more,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where a database's file is, without a password that a URL may hold.
pub(crate) fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        _ => url.to_owned(),
    }
}

/// Whether a path is there, for `gantry check`.
pub(crate) fn is_writable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Layers;

    #[test]
    fn what_the_host_was_told_is_a_secret() {
        let set = [
            "API_TOKEN=the-api-token",
            "ANTHROPIC_API_KEY=the-providers-key",
            "DATABASE_URL=postgres://gantry:pass%20w%C3%B6rd!@127.0.0.1/gantry",
            "REDACT=one-more-secret",
        ];
        let layers = Layers::read(&set.map(str::to_owned), [], None).unwrap();
        let secrets = secrets(&Settings::from_layers(&layers).unwrap());
        for secret in [
            "the-api-token",
            "the-providers-key",
            "pass%20w%C3%B6rd!",
            "pass wörd!",
            "one-more-secret",
        ] {
            assert_eq!(secrets.text(secret), "[redacted]", "{secret}");
        }
        assert_eq!(secrets.text("gantry at 127.0.0.1"), "gantry at 127.0.0.1");
    }
}
