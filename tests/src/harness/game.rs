//! A whole game, task by task, as the demo agent writes it: what the stand-in has the real CLI
//! write. It asks no model.

use std::collections::BTreeMap;
use std::fs;

use crate::standin::{Script, script};

/// Phase, task, file, and what only this task's prompt says.
const TASKS: [(&str, &str, &str, &str); 6] = [
    ("idea", "idea", "idea.json", "write it down as `idea.json`"),
    (
        "design",
        "currencies",
        "design/currencies.json",
        "write them down as `design/currencies.json`",
    ),
    (
        "design",
        "progression",
        "design/progression.json",
        "write it down as `design/progression.json`",
    ),
    (
        "design",
        "interface",
        "design/interface.json",
        "write it down as `design/interface.json`",
    ),
    (
        "plan",
        "plan",
        "plan.json",
        "write the plan down as `plan.json`",
    ),
    (
        "build",
        "build",
        "site/index.html",
        "Build one small browser game as a single page",
    ),
];

/// The files of one game.
pub struct Game {
    files: Vec<(&'static str, &'static str, String)>,
}

impl Game {
    /// The game of a job of this name.
    ///
    /// # Panics
    /// Where the demo agent fails.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(path("work")).unwrap();
        fs::create_dir(path("out")).unwrap();
        fs::write(path("prompt.md"), "Please do it.").unwrap();
        let files = TASKS.map(|(phase, task, file, marker)| {
            let vars = [
                ("PHASE", phase.to_owned()),
                ("TASK", task.to_owned()),
                ("JOB_NAME", name.to_owned()),
                ("WORKSPACE_DIR", path("work")),
                ("OUT_DIR", path("out")),
                ("PROMPT_FILE", path("prompt.md")),
            ];
            let vars: BTreeMap<String, String> = vars
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            assert_eq!(demo_agent::run(&vars), 0, "the demo agent writes {file}");
            let content = fs::read_to_string(folder.path().join("work").join(file)).unwrap();
            (marker, file, content)
        });
        Self {
            files: files.into(),
        }
    }

    /// Its title.
    #[must_use]
    pub fn title(&self) -> String {
        let idea: serde_json::Value = serde_json::from_str(&self.files[0].2).unwrap();
        idea["title"].as_str().unwrap().to_owned()
    }

    /// Has the real CLI write it, whatever the phase.
    pub fn script(&self) -> impl Script + use<> {
        let files = self.files.clone();
        script::game(None, move |prompt| {
            let mine = files.iter().filter(|(marker, ..)| prompt.contains(marker));
            mine.map(|(_, file, content)| ((*file).to_owned(), content.clone()))
                .collect()
        })
    }
}
