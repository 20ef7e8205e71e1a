//! `[limits]` of a pipeline file: what a call of its plugins may use, where that isn't what the host
//! has for all. It knows no defaults; those are the plugin runtime's.

use super::{SpecError, size_text};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt::Display;
use std::time::Duration;

/// Limits on each call of a plugin by a job of this pipeline; the host's own where one isn't said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginLimits {
    /// Wall-clock time of one call.
    #[serde(with = "short_text", skip_serializing_if = "Option::is_none")]
    pub call_time: Option<Duration>,
    /// Of that, at most in functions of the host.
    #[serde(with = "short_text", skip_serializing_if = "Option::is_none")]
    pub host_time: Option<Duration>,
    /// Bytes of all linear memories together.
    #[serde(with = "size_text", skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Elements of all tables together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_elements: Option<u32>,
    /// Bytes of files that one call may read.
    #[serde(with = "size_text", skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// Lines that one call may log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_lines: Option<u32>,
    /// Bytes of one task's prompt.
    #[serde(with = "size_text", skip_serializing_if = "Option::is_none")]
    pub prompt: Option<u64>,
    /// Bytes of all files that one attempt stages.
    #[serde(with = "size_text", skip_serializing_if = "Option::is_none")]
    pub staged: Option<u64>,
    /// Tasks that one `prompt` may give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u32>,
}

impl PluginLimits {
    /// The most memory that a pipeline may ask for, in bytes.
    pub const MEMORY_MOST: u64 = 256 << 20;
    /// The most table elements that a pipeline may ask for.
    pub const TABLE_ELEMENTS_MOST: u32 = 100_000;

    /// Whether none is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self) -> Result<(), SpecError> {
        let times = (Duration::from_millis(10), Duration::from_secs(60));
        let texts = ("10ms", "60s");
        within("call_time", self.call_time, times, texts)?;
        within("host_time", self.host_time, times, texts)?;
        let memory = (1 << 20, Self::MEMORY_MOST);
        within("memory", self.memory, memory, ("1MiB", "256MiB"))?;
        let elements = (1, Self::TABLE_ELEMENTS_MOST);
        within("table_elements", self.table_elements, elements, elements)?;
        within("read", self.read, (0, 1 << 30), ("0B", "1GiB"))?;
        within("log_lines", self.log_lines, (0, 10_000), (0, 10_000))?;
        within("prompt", self.prompt, (1, 4 << 20), ("1B", "4MiB"))?;
        within("staged", self.staged, (0, 32 << 20), ("0B", "32MiB"))?;
        within("tasks", self.tasks, (1, 256), (1, 256))
    }
}

fn within<T: PartialOrd, S: Display>(
    key: &str,
    value: Option<T>,
    (least, most): (T, T),
    (least_text, most_text): (S, S),
) -> Result<(), SpecError> {
    match value {
        Some(value) if value < least || value > most => Err(SpecError::Value {
            at: format!("limits: {key}"),
            what: format!("must be {least_text} to {most_text}"),
        }),
        _ => Ok(()),
    }
}

/// Milliseconds or seconds: `500ms`, `2s`.
mod short_text {
    use super::*;

    #[expect(clippy::ref_option, reason = "serde's `with` calls it by this form")]
    pub(super) fn serialize<S: Serializer>(
        at: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            None => to.serialize_none(),
            Some(time) => to.serialize_str(&format!("{}ms", time.as_millis())),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(from)?;
        let parse = || {
            let (number, factor) = [("ms", 1), ("s", 1000)]
                .iter()
                .find_map(|(unit, factor)| text.strip_suffix(unit).map(|n| (n, *factor)))?;
            let ms = number.trim().parse::<u64>().ok()?.checked_mul(factor)?;
            Some(Duration::from_millis(ms))
        };
        parse().map(Some).ok_or_else(|| {
            de::Error::custom(format!(
                "`{text}` is not a time such as \"500ms\" or \"2s\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{PipelineSpec, PluginLimits};
    use std::time::Duration;

    fn parse(limits: &str) -> Result<PluginLimits, String> {
        let text =
            format!("name = \"x\"\n[[phase]]\nid = \"a\"\nplugin = \"a\"\n[limits]\n{limits}");
        let spec = PipelineSpec::parse(&text).map_err(|error| error.to_string())?;
        // A job keeps it as JSON.
        let kept = serde_json::to_string(&spec).map_err(|error| error.to_string())?;
        assert_eq!(
            serde_json::from_str::<PipelineSpec>(&kept).ok(),
            Some(spec.clone())
        );
        Ok(*spec.limits)
    }

    #[test]
    fn limits_that_are_said_are_read_and_others_are_the_hosts() {
        assert!(parse("").unwrap().is_empty());
        let limits =
            parse("call_time = \"500ms\"\nhost_time = \"2s\"\nmemory = \"64MiB\"").unwrap();
        assert_eq!(limits.call_time, Some(Duration::from_millis(500)));
        assert_eq!(limits.host_time, Some(Duration::from_secs(2)));
        assert_eq!((limits.memory, limits.tasks), (Some(64 << 20), None));
        let rest = "table_elements = 7\nread = \"0B\"\nlog_lines = 0\nprompt = \"1KiB\"\nstaged = \"1MiB\"\ntasks = 3";
        let limits = parse(rest).unwrap();
        assert_eq!(
            (limits.table_elements, limits.log_lines),
            (Some(7), Some(0))
        );
        assert_eq!((limits.read, limits.prompt), (Some(0), Some(1 << 10)));
        assert_eq!((limits.staged, limits.tasks), (Some(1 << 20), Some(3)));
    }

    #[test]
    fn each_has_a_least_and_a_most() {
        for (kept, broken, said) in [
            (
                "call_time = \"10ms\"",
                "call_time = \"9ms\"",
                "limits: call_time: must be 10ms to 60s",
            ),
            ("call_time = \"60s\"", "call_time = \"61s\"", "10ms to 60s"),
            (
                "host_time = \"60s\"",
                "host_time = \"60001ms\"",
                "limits: host_time",
            ),
            (
                "memory = \"1MiB\"",
                "memory = \"1023KiB\"",
                "limits: memory: must be 1MiB to 256MiB",
            ),
            (
                "memory = \"256MiB\"",
                "memory = \"257MiB\"",
                "1MiB to 256MiB",
            ),
            (
                "table_elements = 100000",
                "table_elements = 100001",
                "must be 1 to 100000",
            ),
            ("read = \"1GiB\"", "read = \"1025MiB\"", "limits: read"),
            (
                "log_lines = 10000",
                "log_lines = 10001",
                "limits: log_lines",
            ),
            (
                "prompt = \"4MiB\"",
                "prompt = \"4097KiB\"",
                "limits: prompt: must be 1B to 4MiB",
            ),
            ("staged = \"32MiB\"", "staged = \"33MiB\"", "limits: staged"),
            (
                "tasks = 256",
                "tasks = 257",
                "limits: tasks: must be 1 to 256",
            ),
            ("tasks = 1", "tasks = 0", "1 to 256"),
        ] {
            parse(kept).unwrap();
            let error = parse(broken).unwrap_err();
            assert!(error.contains(said), "{broken}: {error}");
        }
    }

    #[test]
    fn what_is_no_limit_is_named() {
        for (wrong, said) in [
            ("fuel = 3", "unknown field `fuel`"),
            (
                "call_time = \"1m\"",
                "`1m` is not a time such as \"500ms\" or \"2s\"",
            ),
            ("memory = 3", "invalid type"),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }
}
