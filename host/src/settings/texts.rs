//! From the text of a setting to its value: each error names the setting and what would be right.

use super::Layers;
use super::values::{Replay, RunnerChoice};
use anyhow::{Context, Result, anyhow, bail};
use gateway::{Credential, Provider};
use pipeline::{BlameRule, BreakerRule, BudgetKind, Redactor, Retention, micro_usd};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub(super) fn parse<T: FromStr>(layers: &Layers, name: &str, default: T) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    match layers.get(name)? {
        None => Ok(default),
        Some(text) => text
            .trim()
            .parse()
            .map_err(|error| anyhow!("{name}=`{text}`: {error}")),
    }
}

pub(super) fn within<T: PartialOrd + std::fmt::Display>(
    value: T,
    name: &str,
    least: T,
    most: T,
) -> Result<T> {
    if value < least || value > most {
        bail!("{name}={value}: must be {least} to {most}");
    }
    Ok(value)
}

pub(super) fn millis(value: u64) -> Duration {
    Duration::from_millis(value)
}

pub(super) fn seconds(value: u64) -> Duration {
    Duration::from_secs(value)
}

pub(super) fn size(layers: &Layers, name: &str, default: &str) -> Result<u64> {
    let text = layers.get(name)?.unwrap_or_else(|| default.to_owned());
    pipeline::parse_size(&text)
        .with_context(|| format!("{name}=`{text}`: must be a size such as 512MiB or 2GiB"))
}

/// Room on the disk: with less, no agent could even say what it does.
pub(super) fn room(layers: &Layers, name: &str, default: &str) -> Result<u64> {
    match size(layers, name, default)? {
        bytes if bytes < 1 << 20 => bail!("{name}={bytes}B: must be at least 1MiB"),
        bytes => Ok(bytes),
    }
}

pub(super) fn absolute(path: &str) -> Result<PathBuf> {
    std::path::absolute(Path::new(path)).with_context(|| format!("`{path}` isn't a path"))
}

pub(super) fn runner(text: Option<&str>) -> Result<RunnerChoice> {
    match text {
        None | Some("auto") => Ok(RunnerChoice::Auto),
        Some("docker") => Ok(RunnerChoice::Docker),
        Some("process") => Ok(RunnerChoice::Process),
        Some(other) => bail!("RUNNER=`{other}`: must be `auto`, `docker` or `process`"),
    }
}

pub(super) fn replay(text: Option<&str>) -> Result<Replay> {
    match text {
        Some("off") => Ok(Replay::Off),
        None | Some("record") => Ok(Replay::Record),
        Some("gate") => Ok(Replay::Gate),
        Some(other) => bail!("PLUGIN_REPLAY=`{other}`: must be `off`, `record` or `gate`"),
    }
}

/// `JOBS/TIME`, such as `3/10m`.
pub(super) fn blame(text: Option<&str>) -> Result<BlameRule> {
    let Some(text) = text else {
        return Ok(BlameRule::default());
    };
    let wrong = || {
        anyhow!(
            "PLUGIN_FAULTS=`{text}`: must be jobs and a time, such as 3/10m: 2 to 100 jobs within 1m to 24h"
        )
    };
    let (jobs, within) = text.split_once('/').ok_or_else(wrong)?;
    let jobs: usize = jobs.trim().parse().map_err(|_| wrong())?;
    let within = pipeline::parse_duration(within.trim()).ok_or_else(wrong)?;
    let fits = (2..=100).contains(&jobs)
        && (Duration::from_secs(60)..=Duration::from_secs(86_400)).contains(&within);
    match fits {
        true => Ok(BlameRule { jobs, within }),
        false => Err(wrong()),
    }
}

/// `JOBS/PAUSE`, such as `5/30s`.
pub(super) fn breaker(text: Option<&str>) -> Result<BreakerRule> {
    let Some(text) = text else {
        return Ok(BreakerRule::default());
    };
    let wrong = || {
        anyhow!(
            "PROVIDER_BREAKER=`{text}`: must be jobs and a first pause, such as 5/30s: \
             2 to 100 jobs, and 1s to 15m"
        )
    };
    let (jobs, first) = text.split_once('/').ok_or_else(wrong)?;
    let jobs: usize = jobs.trim().parse().map_err(|_| wrong())?;
    let first = pipeline::parse_duration(first.trim()).ok_or_else(wrong)?;
    let rule = BreakerRule::default();
    let fits =
        (2..=100).contains(&jobs) && (Duration::from_secs(1)..=rule.longest).contains(&first);
    match fits {
        true => Ok(BreakerRule {
            jobs,
            first,
            ..rule
        }),
        false => Err(wrong()),
    }
}

