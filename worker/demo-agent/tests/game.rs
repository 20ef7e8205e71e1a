//! All phases in a folder, through the public function: forms, variety, hostile
//! names. It draws no page; the end-to-end tests open one in a browser.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read what was written has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

const TASKS: &[(&str, &str, &str)] = &[
    ("idea", "idea", "idea.json"),
    ("design", "currencies", "design/currencies.json"),
    ("design", "progression", "design/progression.json"),
    ("design", "interface", "design/interface.json"),
    ("plan", "plan", "plan.json"),
    ("build", "build", "site/index.html"),
];

struct Place {
    root: TempDir,
    name: String,
}

impl Place {
    fn new(name: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["ws", "out"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("prompt.md"), "Please do it.").unwrap();
        Self {
            root,
            name: name.to_owned(),
        }
    }

    fn vars(&self, phase: &str, task: &str) -> BTreeMap<String, String> {
        let path = |name: &str| self.root.path().join(name).to_str().unwrap().to_owned();
        [
            ("PHASE", phase.to_owned()),
            ("TASK", task.to_owned()),
            ("JOB_NAME", self.name.clone()),
            ("WORKSPACE_DIR", path("ws")),
            ("OUT_DIR", path("out")),
            ("PROMPT_FILE", path("prompt.md")),
            ("SESSION_ID", "s-1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn run(&self, phase: &str, task: &str) -> u8 {
        demo_agent::run(&self.vars(phase, task))
    }

    fn run_all(&self) {
        for (phase, task, path) in TASKS {
            assert_eq!(
                self.run(phase, task),
                0,
                "{phase}/{task} of {:?}",
                self.name
            );
            assert!(self.file(path).exists(), "{path}");
        }
    }

    fn file(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join("ws").join(path)
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.file(path)).unwrap()).unwrap()
    }

