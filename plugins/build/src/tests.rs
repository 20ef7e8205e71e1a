//! Whole sites as a job in memory sees them. How tokens and addresses are read is tested beside
//! the code that reads them.

use super::*;
use gantry_sdk::{Decision, JobInMemory};

const ENTRY: &str = site::ENTRY;

fn validate(job: JobInMemory) -> Verdict {
    Build::validate(&job.job()).unwrap()
}

fn page(html: &str) -> JobInMemory {
    JobInMemory::new("Fog").file(ENTRY, html)
}

/// The message about the sample with a piece replaced.
fn message(piece: &str, by: &str) -> String {
    assert!(SAMPLE.contains(piece), "{piece}");
    let verdict = validate(page(&SAMPLE.replace(piece, by)));
    assert_eq!(
        verdict.decision,
        Decision::Revise,
        "{piece}: {}",
        verdict.message
    );
    verdict.message
}

#[test]
fn the_starter_is_staged_only_where_there_is_no_page() {
    let stage = |job: JobInMemory| Build::prompt(&job.job()).unwrap().remove(0).stage;
    let staged = stage(JobInMemory::new("Fog"));
    assert_eq!((staged.len(), staged[0].path.as_str()), (1, ENTRY));
    assert_eq!(staged[0].content, site::STARTER.as_bytes());
    assert!(stage(page("<p>built</p>").attempt(2)).is_empty());
}

