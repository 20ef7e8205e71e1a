//! Ways to build what a step answers. They check nothing: the host does, and says what is wrong.

use crate::{Decision, Error, Manifest, Plan, Site, StagedFile, Task, Verdict};
use serde::Serialize;
use serde_json::{Map, Value};

impl Manifest {
    /// `name` is the file's, without `.wasm`; `version` a semantic one; `summary` one line.
    ///
    /// ```
    /// use gantry_sdk::Manifest;
    /// let manifest = Manifest::new("idea", "0.1.0", "One game idea")
    ///     .settings_schema(r#"{"type": "object", "additionalProperties": false}"#);
    /// assert_eq!(manifest.name, "idea");
    /// ```
    pub fn new(
        name: impl Into<String>,
        version: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            settings_schema: None,
            requests: Vec::new(),
            extra: None,
        }
    }

    /// JSON Schema of the settings that a pipeline may give.
    pub fn settings_schema(mut self, schema: impl Into<String>) -> Self {
        self.settings_schema = Some(schema.into());
        self
    }

    /// A capability that an operator must grant.
    pub fn request(mut self, capability: impl Into<String>) -> Self {
        self.requests.push(capability.into());
        self
    }
}

impl Task {
    /// One run of the agent; `name` is unique in the phase.
    ///
    /// ```
    /// use gantry_sdk::Task;
    /// let task = Task::new("notes", "Write notes.md: five lines on lighthouses.")
    ///     .stage("style.md", "Short sentences.")
    ///     .expects("notes.md")
    ///     .timeout_seconds(120)
    ///     .max_turns(20);
    /// assert_eq!(task.options.as_deref(), Some(r#"{"max_turns":20,"timeout":120}"#));
    /// ```
    pub fn new(name: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            prompt: prompt.into(),
            stage: Vec::new(),
            expects: Vec::new(),
            options: None,
        }
    }

    /// Lays a file into the workspace before the agent starts.
    pub fn stage(mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        let (path, content) = (path.into(), content.into());
        self.stage.push(StagedFile {
            path,
            content,
            executable: false,
        });
        self
    }

    /// A file that the agent must have written.
    pub fn expects(mut self, path: impl Into<String>) -> Self {
        self.expects.push(path.into());
        self
    }

    /// The model; the phase must allow it.
    pub fn model(mut self, model: &str) -> Self {
        set(&mut self.options, "model", model);
        self
    }

    /// The longest that this run may take; at most the phase's.
    pub fn timeout_seconds(mut self, seconds: u64) -> Self {
        set(&mut self.options, "timeout", seconds);
        self
    }

    /// Turns of the model at most.
    pub fn max_turns(mut self, turns: u32) -> Self {
        set(&mut self.options, "max_turns", turns);
        self
    }

    /// `edit` or `full`; at most the phase's.
    pub fn permissions(mut self, permissions: &str) -> Self {
        set(&mut self.options, "permissions", permissions);
        self
    }
}

impl Verdict {
    /// Go on to the next phase.
    pub fn accept(message: impl Into<String>) -> Self {
        Self {
            decision: Decision::Accept,
            message: message.into(),
            options: None,
        }
    }

    /// Run the phase again; the agent reads the message, so it says what to mend.
    pub fn revise(message: impl Into<String>) -> Self {
        Self {
            decision: Decision::Revise,
            message: message.into(),
            options: None,
        }
    }

    /// Fail the job, where another attempt can't help.
    pub fn reject(message: impl Into<String>) -> Self {
        Self {
            decision: Decision::Reject,
            message: message.into(),
            options: None,
        }
    }

    /// Of 10.
    pub fn score(mut self, score: f64) -> Self {
        set(&mut self.options, "score", score);
        self
    }

    /// The agent of the next attempt forgets what was said in this one, and begins anew.
    pub fn fresh_session(mut self) -> Self {
        set(&mut self.options, "fresh_session", true);
        self
    }
}

impl Site {
    /// The whole of the workspace folder `root`, opened at its `index.html`.
    pub fn new(slug: impl Into<String>, title: impl Into<String>, root: impl Into<String>) -> Self {
        Self {
            slug: slug.into(),
            title: title.into(),
            summary: String::new(),
            root: root.into(),
            entry: "index.html".to_owned(),
            metadata: None,
            options: None,
        }
    }

    /// One or two sentences for the gallery.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// The page to open, below the root.
    pub fn entry(mut self, entry: impl Into<String>) -> Self {
        self.entry = entry.into();
        self
    }

    /// One more field for the gallery.
    pub fn metadata(mut self, key: &str, value: impl Serialize) -> Self {
        set(&mut self.metadata, key, value);
        self
    }

    /// An unknown path answers with the entry.
    pub fn single_page(mut self) -> Self {
        set(&mut self.options, "single_page", true);
        self
    }
}

impl Plan {
    /// Publishes one site.
    pub fn site(site: Site) -> Self {
        Self {
            sites: vec![site],
            options: None,
        }
    }

    /// Publishes nothing: the job succeeds without a site.
    pub fn nothing() -> Self {
        Self {
            sites: Vec::new(),
            options: None,
        }
    }
}

impl Error {
    /// The job asks for something impossible: it fails, without a retry.
    pub fn invalid_job(why: impl Into<String>) -> Self {
        Self::InvalidJob(why.into())
    }

    /// Worth trying again later.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable(why.into())
    }

    /// A fault of the plugin's own.
    pub fn internal(why: impl Into<String>) -> Self {
        Self::Internal(why.into())
    }
}

/// Sets one key of a JSON object that is kept as text. What these builders wrote is an object,
/// and a value that can't be JSON (a map with odd keys) is left out.
fn set(text: &mut Option<String>, key: &str, value: impl Serialize) {
    let mut object: Map<String, Value> = text
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    if let Ok(value) = serde_json::to_value(value) {
        object.insert(key.to_owned(), value);
    }
    *text = Some(Value::Object(object).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_one_object() {
        let task = Task::new("a", "b")
            .permissions("edit")
            .model("m")
            .timeout_seconds(9);
        assert_eq!(
            task.options.as_deref(),
            Some(r#"{"model":"m","permissions":"edit","timeout":9}"#)
        );
        assert_eq!(
            Verdict::revise("again").score(4.5).options.as_deref(),
            Some(r#"{"score":4.5}"#)
        );
        assert_eq!(
            Verdict::revise("again").fresh_session().options.as_deref(),
            Some(r#"{"fresh_session":true}"#)
        );
        let site = Site::new("fog", "Fog", "site")
            .metadata("genre", "idle")
            .metadata("n", [1, 2]);
        assert_eq!(
            site.metadata.as_deref(),
            Some(r#"{"genre":"idle","n":[1,2]}"#)
        );
        assert_eq!(site.entry, "index.html");
        assert_eq!(site.options, None);
    }
}