    fn page(&self) -> String {
        fs::read_to_string(self.file("site/index.html")).unwrap()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.root.path().join("out/status.json")).unwrap())
            .unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.root.path().join("out/agent.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

fn count(value: &Value, range: std::ops::RangeInclusive<usize>) -> &Vec<Value> {
    let items = value.as_array().unwrap();
    assert!(range.contains(&items.len()), "{} of {range:?}", items.len());
    items
}

fn letters(value: &Value, range: std::ops::RangeInclusive<usize>) {
    let length = text(value).trim().chars().count();
    assert!(range.contains(&length), "{value}: {length} letters");
}

fn slug(value: &Value) -> &str {
    let slug = text(value);
    assert!(
        !slug.is_empty()
            && slug
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
        "{slug}"
    );
    slug
}

fn colour(value: &Value) {
    let colour = text(value);
    assert!(colour.len() == 7 && colour.starts_with('#'), "{colour}");
    assert!(
        colour[1..].bytes().all(|b| b.is_ascii_hexdigit()),
        "{colour}"
    );
}

fn check_idea(place: &Place) {
    let idea = place.json("idea.json");
    letters(&idea["title"], 3..=60);
    letters(&idea["pitch"], 1..=600);
    for field in ["theme", "genre", "player_goal", "tone"] {
        letters(&idea[field], 1..=200);
    }
    for step in count(&idea["core_loop"], 3..=6) {
        letters(step, 1..=200);
    }
    count(&idea["palette"], 5..=5).iter().for_each(colour);
}

fn check_design(place: &Place) {
    let currencies = place.json("design/currencies.json");
    let mut ids = BTreeSet::new();
    for currency in count(&currencies["currencies"], 1..=4) {
        assert!(ids.insert(slug(&currency["id"]).to_owned()));
        letters(&currency["symbol"], 1..=4);
        for field in ["name", "description", "earned_by"] {
            letters(&currency[field], 1..=200);
        }
        assert!(currency["start"].as_f64().unwrap() >= 0.0);
    }
    let amount = |at: &Value| {
        assert!(ids.contains(text(&at["currency"])), "{at}");
        assert!(at["amount"].as_f64().unwrap() > 0.0, "{at}");
    };
    let progression = place.json("design/progression.json");
    let mut upgrades = BTreeSet::new();
    for upgrade in count(&progression["upgrades"], 4..=12) {
        assert!(
            upgrades.insert(slug(&upgrade["id"]).to_owned()),
            "{upgrade}"
        );
        letters(&upgrade["name"], 1..=60);
        letters(&upgrade["description"], 1..=200);
        amount(&upgrade["cost"]);
        assert!((1.01..=5.0).contains(&upgrade["cost_growth"].as_f64().unwrap()));
        let effect = &upgrade["effect"];
        assert!(["per_click", "per_second", "multiplier"].contains(&text(&effect["kind"])));
        assert!(ids.contains(text(&effect["currency"])) && effect["value"].as_f64().unwrap() > 0.0);
    }
    for milestone in count(&progression["milestones"], 1..=8) {
        amount(&milestone["at"]);
        letters(&milestone["text"], 1..=300);
    }
    amount(&progression["win"]);
    letters(&progression["win"]["text"], 1..=300);
    let interface = place.json("design/interface.json");
    letters(&interface["layout"], 1..=300);
    for screen in count(&interface["screens"], 1..=6) {
        slug(&screen["id"]);
        letters(&screen["purpose"], 1..=300);
    }
    letters(&interface["action"]["label"], 1..=40);
    letters(&interface["action"]["feedback"], 1..=200);
    for field in ["background", "surface", "text", "accent", "accent_text"] {
        colour(&interface["palette"][field]);
    }
    letters(&interface["messages"]["welcome"], 1..=300);
    letters(&interface["messages"]["win"], 1..=300);
}

fn check_plan_and_page(place: &Place) {
    let plan = place.json("plan.json");
    for step in count(&plan["steps"], 4..=12) {
        slug(&step["id"]);
        for field in ["title", "detail", "done_when"] {
            letters(&step[field], 1..=400);
        }
    }
    assert!(
        plan["files"]
            .as_array()
            .unwrap()
            .contains(&Value::from("site/index.html"))
    );
    count(&plan["checks"], 3..=12);
    let page = place.page();
    for part in [
        "<button id=\"action\">",
        "id=\"score\"",
        "id=\"win\"",
        "prefers-reduced-motion",
        "name=\"viewport\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for upgrade in place.json("design/progression.json")["upgrades"]
        .as_array()
        .unwrap()
    {
        let button = format!(
            "<button class=\"upgrade\" data-id=\"{}\">",
            text(&upgrade["id"])
        );
        assert!(page.contains(&button), "{button}");
    }
    for address in ["http:", "https:", "://", " src=", "url(", "@import", "{{"] {
        assert!(!page.contains(address), "{address}");
    }
    assert_eq!(page.matches("</script>").count(), 2);
}

#[test]
fn every_phase_leaves_what_its_plugin_asks_for() {
    let names = [
        "a game about lighthouse keepers".to_owned(),
        "<b>bold</b></script><script>alert(1)</script> \"quoted\" 'too' & {{data}}".to_owned(),
        "word ".repeat(40),
        "x".repeat(200),
        "🐝🚀🎲".to_owned(),
        "     ".to_owned(),
        "灯台の守り人".to_owned(),
        "ǅ ﬃ ß İstanbul".to_owned(),
        "see https://example.com/x?y=1 -- */ <!-- `${1}` \\u003c \u{202e}\0".to_owned(),
    ];
    let many = (0..60).map(|number| format!("game number {number} of w{number}"));
    for name in names.into_iter().chain(many) {
        let place = Place::new(&name);
        place.run_all();
        check_idea(&place);
        check_design(&place);
        check_plan_and_page(&place);
    }
}

#[test]
fn one_name_makes_one_game_and_two_names_make_two() {
    let games = [
        "bees",
        "bees",
        "wasps",
        "a game about bees",
        "lighthouse keepers",
        "knights",
    ]
    .map(|name| {
        let place = Place::new(name);
        place.run_all();
        place
    });
    assert_eq!(games[0].page(), games[1].page());
    for (at, one) in games.iter().enumerate().skip(1) {
        for other in &games[at + 1..] {
            for path in [
                "design/currencies.json",
                "design/progression.json",
                "design/interface.json",
            ] {
                assert_ne!(
                    one.json(path),
                    other.json(path),
                    "{path}: {} and {}",
                    one.name,
                    other.name
                );
            }
            assert_ne!(one.page(), other.page());
        }
    }
    let title = text(&games[4].json("idea.json")["title"]).to_owned();
    assert!(title.contains("Lighthouse Keepers"), "{title}");
}

#[test]
fn params_change_the_game() {
    let place = Place::new("a game");
    let mut vars = place.vars("idea", "idea");
    vars.insert(
        "JOB_PARAMS".into(),
        r#"{"theme":"night trains","genre":"puzzle"}"#.into(),
    );
    assert_eq!(demo_agent::run(&vars), 0);
    let idea = place.json("idea.json");
    assert_eq!(
        (text(&idea["theme"]), text(&idea["genre"])),
        ("night trains", "puzzle")
    );
    vars.insert("JOB_PARAMS".into(), "[1]".into());
    assert_eq!(demo_agent::run(&vars), 64);
    assert!(text(&place.status()["reason"]).contains("JOB_PARAMS"));
}

#[test]
fn what_was_changed_in_the_workspace_shows_up() {
    let place = Place::new("a game about bees");
    place.run("idea", "idea");
    let change = |path: &str, change: &dyn Fn(&mut Value)| {
        let mut form = place.json(path);
        change(&mut form);
        fs::write(place.file(path), form.to_string()).unwrap();
    };
    change("idea.json", &|idea| {
        idea["title"] = "Wasps </title> \"R\" Us".into()
    });
    place.run("design", "currencies");
    change("design/currencies.json", &|form| {
        form["currencies"][0]["name"] = "Stings & <i>".into()
    });
    for (phase, task, _) in &TASKS[2..] {
        assert_eq!(place.run(phase, task), 0);
    }
    let page = place.page();
    assert!(page.contains("<title>Wasps &lt;&#47;title&gt; &quot;R&quot; Us</title>"));
    assert!(page.contains("Stings &amp; &lt;i&gt;"));
    assert_eq!(page.matches("</title>").count(), 1);
    let description = place.json("design/progression.json")["upgrades"][0]["description"].clone();
    assert!(text(&description).contains("stings"), "{description}");
}

/// Four presses a second, and whatever pays back is bought at once.
fn seconds_to_win(progression: &Value, currencies: &Value) -> u32 {
    let upgrades = progression["upgrades"].as_array().unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let first = text(&currencies["currencies"][0]["id"]);
    let mut have: BTreeMap<&str, f64> = BTreeMap::new();
    let mut levels = vec![0_i32; upgrades.len()];
    let sum = |levels: &[i32], kind: &str, id: &str| -> f64 {
        let all = upgrades.iter().zip(levels);
        all.filter(|(u, _)| u["effect"]["kind"] == kind && u["effect"]["currency"] == id)
            .map(|(u, level)| number(&u["effect"]["value"]) * f64::from(*level))
            .sum()
    };
    for second in 1..3600 {
        let factor: f64 = upgrades
            .iter()
            .zip(&levels)
            .filter(|(u, _)| u["effect"]["kind"] == "multiplier")
            .map(|(u, level)| number(&u["effect"]["value"]).powi(*level))
            .product();
        for currency in currencies["currencies"].as_array().unwrap() {
            let id = text(&currency["id"]);
            let scale = if id == first { factor } else { 1.0 };
            let hand = if id == first {
                4.0 * (1.0 + sum(&levels, "per_click", id))
            } else {
                0.0
            };
            *have.entry(id).or_default() += (hand + sum(&levels, "per_second", id)) * scale;
        }
        if have[first] >= number(&progression["win"]["amount"]) {
            return second;
        }
        for (upgrade, level) in upgrades.iter().zip(&mut levels) {
            let price = (number(&upgrade["cost"]["amount"])
                * number(&upgrade["cost_growth"]).powi(*level))
            .ceil();
            let purse = have.get_mut(text(&upgrade["cost"]["currency"])).unwrap();
            // Past a third of the goal a player saves.
            if *purse >= price && price < number(&progression["win"]["amount"]) / 20.0 {
                *purse -= price;
                *level += 1;
            }
        }
    }
    u32::MAX
}

#[test]
fn the_goal_is_reached_within_minutes() {
    for number in 0..40 {
        let place = Place::new(&format!("game {number} of tests"));
        place.run_all();
        let seconds = seconds_to_win(
            &place.json("design/progression.json"),
            &place.json("design/currencies.json"),
        );
        assert!((45..=300).contains(&seconds), "{number}: {seconds} s");
    }
}

#[test]
fn the_output_is_what_the_host_reads() {
    let place = Place::new("bees");
    assert_eq!(place.run("idea", "idea"), 0);
    let lines = place.lines();
    assert_eq!(
        (text(&lines[0]["type"]), text(&lines[0]["subtype"])),
        ("system", "init")
    );
    let tools = lines
        .iter()
        .filter(|line| line["message"]["content"][0]["type"] == "tool_use");
    let written = tools
        .map(|line| line["message"]["content"][0]["input"]["file_path"].clone())
        .collect::<Vec<_>>();
    assert_eq!(written.len(), 1);
    assert!(Path::new(text(&written[0])).ends_with("ws/idea.json"));
    let result = lines.last().unwrap();
    assert_eq!(
        (text(&result["type"]), text(&result["subtype"])),
        ("result", "success")
    );
    assert_eq!(
        (&result["is_error"], &result["total_cost_usd"]),
        (&Value::from(false), &Value::from(0))
    );
    assert!(lines.iter().all(|line| line["session_id"] == "s-1"));
    let status = place.status();
    assert_eq!(
        (
            text(&status["state"]),
            text(&status["phase"]),
            text(&status["task"])
        ),
        ("completed", "idea", "idea")
    );
    assert!(status["reason"].is_null());
    for field in ["started_at", "finished_at"] {
        assert!(
            text(&status[field]).ends_with('Z') && text(&status[field]).len() == 20,
            "{status}"
        );
    }
}

#[test]
fn an_unknown_phase_fails_with_the_reason_unless_the_prompt_holds_files() {
    let place = Place::new("bees");
    assert_eq!(place.run("review", "review"), 1);
    assert!(text(&place.status()["reason"]).contains("review/review"));
    assert_eq!(place.lines().last().unwrap()["is_error"], true);
    let prompt = place.root.path().join("prompt.md");
    fs::write(&prompt, "```demo-agent write a/b.txt\nhello\n```\n").unwrap();
    for phase in ["review", "idea"] {
        assert_eq!(place.run(phase, phase), 0);
    }
    assert_eq!(
        fs::read_to_string(place.file("a/b.txt")).unwrap(),
        "hello\n"
    );
    assert!(!place.file("idea.json").exists());
    fs::write(&prompt, "```demo-agent write ../b.txt\nhello\n```\n").unwrap();
    assert_eq!(place.run("review", "review"), 1);
    assert!(!place.root.path().join("b.txt").exists());
}

#[test]
fn inputs_that_are_missing_or_wrong_are_named() {
    let place = Place::new("bees");
    for name in [
        "PHASE",
        "TASK",
        "JOB_NAME",
        "WORKSPACE_DIR",
        "PROMPT_FILE",
        "OUT_DIR",
    ] {
        let mut vars = place.vars("idea", "idea");
        vars.remove(name);
        assert_eq!(demo_agent::run(&vars), 64, "{name}");
        if name != "OUT_DIR" {
            assert!(text(&place.status()["reason"]).starts_with(name));
        }
    }
    fs::remove_file(place.root.path().join("prompt.md")).unwrap();
    assert_eq!(place.run("idea", "idea"), 1);
    assert!(text(&place.status()["reason"]).contains("prompt.md"));
    assert_eq!(Place::new("bees").run("plan", "plan"), 1);
}

#[test]
fn a_run_within_its_time_ends_well_and_one_beyond_it_does_not() {
    for (pace, expected) in [("1", 0), ("60000", 124)] {
        let place = Place::new("bees");
        let mut vars = place.vars("idea", "idea");
        vars.insert("DEMO_PACE_MS".into(), pace.into());
        vars.insert("TIMEOUT_SECONDS".into(), "1".into());
        assert_eq!(demo_agent::run(&vars), expected);
        let state = if expected == 0 { "completed" } else { "failed" };
        assert_eq!(text(&place.status()["state"]), state);
    }
}
