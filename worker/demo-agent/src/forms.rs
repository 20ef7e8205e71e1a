//! The files that the phases hand to each other, as the built-in plugins ask for
//! them. Whether a file is good enough is theirs to say, not this agent's.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Idea {
    pub(crate) title: String,
    pub(crate) theme: String,
    pub(crate) pitch: String,
    pub(crate) genre: String,
    pub(crate) player_goal: String,
    pub(crate) core_loop: Vec<String>,
    pub(crate) tone: String,
    pub(crate) palette: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Currencies {
    pub(crate) currencies: Vec<Currency>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Currency {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) symbol: String,
    pub(crate) description: String,
    pub(crate) start: f64,
    pub(crate) earned_by: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Progression {
    pub(crate) upgrades: Vec<Upgrade>,
    pub(crate) milestones: Vec<Milestone>,
    pub(crate) win: Win,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Upgrade {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) cost: Amount,
    pub(crate) cost_growth: f64,
    pub(crate) effect: Effect,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Amount {
    pub(crate) currency: String,
    pub(crate) amount: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Effect {
    pub(crate) kind: Kind,
    pub(crate) currency: String,
    pub(crate) value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    PerClick,
    PerSecond,
    Multiplier,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Milestone {
    pub(crate) at: Amount,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Win {
    pub(crate) currency: String,
    pub(crate) amount: f64,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Interface {
    pub(crate) layout: String,
    pub(crate) screens: Vec<Screen>,
    pub(crate) action: Action,
    pub(crate) palette: Colours,
    pub(crate) messages: Messages,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Screen {
    pub(crate) id: String,
    pub(crate) purpose: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Action {
    pub(crate) label: String,
    pub(crate) feedback: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Colours {
    pub(crate) background: String,
    pub(crate) surface: String,
    pub(crate) text: String,
    pub(crate) accent: String,
    pub(crate) accent_text: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Messages {
    pub(crate) welcome: String,
    pub(crate) win: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) files: Vec<String>,
    pub(crate) checks: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) done_when: String,
}
