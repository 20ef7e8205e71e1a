//! The three steps that a job can ask of a plugin, and which of them one has.

use serde::{Deserialize, Serialize};

/// A step of a plugin that a job asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Which tasks the agent gets.
    Prompt,
    /// Whether what it left is good.
    Validate,
    /// What is published of it.
    Deploy,
}

impl Step {
    /// The word of the interface.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Validate => "validate",
            Self::Deploy => "deploy",
        }
    }
}

/// What a plugin exports beside `describe`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Steps {
    pub(crate) prompt: bool,
    pub(crate) validate: bool,
    pub(crate) deploy: bool,
    pub(crate) self_test: bool,
}

impl Steps {
    pub(crate) fn has(self, step: Step) -> bool {
        match step {
            Step::Prompt => self.prompt,
            Step::Validate => self.validate,
            Step::Deploy => self.deploy,
        }
    }

    /// Their words, in the order in which a job meets them.
    pub(crate) fn words(self) -> Vec<String> {
        let all = [
            ("prompt", self.prompt),
            ("validate", self.validate),
            ("deploy", self.deploy),
            ("self-test", self.self_test),
        ];
        let has = all.into_iter().filter(|(_, has)| *has);
        has.map(|(word, _)| word.to_owned()).collect()
    }
}