/// Ceilings on what may be spent; none where nothing is said.
pub(super) fn budgets(layers: &Layers) -> Result<BTreeMap<BudgetKind, u64>> {
    let mut budgets = BTreeMap::new();
    for kind in BudgetKind::ALL {
        let name = format!("BUDGET_{}_USD", kind.word().to_uppercase());
        let Some(text) = layers.get(&name)? else {
            continue;
        };
        let micro_usd = micro_usd(text.trim()).map_err(|error| anyhow!("{name}: {error}"))?;
        budgets.insert(kind, micro_usd);
    }
    Ok(budgets)
}

/// What is kept, and for how long: `0` and `never` take nothing away.
pub(super) fn retention(layers: &Layers) -> Result<Retention> {
    let usual = Retention::default();
    let age = |name: &str, usual| {
        or_never(layers, name, usual, "a time such as 30d", |text| {
            let age = pipeline::parse_duration(text).or_else(|| days(text));
            age.filter(|age| !age.is_zero())
        })
    };
    Ok(Retention {
        jobs: age("RETAIN_JOBS", usual.jobs)?,
        logs: age("RETAIN_LOGS", usual.logs)?,
        events: age("RETAIN_EVENTS", usual.events)?,
        workspaces: age("RETAIN_WORKSPACES", usual.workspaces)?,
        workspaces_bytes: or_never(
            layers,
            "RETAIN_WORKSPACES_BYTES",
            usual.workspaces_bytes,
            "a size such as 50GiB",
            |text| pipeline::parse_size(text).filter(|bytes| *bytes > 0),
        )?,
        versions: or_never(
            layers,
            "RETAIN_VERSIONS",
            usual.versions,
            "a number",
            |text| text.parse().ok(),
        )?,
    })
}

pub(super) fn or_never<T>(
    layers: &Layers,
    name: &str,
    usual: Option<T>,
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    match layers.get(name)?.as_deref().map(str::trim) {
        None => Ok(usual),
        Some("0" | "never") => Ok(None),
        Some(text) => match parse(text) {
            Some(value) => Ok(Some(value)),
            None => bail!("{name}=`{text}`: must be {what}, or `never`"),
        },
    }
}

/// Days, which a pipeline's times don't have.
fn days(text: &str) -> Option<Duration> {
    let days: u64 = text.strip_suffix('d')?.trim().parse().ok()?;
    days.checked_mul(86_400).map(Duration::from_secs)
}

/// A command line of plain words; quoting is more than a setting should need.
pub(super) fn words(line: &str) -> Result<Vec<String>> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        bail!("WORKER_COMMAND is empty: leave it out for the demo agent");
    }
    Ok(words)
}

/// Values apart by commas or lines. An error says which, and never what it is.
pub(super) fn redact(text: Option<&str>) -> Result<Vec<String>> {
    let values = text.unwrap_or_default().split([',', '\n']).map(str::trim);
    let values: Vec<String> = values
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect();
    let least = Redactor::LEAST;
    match values.iter().position(|value| value.len() < least) {
        None => Ok(values),
        Some(at) => bail!(
            "REDACT: value {} has fewer than {least} bytes: plain words would be taken out with it; \
             give the whole secret, without commas in it",
            at + 1
        ),
    }
}

pub(super) fn provider(layers: &Layers) -> Result<Option<Provider>> {
    let key = layers.get("ANTHROPIC_API_KEY")?.map(Credential::ApiKey);
    let token = layers
        .get("ANTHROPIC_AUTH_TOKEN")?
        .map(Credential::AuthToken);
    let subscription = layers
        .get("CLAUDE_CODE_OAUTH_TOKEN")?
        .map(Credential::OAuthToken);
    let zai = layers.get("ZAI_API_KEY")?.map(Credential::AuthToken);
    let Some(credential) = key.or(token).or(subscription).or(zai) else {
        return Ok(None);
    };
    let base_url = layers.get("ANTHROPIC_BASE_URL")?;
    let base_url = base_url.map_or_else(|| layers.get("ZAI_BASE_URL"), |url| Ok(Some(url)))?;
    let base_url = base_url.unwrap_or_else(|| "https://api.anthropic.com".to_owned());
    Ok(Some(Provider {
        base_url,
        credential,
    }))
}
