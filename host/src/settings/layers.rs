//! Where a setting's text comes from, and the list of their names. What the text means is
//! `values`' matter.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// Every setting, with one line for people.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("PORT", "the port of the API and the page"),
    (
        "BIND",
        "the address to listen on; any but loopback wants a token",
    ),
    ("API_TOKEN", "a first token with every scope"),
    ("DATABASE_URL", "sqlite:PATH or postgres://…"),
    ("MAX_CONCURRENT", "jobs at once on this host"),
    ("POLL_INTERVAL", "ms; the fallback behind wake-ups"),
    (
        "LEASE_SECONDS",
        "how long a host may be silent before others take its jobs",
    ),
    (
        "SHUTDOWN_SECONDS",
        "how long a host that is asked to end may take",
    ),
    (
        "GANTRY_DATA",
        "the folder of everything that this host keeps",
    ),
    ("PLUGIN_DIR", "the watched folder of plugins"),
    ("BUILTIN_PLUGIN_DIR", "the plugins that come with Gantry"),
    (
        "PLUGIN_REPLAY",
        "off, record or gate: recorded calls of plugins",
    ),
    (
        "PLUGIN_FAULTS",
        "when faults take a plugin back, as JOBS/TIME",
    ),
    (
        "PROVIDER_BREAKER",
        "when the provider counts as away, as JOBS/PAUSE",
    ),
    (
        "PRICES_FILE",
        "what models cost, in place of the built-in table",
    ),
    ("BUDGET_PHASE_USD", "the most that a phase may cost"),
    ("BUDGET_JOB_USD", "the most that a job may cost"),
    ("BUDGET_GROUP_USD", "the most that a group may cost a day"),
    ("BUDGET_DAY_USD", "the most that all jobs may cost a day"),
    (
        "PLUGIN_GRANTS",
        "capabilities that plugins request, as idea=real-time",
    ),
    ("PIPELINE_DIR", "the watched folder of pipelines"),
    (
        "NETWORK_ALLOW",
        "any, none, or the names that pipelines may list at most",
    ),
    ("WORKSPACE_PATH", "where the workspaces are"),
    (
        "HOST_WORKSPACE_PATH",
        "the same, as the Docker Engine sees it",
    ),
    ("RUN_DIR", "sockets, prompts and output of runs"),
    ("HOST_RUN_DIR", "the same, as the Docker Engine sees it"),
    ("DEPLOY_DIR", "the sites' files"),
    ("HOST_DEPLOY_DIR", "the same, as the Docker Engine sees it"),
    ("RETAIN_JOBS", "how long jobs are kept after their end"),
    ("RETAIN_LOGS", "how long lines of ended jobs are kept"),
    ("RETAIN_EVENTS", "how long events of ended jobs are kept"),
    (
        "RETAIN_WORKSPACES",
        "how long workspaces of ended jobs are kept",
    ),
    (
        "RETAIN_WORKSPACES_BYTES",
        "room for workspaces; past it the oldest go",
    ),
    ("RETAIN_VERSIONS", "old versions of a site that are kept"),
    ("DOMAIN", "sites are at SLUG.DOMAIN"),
    ("RUNNER", "auto, docker or process"),
    ("DOCKER_HOST", "where the Docker Engine listens"),
    ("WORKER_IMAGE", "the agent's image"),
    ("WORKER_COMMAND", "what the process runner starts"),
    ("WORKER_MEMORY", "of one container, such as 2GiB"),
    ("WORKER_CPUS", "of one container"),
    ("WORKER_DISK", "what a job's agents may leave on the disk"),
    ("WORKER_MEMORY_MAX", "the most that a pipeline may ask for"),
    ("WORKER_CPUS_MAX", "the most that a pipeline may ask for"),
    ("WORKER_DISK_MAX", "the most that a pipeline may ask for"),
    (
        "WORKER_IDLE",
        "how long an agent may print nothing before it is stopped",
    ),
    (
        "WORKER_UID_FIRST",
        "a root host gives each job a uid from here on",
    ),
    ("WORKER_UID_COUNT", "how many uids there are"),
    ("DEMO_PACE_MS", "the demo agent's pause between its steps"),
    ("ANTHROPIC_BASE_URL", "the provider behind the gateway"),
    ("ANTHROPIC_API_KEY", "its key, sent as x-api-key"),
    ("ANTHROPIC_AUTH_TOKEN", "its token, sent as Bearer"),
    (
        "CLAUDE_CODE_OAUTH_TOKEN",
        "a subscription's token, sent as Bearer",
    ),
    ("ZAI_BASE_URL", "read where ANTHROPIC_BASE_URL isn't set"),
    ("ZAI_API_KEY", "read where none of the keys above is set"),
    (
        "REDACT",
        "more secrets that are taken out of what agents print",
    ),
    ("LOG_FORMAT", "text or json"),
];

