//! A pipeline file: its form and its checks. It doesn't know which plugins are loaded.

mod limits;

use crate::{BudgetWait, Network, is_slug, micro_usd};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;

pub use limits::PluginLimits;

/// A pipeline, as its file says it. A job keeps the one that it was submitted with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineSpec {
    /// As [`is_slug`]; the file is `NAME.toml`.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub summary: String,
    /// Jobs of this pipeline that run at once, over all hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// What one job may cost, in dollars, as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<String>,
    /// For what a job waits that has met its group's or the day's budget.
    #[serde(default, skip_serializing_if = "is_default")]
    pub budget_wait: BudgetWait,
    /// Whether calls of its plugins are recorded, so that new versions can be tried on them.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub record: bool,
    /// In order; at least one.
    #[serde(rename = "phase")]
    pub phases: Vec<PhaseSpec>,
    /// Who decides what to publish; nothing is published without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<DeploySpec>,
    /// Of each call of a plugin. Boxed, since few pipelines say any.
    #[serde(default, skip_serializing_if = "PluginLimits::is_empty")]
    pub limits: Box<PluginLimits>,
}

/// A phase of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseSpec {
    /// As [`is_slug`]; unique in the pipeline.
    pub id: String,
    /// Which plugin answers.
    pub plugin: PluginReq,
    /// Runs of the phase at most, the first included.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
    /// Whether the workspace is put back before the next attempt.
    #[serde(default)]
    pub reset: bool,
    /// Whether an agent remembers: a run that was cut off is followed by one that goes on with its
    /// session, and so is an attempt by the next one.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub resume: bool,
    /// Of one agent run.
    #[serde(default = "default_timeout", with = "duration_text")]
    pub timeout: Duration,
    /// Of the container, in bytes; the host's `WORKER_MEMORY` where it isn't said.
    #[serde(default, with = "size_text", skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Of the container; the host's `WORKER_CPUS` where it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Of all that the job's agents leave on the disk, in bytes; the host's `WORKER_DISK` where it
    /// isn't said.
    #[serde(default, with = "size_text", skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
    /// What the agent may reach beside its model.
    #[serde(default)]
    pub network: Network,
    /// What the agent may do.
    #[serde(default)]
    pub permissions: Permissions,
    /// The model that the agent asks for.
    #[serde(default = "default_model")]
    pub model: String,
    /// What this phase may cost, in dollars, as a decimal string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<String>,
    /// For the plugin.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

/// Who decides what to publish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploySpec {
    /// Which plugin answers.
    pub plugin: PluginReq,
    /// For the plugin.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

/// What the agent may do in its container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permissions {
    /// Read and write files of the workspace.
    #[default]
    Edit,
    /// Run any command.
    Full,
}

impl Permissions {
    /// The word of the pipeline file and of `PERMISSIONS`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Full => "full",
        }
    }
}

/// A plugin by name and, if wanted, version: `idea` or `idea@^1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginReq {
    /// The plugin's name.
    pub name: String,
    /// Any version without it.
    pub version: Option<semver::VersionReq>,
}

/// What is wrong with a pipeline file.
#[derive(Debug, Error)]
pub enum SpecError {
    /// Not the form of a pipeline file; the message names line and key.
    #[error("{0}")]
    Form(String),
    /// The form is right, a value isn't.
    #[error("{at}: {what}")]
    Value {
        /// Which key.
        at: String,
        /// What is wrong and what would be right.
        what: String,
    },
}

