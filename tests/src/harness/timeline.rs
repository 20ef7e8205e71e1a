//! The events of one job as a sequence of words, and what holds for every job: numbers without a
//! gap, each accepted phase once. What a test expects beyond that is the test's matter.

use serde_json::Value;

use super::events::Event;

/// The kept events of a job that has ended.
#[derive(Debug)]
pub struct Timeline(Vec<Value>);

impl Timeline {
    /// Checks what holds for every job.
    ///
    /// # Panics
    /// Where it doesn't.
    #[must_use]
    pub fn of(events: &[Event]) -> Self {
        let kept: Vec<&Event> = events
            .iter()
            .filter(|event| event.name != "agent.delta")
            .collect();
        for (event, expected) in kept.iter().zip(1..) {
            assert_eq!(
                event.data["seq"], expected,
                "numbers have no gaps: {kept:#?}"
            );
            assert_eq!(event.data["type"].as_str(), Some(event.name.as_str()));
            assert!(!event.id.is_empty(), "{event:?}");
        }
        Self(kept.into_iter().map(|event| event.data.clone()).collect())
    }

    /// The words of all events but what the agent said and did: `phase.started idea`,
    /// `agent.started design/currencies`, `job.succeeded`.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let told = self.0.iter().filter(|event| {
            !matches!(
                event["type"].as_str(),
                Some("agent.message" | "agent.thinking" | "agent.tool" | "agent.tool-result")
            )
        });
        told.map(words).collect()
    }

    /// The words of the events of one type.
    #[must_use]
    pub fn of_type(&self, kind: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|event| event["type"] == kind)
            .map(words)
            .collect()
    }

    /// All of them.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        &self.0
    }
}

fn words(event: &Value) -> String {
    let kind = event["type"].as_str().unwrap_or_default();
    let phase = event["phase"].as_str().unwrap_or_default();
    match event["data"]["task"].as_str() {
        _ if kind.starts_with("job.") => kind.to_owned(),
        Some(task) => format!("{kind} {phase}/{task}"),
        None => format!("{kind} {phase}"),
    }
}
