//! Each limit and each field of what guests answer, at its edge and past it. It runs no guest.

use super::*;

fn planned(name: &str) -> said::Task {
    said::Task {
        name: name.to_owned(),
        prompt: "Make it.".to_owned(),
        stage: Vec::new(),
        expects: Vec::new(),
        options: None,
    }
}

fn site() -> said::Site {
    said::Site {
        slug: "fog".to_owned(),
        title: "Fog".to_owned(),
        summary: String::new(),
        root: String::new(),
        entry: "index.html".to_owned(),
        metadata: Some(r#"{"genre":"sim"}"#.to_owned()),
        options: Some(r#"{"single_page":true}"#.to_owned()),
    }
}

fn staged(path: &str, bytes: usize) -> said::StagedFile {
    said::StagedFile {
        path: path.to_owned(),
        content: vec![0; bytes],
        executable: false,
    }
}

/// `change` is applied to a good task; the refusal must name what `told` says.
fn refused(change: impl FnOnce(&mut said::Task), told: &str) {
    let mut task = planned("make");
    change(&mut task);
    let error = tasks(vec![task], &Limits::default()).unwrap_err();
    assert!(error.contains(told), "{error}");
}

#[test]
fn tasks_at_and_past_each_limit() {
    let limits = Limits {
        prompt_bytes: 8,
        staged_files: 2,
        staged_bytes: 10,
        tasks: 2,
        ..Limits::default()
    };
    let mut full = planned("a");
    full.stage = vec![staged("x/a.txt", 5), staged("b", 5)];
    full.options = json_options(r#"{"timeout":5,"permissions":"edit"}"#);
    let good = tasks(vec![full.clone(), planned("b")], &limits).unwrap();
    assert_eq!(good[0].options.timeout, Some(5));
    assert_eq!(good[0].stage[1].path, "b");

    let three = ["a", "b", "c"].map(planned).to_vec();
    assert_eq!(
        tasks(three, &limits).unwrap_err(),
        "tasks: 3 are more than the limit of 2"
    );
    let mut second = planned("b");
    second.stage = vec![staged("c", 0)];
    let error = tasks(vec![full.clone(), second], &limits).unwrap_err();
    assert!(
        error.contains("tasks[1].stage: files of all tasks: 3"),
        "{error}"
    );
    full.stage[1].content.push(0);
    let error = tasks(vec![full], &limits).unwrap_err();
    assert!(
        error.contains("11 bytes are more than the limit of 10 bytes"),
        "{error}"
    );
    let mut long = planned("a");
    long.prompt.push('x');
    let error = tasks(vec![long], &limits).unwrap_err();
    assert!(error.contains("tasks[0].prompt: 9 bytes"), "{error}");
}

#[test]
fn staged_files_fit_together() {
    let staging = |paths: &[&str]| {
        let mut task = planned("a");
        task.stage = paths.iter().map(|path| staged(path, 1)).collect();
        tasks(vec![task], &Limits::default())
    };
    assert!(staging(&["a/b.md", "a/b", "a.b", "a/c/d"]).is_ok());
    let error = staging(&["x", "a", "a"]).unwrap_err();
    assert_eq!(error, "tasks[0].stage[2].path: `a` is there twice");
    let error = staging(&["a/b/c", "x", "a"]).unwrap_err();
    assert!(error.contains("`a/b/c` is below `a`, which is"), "{error}");
    assert!(staging(&[&["a"; PATH_PARTS].join("/")]).is_ok());
    let error = staging(&[&["a"; PATH_PARTS + 1].join("/")]).unwrap_err();
    assert!(error.contains("has more than 64 parts"), "{error}");
    assert!(staging(&["a/.gantry"]).is_ok());
    let error = staging(&[".gantry-0/a"]).unwrap_err();
    assert!(error.contains("as the host's own files do"), "{error}");
    // A later task may stage it anew: the file is replaced.
    let mut two = vec![planned("a"), planned("b")];
    two[0].stage = vec![staged("x", 1)];
    two[1].stage = vec![staged("x", 1)];
    assert!(tasks(two, &Limits::default()).is_ok());
}

#[test]
fn texts_for_people_cannot_act_on_a_terminal() {
    assert_eq!(
        cut("a\tb\nc\u{1b}[31m".to_owned(), 99),
        "a\tb\nc\u{fffd}[31m"
    );
    assert_eq!(cut("aé".to_owned(), 2), "a");
}

#[test]
fn each_field_of_a_task_is_looked_at() {
    refused(
        |task| task.name = "Make it".to_owned(),
        "tasks[0].name: `Make it` must be",
    );
    refused(
        |task| task.prompt = " \n".to_owned(),
        "tasks[0].prompt is empty",
    );
    for path in ["", "/etc/x", "a/../b", "..", "./a", "a//b", "a/", "a\0b"] {
        refused(
            |task| task.stage = vec![staged(path, 1)],
            "tasks[0].stage[0].path",
        );
        refused(
            |task| task.expects = vec![path.to_owned()],
            "tasks[0].expects[0]",
        );
    }
    refused(
        |task| task.options = json_options("{\"shell\":1}"),
        "unknown field `shell`",
    );
    let twice = vec![planned("a"), planned("a")];
    let error = tasks(twice, &Limits::default()).unwrap_err();
    assert_eq!(error, "tasks[1].name: `a` is there twice");
}

fn json_options<T>(text: &str) -> Option<Options<T>> {
    Some(Options::Json(text.to_owned()))
}

fn judged(options: &str) -> Checked<Verdict> {
    let answer = said::Verdict {
        decision: said::Decision::Revise,
        message: "é".repeat(20_000),
        options: json_options(options),
    };
    verdict(answer, &Limits::default())
}

#[test]
fn verdicts() {
    let good = judged(r#"{"score":10,"fresh_session":true}"#).unwrap();
    assert_eq!((good.decision, good.score), (Decision::Revise, Some(10.0)));
    assert!(good.fresh_session);
    for without in ["{}", r#"{"fresh_session":false}"#] {
        assert!(!judged(without).unwrap().fresh_session, "{without}");
    }
    assert_eq!(good.message.len(), Limits::default().message_bytes);
    assert!(
        judged(r#"{"score":10.5}"#)
            .unwrap_err()
            .contains("isn't 0 to 10")
    );
    assert!(
        judged(r#"{"back_to":"idea"}"#)
            .unwrap_err()
            .contains("isn't served yet")
    );
    assert!(
        judged(r#"{"mood":1}"#)
            .unwrap_err()
            .contains("unknown field `mood`")
    );
}

#[test]
fn typed_options_of_a_verdict_keep_to_the_same_rules() {
    let judged = |score, back_to: Option<&str>| {
        let answer = said::Verdict {
            decision: said::Decision::Accept,
            message: String::new(),
            options: Some(Options::Typed(said::VerdictOptions {
                score,
                fresh_session: Some(false),
                back_to: back_to.map(str::to_owned),
            })),
        };
        verdict(answer, &Limits::default())
    };
    assert_eq!(judged(Some(10.0), None).unwrap().score, Some(10.0));
    for score in [10.5, -0.1, f64::NAN, f64::INFINITY] {
        let error = judged(Some(score), None).unwrap_err();
        assert!(error.contains("isn't 0 to 10"), "{error}");
    }
    let error = judged(None, Some("idea")).unwrap_err();
    assert!(error.contains("isn't served yet"), "{error}");
}

fn planned_sites(sites: Vec<said::Site>) -> Checked<Vec<SitePlan>> {
    let options = None;
    super::sites(said::Plan { sites, options }, &Limits::default())
}

#[test]
fn plans() {
    let good = planned_sites(vec![site()]).unwrap();
    assert!(good[0].single_page);
    assert_eq!(good[0].metadata["genre"], "sim");
    let mut other = site();
    other.title = "Fog\nand\u{1b}[2J".to_owned();
    let cleaned = planned_sites(vec![other]).unwrap();
    assert_eq!(cleaned[0].title, "Fog and\u{fffd}[2J");
    let mut other = site();
    other.options = Some(r#"{"headers":{}}"#.to_owned());
    let error = planned_sites(vec![other]).unwrap_err();
    assert!(error.contains("headers isn't served yet"), "{error}");
    let error = planned_sites(vec![site(), site()]).unwrap_err();
    assert_eq!(error, "sites[1].slug: `fog` is there twice");
    let mut other = site();
    other.metadata = Some("[]".to_owned());
    assert!(
        planned_sites(vec![other])
            .unwrap_err()
            .contains("sites[0].metadata")
    );
    let nine = planned_sites(vec![site(); 9]).unwrap_err();
    assert_eq!(nine, "sites: 9 are more than the limit of 8");
}
