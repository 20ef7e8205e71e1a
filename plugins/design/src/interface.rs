//! The form of `design/interface.json`. Colours are looked at for their form, not for contrast.

use gantry_sdk::{Node, Problems};
use serde_json::Value;
use std::collections::BTreeSet;

/// Where it is.
pub(crate) const FILE: &str = "design/interface.json";

const COLORS: [&str; 5] = ["background", "surface", "text", "accent", "accent_text"];

/// Tells all that is wrong.
pub(crate) fn check(value: &Value, problems: &mut Problems) {
    let root = Node::root(FILE, value).object(problems);
    root.key("layout").text(1..=5_000, problems);
    let mut ids = BTreeSet::new();
    for screen in root.key("screens").list(1..=6, problems) {
        let screen = screen.object(problems);
        screen.key("id").unique_id(&mut ids, problems);
        screen.key("purpose").text(1..=2_000, problems);
    }
    let action = root.key("action").object(problems);
    action.key("label").text(1..=40, problems);
    action.key("feedback").text(1..=2_000, problems);
    let palette = root.key("palette").object(problems);
    for color in COLORS {
        palette.key(color).color(problems);
    }
    let messages = root.key("messages").object(problems);
    messages.key("welcome").text(1..=2_000, problems);
    messages.key("win").text(1..=2_000, problems);
}
