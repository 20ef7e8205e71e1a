//! The three documents as a job in memory sees them. Prompts are only looked at for what varies.

use super::*;
use gantry_sdk::{Decision, JobInMemory};
use serde_json::json;

const CURRENCIES: &str = include_str!("sample/currencies.json");
const PROGRESSION: &str = include_str!("sample/progression.json");
const INTERFACE: &str = include_str!("sample/interface.json");

fn samples() -> JobInMemory {
    JobInMemory::new("Fog")
        .file(currencies::FILE, CURRENCIES)
        .file(progression::FILE, PROGRESSION)
        .file(interface::FILE, INTERFACE)
}

/// The samples with one document changed.
fn changed(file: &str, text: &str, change: impl FnOnce(&mut Value)) -> JobInMemory {
    let mut value = serde_json::from_str(text).unwrap();
    change(&mut value);
    samples().file(file, value.to_string())
}

fn message(job: JobInMemory) -> String {
    let verdict = Design::validate(&job.job()).unwrap();
    assert_eq!(verdict.decision, Decision::Revise);
    verdict.message
}

fn names(job: JobInMemory) -> Vec<String> {
    Design::prompt(&job.job())
        .unwrap()
        .into_iter()
        .map(|task| task.name)
        .collect()
}

#[test]
fn three_tasks_each_for_its_document() {
    let tasks = Design::prompt(&JobInMemory::new("Fog").job()).unwrap();
    let said: Vec<_> = tasks
        .iter()
        .map(|t| (t.name.as_str(), t.expects[0].as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("currencies", "design/currencies.json"),
            ("progression", "design/progression.json"),
            ("interface", "design/interface.json")
        ]
    );
    for task in tasks {
        assert!(task.prompt.contains(&task.expects[0]));
        assert!(task.prompt.contains("The job is called \"Fog\"."));
    }
}

#[test]
fn an_attempt_that_was_sent_back_mends_what_was_wrong() {
    let broken = || changed(interface::FILE, INTERFACE, |v| v["layout"] = "".into());
    assert_eq!(names(broken().attempt(2)), ["interface"]);
    assert_eq!(names(JobInMemory::new("Fog").attempt(2)).len(), 3);
    // Nothing is wrong in form: whatever it was, all documents may have to change.
    assert_eq!(names(samples().attempt(2)).len(), 3);
    assert_eq!(names(broken()).len(), 3);
    assert_eq!(names(broken().attempt(2).revision(2)).len(), 3);
}

#[test]
fn the_samples_are_accepted() {
    let verdict = Design::validate(&samples().job()).unwrap();
    assert_eq!(verdict.decision, Decision::Accept, "{}", verdict.message);
    assert_eq!(Design::self_test(), Ok(()));
}

#[test]
fn missing_documents_are_all_named() {
    assert_eq!(
        message(JobInMemory::new("Fog")),
        "- design/currencies.json is missing\n- design/progression.json is missing\n\
         - design/interface.json is missing"
    );
}

#[test]
fn currencies_of_the_wrong_form() {
    let job = changed(currencies::FILE, CURRENCIES, |v| {
        let list = &mut v["currencies"];
        list[0]["symbol"] = "light".into();
        list[0]["start"] = (-1).into();
        let twin = list[0].clone();
        list.as_array_mut().unwrap().push(twin);
        list[2]["symbol"] = "L".into();
        list[2]["start"] = 0.into();
    });
    assert_eq!(
        message(job),
        "- design/currencies.json, currencies[0].symbol: has 5 characters; it must be a text of 1 to 4 characters\n\
         - design/currencies.json, currencies[0].start: is -1; it must be a number, 0 or more\n\
         - design/currencies.json, currencies[2].id: \"light\" is there twice"
    );
}

#[test]
fn five_currencies_are_too_many() {
    let with = |count: usize| {
        changed(currencies::FILE, CURRENCIES, |v| {
            let one = v["currencies"][0].clone();
            let rename = |at: usize| {
                let mut one = one.clone();
                one["id"] = format!("c{at}").into();
                one
            };
            let all = v["currencies"].as_array_mut().unwrap();
            all.extend((2..count).map(rename));
        })
    };
    let verdict = Design::validate(&with(4).job()).unwrap();
    assert_eq!(verdict.decision, Decision::Accept, "{}", verdict.message);
    assert!(message(with(5)).contains("has 5 items; it must be a list of 1 to 4 items"));
}