impl PipelineSpec {
    /// Reads and checks a pipeline file.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec: Self =
            toml::from_str(text).map_err(|error| SpecError::Form(error.to_string()))?;
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), SpecError> {
        let wrong = |at: String, what: &str| {
            Err(SpecError::Value {
                at,
                what: what.to_owned(),
            })
        };
        let name = "1 to 63 lowercase letters, digits and hyphens";
        if !is_slug(&self.name) {
            return wrong("name".into(), &format!("`{}` must be {name}", self.name));
        }
        if self.phases.is_empty() {
            return wrong("phase".into(), "a pipeline needs at least one [[phase]]");
        }
        if self.concurrency == Some(0) {
            return wrong(
                "concurrency".into(),
                "must be at least 1; leave it out for no limit",
            );
        }
        amount(self.budget_usd.as_deref(), "budget_usd".to_owned())?;
        let mut seen = BTreeSet::new();
        for phase in &self.phases {
            let at = |key: &str| format!("phase `{}`: {key}", phase.id);
            if !is_slug(&phase.id) {
                return wrong(at("id"), &format!("must be {name}"));
            }
            json_only(&phase.settings, &at("settings"))?;
            amount(phase.budget_usd.as_deref(), at("budget_usd"))?;
            if !seen.insert(&phase.id) {
                return wrong(at("id"), "is there twice");
            }
            if !(1..=100).contains(&phase.attempts) {
                return wrong(at("attempts"), "must be 1 to 100");
            }
            if phase.timeout.is_zero() || phase.timeout > Duration::from_secs(86_400) {
                return wrong(at("timeout"), "must be more than 0s and at most 24h");
            }
            if phase
                .cpus
                .is_some_and(|cpus| !(0.01..=1024.0).contains(&cpus))
            {
                return wrong(at("cpus"), "must be 0.01 to 1024");
            }
            if phase.memory.is_some_and(|bytes| bytes < 16 << 20) {
                return wrong(at("memory"), "must be at least 16MiB");
            }
            if phase.disk.is_some_and(|bytes| bytes < 1 << 20) {
                return wrong(at("disk"), "must be at least 1MiB");
            }
            if phase.model.trim().is_empty() {
                return wrong(at("model"), "must name a model");
            }
            if let Err(what) = phase.network.check() {
                return wrong(at("network"), &what);
            }
        }
        if let Some(deploy) = &self.deploy {
            json_only(&deploy.settings, "deploy: settings")?;
        }
        self.limits.check()
    }
}

/// Whether a budget is an amount of money, and not nothing: an agent can do nothing for it.
fn amount(usd: Option<&str>, at: String) -> Result<(), SpecError> {
    let Some(text) = usd else { return Ok(()) };
    let what = match micro_usd(text) {
        Ok(0) => "must be more than 0; leave it out for no budget".to_owned(),
        Ok(_) => return Ok(()),
        Err(error) => error.to_string(),
    };
    Err(SpecError::Value { at, what })
}

fn yes() -> bool {
    true
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// Settings go to the plugin as JSON, which has no dates and no `nan`: what TOML's become there is
/// nothing that anybody wrote.
fn json_only(settings: &Map<String, Value>, at: &str) -> Result<(), SpecError> {
    for (key, value) in settings {
        json_value(value, &format!("{at}.{key}"))?;
    }
    Ok(())
}

fn json_value(value: &Value, at: &str) -> Result<(), SpecError> {
    let wrong = |what: &str| {
        Err(SpecError::Value {
            at: at.to_owned(),
            what: what.to_owned(),
        })
    };
    match value {
        Value::Null => wrong("is `nan` or `inf`, which JSON hasn't; write it as a text"),
        Value::Object(object) if object.contains_key(TOML_DATE) => {
            wrong("is a date, which JSON hasn't; put it in quotes")
        }
        Value::Object(object) => json_only(object, at),
        Value::Array(values) => {
            let mut values = values.iter().enumerate();
            values.try_for_each(|(index, value)| json_value(value, &format!("{at}[{index}]")))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// The key under which `toml` hands a date to what doesn't know dates.
const TOML_DATE: &str = "$__toml_private_datetime";

fn default_attempts() -> u32 {
    3
}

fn default_timeout() -> Duration {
    Duration::from_secs(600)
}

fn default_model() -> String {
    "claude-opus-4-8".to_owned()
}

impl FromStr for PluginReq {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => {
                let version = version
                    .parse()
                    .map_err(|e| format!("`{text}`: `{version}` is not a version range: {e}"))?;
                (name, Some(version))
            }
        };
        if !is_slug(name) {
            return Err(format!(
                "`{name}` is not a plugin's name: lowercase letters, digits, hyphens"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

impl fmt::Display for PluginReq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            None => f.write_str(&self.name),
            Some(version) => write!(f, "{}@{version}", self.name),
        }
    }
}

impl Serialize for PluginReq {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PluginReq {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Seconds, minutes or hours: `90s`, `10m`, `2h`.
mod duration_text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(at: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{}s", at.as_secs()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_duration(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "`{text}` is not a time such as \"90s\", \"10m\" or \"2h\""
            ))
        })
    }
}

/// Bytes: `512MiB`, `2GiB`.
mod size_text {
    use super::*;

    #[expect(clippy::ref_option, reason = "serde's `with` calls it by this form")]
    pub(super) fn serialize<S: Serializer>(at: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            None => to.serialize_none(),
            Some(bytes) if bytes % (1 << 20) == 0 => {
                to.serialize_str(&format!("{}MiB", bytes >> 20))
            }
            Some(bytes) => to.serialize_str(&format!("{bytes}B")),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_size(&text).map(Some).ok_or_else(|| {
            de::Error::custom(format!(
                "`{text}` is not a size such as \"512MiB\" or \"2GiB\""
            ))
        })
    }
}

/// A time from `90s`, `10m` or `2h`; `None` where the text isn't that.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, factor) = [("s", 1), ("m", 60), ("h", 3600)]
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|n| (n, *factor)))?;
    let number: u64 = number.trim().parse().ok()?;
    number.checked_mul(factor).map(Duration::from_secs)
}