/// The layers, highest first.
pub(crate) struct Layers {
    command_line: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
}

impl Layers {
    /// Reads all of them. An unknown key is an error that names the nearest known one.
    pub(crate) fn read(
        set: &[String],
        environment: impl IntoIterator<Item = (String, String)>,
        config: Option<&Path>,
    ) -> Result<Self> {
        let mut command_line = BTreeMap::new();
        for pair in set {
            let Some((name, value)) = pair.split_once('=') else {
                bail!("--set {pair}: must be NAME=VALUE");
            };
            command_line.insert(known(name).context("--set")?, value.to_owned());
        }
        // An empty variable is what Compose makes of one that isn't set.
        let environment = environment
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        Ok(Self {
            command_line,
            environment,
            file: file(config)?,
        })
    }

    /// A setting's text; `NAME_FILE` names a file that holds it.
    pub(crate) fn get(&self, name: &str) -> Result<Option<String>> {
        let by_file = format!("{name}_FILE");
        for layer in [&self.command_line, &self.environment, &self.file] {
            if let Some(value) = layer.get(name) {
                return Ok(Some(value.clone()));
            }
            if let Some(path) = layer.get(&by_file) {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("{by_file}: {path} can't be read"))?;
                return Ok(Some(text.trim_end().to_owned()));
            }
        }
        Ok(None)
    }
}

fn file(config: Option<&Path>) -> Result<BTreeMap<String, String>> {
    let path = config.unwrap_or(Path::new("gantry.toml"));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && config.is_none() => {
            return Ok(BTreeMap::new());
        }
        Err(error) => bail!("{}: {error}", path.display()),
    };
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    let table: toml::Table = text.parse()?;
    let mut settings = BTreeMap::new();
    for (key, value) in table {
        let name = known(&key)?;
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
                value.to_string()
            }
            _ => bail!("`{key}` must be a string or a number"),
        };
        settings.insert(name, value);
    }
    Ok(settings)
}

/// The setting's name, in capitals.
fn known(key: &str) -> Result<String> {
    let name = key.to_uppercase();
    let plain = name.strip_suffix("_FILE").unwrap_or(&name);
    if NAMES.iter().any(|(known, _)| *known == plain) {
        return Ok(name);
    }
    let distance = |known: &str| strsim::damerau_levenshtein(plain, known);
    let nearest = NAMES.iter().min_by_key(|(known, _)| distance(known));
    match nearest {
        Some((nearest, _)) if distance(nearest) <= 4 => {
            // As it would be written where this one was: a file's keys are in lowercase.
            let lower = key.chars().any(char::is_lowercase);
            let meant = if lower {
                nearest.to_lowercase()
            } else {
                (*nearest).to_owned()
            };
            bail!("unknown setting `{key}`: did you mean `{meant}`?")
        }
        _ => bail!("unknown setting `{key}`: `gantry check` lists the known ones"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn the_higher_layer_wins() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("g.toml");
        std::fs::write(&file, "port = 1\nbind = \"a\"\npoll_interval = 5").unwrap();
        let set = ["port=3".to_owned()];
        let env = env(&[("PORT", "2"), ("BIND", "b"), ("DOMAIN", "")]);
        let layers = Layers::read(&set, env, Some(&file)).unwrap();
        let get = |name| layers.get(name).unwrap();
        assert_eq!(get("PORT").as_deref(), Some("3"));
        assert_eq!(get("BIND").as_deref(), Some("b"));
        assert_eq!(get("POLL_INTERVAL").as_deref(), Some("5"));
        assert_eq!(get("DOMAIN"), None, "an empty variable is as good as none");
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "secret\n").unwrap();
        let env = env(&[("API_TOKEN_FILE", file.to_str().unwrap())]);
        let layers = Layers::read(&[], env, None).unwrap();
        assert_eq!(layers.get("API_TOKEN").unwrap().as_deref(), Some("secret"));
        let gone = vec![("API_TOKEN_FILE".to_owned(), "/nowhere/token".to_owned())];
        let error = Layers::read(&[], gone, None)
            .unwrap()
            .get("API_TOKEN")
            .unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/token"));
    }

    #[test]
    fn an_unknown_key_is_told_its_nearest() {
        let error = format!("{:#}", parse("max_concurent = 3").unwrap_err());
        assert_eq!(
            error,
            "unknown setting `max_concurent`: did you mean `max_concurrent`?"
        );
        let error = known("PROT").unwrap_err().to_string();
        assert_eq!(error, "unknown setting `PROT`: did you mean `PORT`?");
        let error = format!("{:#}", parse("xyzzyxyzzyxyzzy = 3").unwrap_err());
        assert!(error.contains("gantry check"), "{error}");
    }
}