#[test]
fn a_currency_that_does_not_exist_is_named_with_those_that_do() {
    let job = changed(progression::FILE, PROGRESSION, |v| {
        v["upgrades"][0]["cost"]["currency"] = "gold".into();
        v["win"]["currency"] = "gold".into();
    });
    assert_eq!(
        message(job),
        "- design/progression.json, upgrades[0].cost.currency: is \"gold\"; it must be \"light\" or \"ships\"\n\
         - design/progression.json, win.currency: is \"gold\"; it must be \"light\" or \"ships\""
    );
}

#[test]
fn upgrades_of_the_wrong_form() {
    let job = changed(progression::FILE, PROGRESSION, |v| {
        v["upgrades"][0]["id"] = "oil".into();
        v["upgrades"][1]["cost_growth"] = json!(1.0);
        v["upgrades"][2]["effect"]["kind"] = "magic".into();
        v["upgrades"][3]["effect"]["value"] = 0.into();
        v["upgrades"][3]["cost"] = 20.into();
    });
    assert_eq!(
        message(job),
        "- design/progression.json, upgrades[1].id: \"oil\" is there twice\n\
         - design/progression.json, upgrades[1].cost_growth: is 1.0; it must be a number from 1.01 to 5\n\
         - design/progression.json, upgrades[2].effect.kind: is \"magic\"; it must be \"per_click\", \"per_second\" or \"multiplier\"\n\
         - design/progression.json, upgrades[3].cost: is 20; it must be an object\n\
         - design/progression.json, upgrades[3].effect.value: is 0; it must be a number above 0"
    );
}

#[test]
fn what_nothing_earns_is_told_wherever_it_is_wanted() {
    // Without the foghorn no ship ever comes: the lens, the milestone and the end are lost.
    let job = changed(progression::FILE, PROGRESSION, |v| {
        v["upgrades"][2]["effect"]["kind"] = "multiplier".into();
    });
    let message = message(job);
    for place in ["upgrades[3].cost", "milestones[0].at", "win"] {
        let line = format!("design/progression.json, {place}: nothing earns \"ships\" by then");
        assert!(message.contains(&line), "{message}");
    }
    assert_eq!(message.lines().count(), 3);
}

#[test]
fn what_one_begins_with_can_be_spent_once() {
    let start = |amount: u32| {
        changed(currencies::FILE, CURRENCIES, |v| {
            v["currencies"][1]["start"] = amount.into()
        })
    };
    let with_horn_for_ships = |amount| {
        let mut value: Value = serde_json::from_str(PROGRESSION).unwrap();
        value["upgrades"][2]["cost"]["currency"] = "ships".into();
        start(amount).file(progression::FILE, value.to_string())
    };
    let verdict = Design::validate(&with_horn_for_ships(200).job()).unwrap();
    assert_eq!(verdict.decision, Decision::Accept, "{}", verdict.message);
    assert!(message(with_horn_for_ships(199)).contains("upgrades[2].cost: nothing earns"));
    assert!(message(start(1000)).contains("win: the player has this much at the start"));
}

#[test]
fn an_interface_of_the_wrong_form() {
    let job = changed(interface::FILE, INTERFACE, |v| {
        v["action"]["label"] = "x".repeat(41).into();
        v["palette"]["accent"] = "orange".into();
        v["screens"] = json!([]);
        v.as_object_mut().unwrap().remove("messages");
    });
    assert_eq!(
        message(job),
        "- design/interface.json, screens: has 0 items; it must be a list of 1 to 6 items\n\
         - design/interface.json, action.label: has 41 characters; it must be a text of 1 to 40 characters\n\
         - design/interface.json, palette.accent: is \"orange\"; it must be a colour like \"#0a141e\"\n\
         - design/interface.json, messages: is missing; it must be an object"
    );
}