/// Bytes from `512MiB`, `2GiB`, `64KiB` or `100B`; `None` where the text isn't that.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, shift) = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)]
        .iter()
        .find_map(|(unit, shift)| text.trim().strip_suffix(unit).map(|n| (n, *shift)))?;
    let number: f64 = number.trim().parse().ok()?;
    let bytes = number * f64::from(1_u32 << shift);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked here"
    )]
    (bytes.is_finite() && (0.0..9e18).contains(&bytes)).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(line: &str) -> Result<PipelineSpec, String> {
        let head = "name = \"a\"\n[[phase]]\nid = \"p\"\nplugin = \"p\"\n";
        PipelineSpec::parse(&format!("{head}{line}\n")).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_are_json_as_they_were_written() {
        let good = with("settings = { a = [1, 2.5, { b = \"1979-05-27\" }], c = true }").unwrap();
        assert_eq!(good.phases[0].settings["a"][2]["b"], "1979-05-27");
        let date = with("settings = { a = [{ b = 1979-05-27T07:32:00Z }] }").unwrap_err();
        assert!(
            date.contains("phase `p`: settings.a[0].b: is a date"),
            "{date}"
        );
        let number = with("settings = { a = nan }").unwrap_err();
        assert!(
            number.contains("phase `p`: settings.a: is `nan` or `inf`"),
            "{number}"
        );
        let deploy = with("[deploy]\nplugin = \"d\"\nsettings = { a = -inf }").unwrap_err();
        assert!(deploy.contains("deploy: settings.a: is `nan`"), "{deploy}");
    }

    #[test]
    fn a_disk_limit_is_a_size_and_not_nothing() {
        assert_eq!(with("").unwrap().phases[0].disk, None);
        let said = with("disk = \"1MiB\"").unwrap();
        assert_eq!(said.phases[0].disk, Some(1 << 20));
        let kept = serde_json::to_value(&said).unwrap();
        assert_eq!(kept["phase"][0]["disk"], "1MiB");
        let little = with("disk = \"1023KiB\"").unwrap_err();
        assert!(
            little.contains("phase `p`: disk: must be at least 1MiB"),
            "{little}"
        );
    }

    #[test]
    fn a_phase_resumes_unless_it_says_otherwise() {
        assert!(with("").unwrap().phases[0].resume);
        let off = with("resume = false").unwrap();
        assert!(!off.phases[0].resume);
        let kept = serde_json::to_value(&off).unwrap();
        assert_eq!(kept["phase"][0]["resume"], false);
        assert_eq!(
            serde_json::from_value::<PipelineSpec>(kept).unwrap(),
            off,
            "a job keeps it"
        );
        let error = with("resume = \"never\"").unwrap_err();
        assert!(error.contains("resume = \"never\""), "{error}");
        assert!(error.contains("expected a boolean"), "{error}");
    }
}