#[test]
fn the_prompt_names_title_upgrades_and_feedback() {
    let job = JobInMemory::new("Fog")
        .file("idea.json", r#"{"title": "The Last Lamp"}"#)
        .file(
            PROGRESSION,
            r#"{"upgrades": [{"id": "wick"}, {"id": 5}, {"id": "oil"}]}"#,
        )
        .settings(r#"{"max_bytes": 2048}"#)
        .attempt(2)
        .feedback("has no <title>");
    let text = Build::prompt(&job.job()).unwrap().remove(0).prompt;
    for part in [
        "title is \"The Last Lamp\"",
        "wick, oil",
        "2048 bytes",
        "has no <title>",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn documents_that_a_later_agent_broke_are_left_out() {
    let job = JobInMemory::new("Fog")
        .file("idea.json", "[]")
        .file(PROGRESSION, "{");
    let text = Build::prompt(&job.job()).unwrap().remove(0).prompt;
    assert!(!text.contains("title is") && !text.contains("upgrades' ids"));
}

#[test]
fn the_sample_is_accepted() {
    let verdict = validate(page(SAMPLE));
    assert_eq!(verdict.decision, Decision::Accept, "{}", verdict.message);
    assert_eq!(Build::self_test(), Ok(()));
}

#[test]
fn the_starter_is_not_accepted_however_it_is_indented() {
    for html in [site::STARTER.to_owned(), site::STARTER.replace("  ", "\t")] {
        let verdict = validate(page(&html));
        assert_eq!(verdict.decision, Decision::Revise);
        assert!(
            verdict.message.contains("is still the starter page"),
            "{}",
            verdict.message
        );
    }
}

#[test]
fn a_forgotten_note_is_told_with_its_line() {
    assert_eq!(
        message("Dawn.", "FILL IN: the win text"),
        "- site/index.html: has 1 notes of the starter page left, the first in line 13: \
         \"FILL IN: the win text\""
    );
}

#[test]
fn without_a_page() {
    let missing = Verdict::revise("- site/index.html is missing");
    assert_eq!(validate(JobInMemory::new("Fog")), missing);
    assert_eq!(
        validate(JobInMemory::new("Fog").file("site/game.html", SAMPLE)),
        missing
    );
}

#[test]
fn each_part_of_the_structure_is_wanted() {
    for (piece, by, told) in [
        ("<!doctype html>", "", "doesn't begin with <!doctype html>"),
        ("<head>", "", "has no <head>"),
        ("The Last Lamp</title>", " </title>", "has an empty <title>"),
        ("</title>", "", "<title> is never closed"),
        ("name=\"viewport\"", "", "has no <meta name=\"viewport\">"),
        ("</script>", "", "<script> is never closed"),
        ("</style>", "", "<style> is never closed"),
        ("id=\"score\"", "", "has no element with id=\"score\""),
        ("id=\"win\"", "id=\"score\"", "has id=\"score\" 2 times"),
        (
            "button id=\"action\"",
            "div id=\"action\"",
            "has id=\"action\" on a <div>",
        ),
        (
            "data-id=\"wick\"",
            "",
            "has no <button class=\"upgrade\" data-id=\"ID\">",
        ),
        ("localStorage", "sessionStorage", "never uses localStorage"),
        ("<head>", "<head><base href=\"/\">", "has a <base>"),
    ] {
        let message = message(piece, by);
        assert!(message.contains(told), "{piece}: {message}");
    }
}

#[test]
fn upgrades_may_come_from_a_script() {
    let html = SAMPLE.replace("data-id=\"wick\"", "").replace(
        "let score",
        "b.className = 'upgrade'; b.dataset.id = 'wick'; let score",
    );
    assert_eq!(validate(page(&html)).decision, Decision::Accept);
}

#[test]
fn nothing_outside_is_referred_to() {
    for (piece, by, told) in [
        (
            "#about",
            "https://e.org/",
            "<a href> leads outside the site: \"https://e.org/\"",
        ),
        (
            "data:image",
            "//e.org/",
            "url() in a style leads outside the site",
        ),
        (
            "let score",
            "fetch('https://e.org/x'); let score",
            "its script uses \"https://e.org/x\"",
        ),
        (
            "<p>",
            "<p onclick=\"open('https://e.org')\">",
            "its script uses \"https://e.org\"",
        ),
        (
            "#about",
            "about.html",
            "<a href> leads to \"about.html\", which isn't there",
        ),
    ] {
        let message = message(piece, by);
        assert!(message.contains(told), "{piece}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn other_files_of_the_site_are_looked_at_too() {
    let html = SAMPLE.replace("#about", "more/about.html");
    let job = page(&html)
        .file(
            "site/more/about.html",
            "<link href=look.css rel=stylesheet><script src=../a.js></script>",
        )
        .file("site/more/look.css", "a { background: url(art.png) }");
    let message = validate(job.file("site/a.js", "fetch('//e.org/x')")).message;
    assert_eq!(
        message,
        "- site/a.js: its script uses \"//e.org/x\": there is no network\n\
         - site/more/look.css: url() in a style leads to \"art.png\", which isn't there"
    );
    let job = page(SAMPLE).file("site/latin.css", *b"caf\xe9");
    assert!(
        validate(job)
            .message
            .contains("site/latin.css isn't UTF-8 text")
    );
}

#[test]
fn the_designs_upgrades_are_looked_for() {
    let design = r#"{"upgrades": [{"id": "wick"}, {"id": "foghorn"}]}"#;
    let verdict = validate(page(SAMPLE).file(PROGRESSION, design));
    assert_eq!(
        verdict.message,
        "- site/index.html: lacks the upgrade \"foghorn\" of design/progression.json"
    );
}

#[test]
fn sizes_at_and_past_their_limits() {
    let size = SAMPLE.len();
    for (max, decision) in [(size, Decision::Accept), (size - 1, Decision::Revise)] {
        let job = page(SAMPLE).settings(&format!("{{\"max_bytes\": {max}}}"));
        assert_eq!(validate(job).decision, decision, "{max}");
    }
    let rest = (5 << 20) - size;
    assert_eq!(
        validate(page(SAMPLE).file("site/a.bin", vec![0; rest])).decision,
        Decision::Accept
    );
    let verdict = validate(page(SAMPLE).file("site/a.bin", vec![0; rest + 1]));
    assert_eq!(
        verdict.message,
        "- site/: has 5242881 bytes; at most 5242880 are allowed"
    );
}

#[test]
fn files_at_and_past_their_number() {
    let with = |count: usize| {
        (1..count).fold(page(SAMPLE), |job, at| {
            job.file(&format!("site/{at}.png"), "")
        })
    };
    assert_eq!(validate(with(200)).decision, Decision::Accept);
    assert!(validate(with(201)).message.contains("more than 200 files"));
}

#[test]
fn a_wrong_setting_is_the_pipelines_fault() {
    let job = JobInMemory::new("Fog")
        .settings(r#"{"max_bytes": "big"}"#)
        .job();
    assert!(matches!(Build::prompt(&job), Err(Error::InvalidJob(_))));
}
