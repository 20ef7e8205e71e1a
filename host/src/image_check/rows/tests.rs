//! Each row kept, and broken in each of its ways.

use super::*;

const NAMES: [&str; 2] = ["check", "one"];
const RESULT: &str = "{\"type\":\"system\"}\n{\"type\":\"result\",\"is_error\":false}\n";

fn seen(code: i32) -> Seen {
    Seen {
        how: How::Exited { code },
        output: Some(RESULT.into()),
        status: Some(written("completed", "null", "\"2026-01-31T09:10:00Z\"")),
        printed: "one\nOUT_DIR is missing\n\n".to_owned(),
        asked: Asked::default(),
    }
}

fn written(state: &str, reason: &str, finished: &str) -> Vec<u8> {
    let text = format!(
        r#"{{"phase":"check","task":"one","state":"{state}","reason":{reason},"started_at":"2026-01-31T09:00:00Z","finished_at":{finished}}}"#
    );
    text.into_bytes()
}

fn running() -> Vec<u8> {
    written("running", "null", "null")
}

fn stopped(code: i32) -> Stopped {
    let failed = written("failed", "\"terminated\"", "\"2026-01-31T09:10:00Z\"");
    Stopped {
        seen: Seen {
            status: Some(failed),
            ..seen(code)
        },
        took: Some(Duration::from_millis(40)),
        before: Some((running(), 7)),
        after: Some(8),
    }
}

#[track_caller]
fn wrong(said: Said, words: &str) {
    let why = said.expect_err("it is wrong");
    assert!(why.contains(words), "{why}");
}

#[test]
fn a_missing_variable_is_64_and_named() {
    let said = refuses(&seen(64), "OUT_DIR").unwrap();
    assert_eq!(said, "exit status 64: OUT_DIR is missing");
    wrong(refuses(&seen(64), "PHASE"), "nothing names PHASE");
    wrong(refuses(&seen(1), "OUT_DIR"), "exit status 1 (OUT_DIR is");
    wrong(refuses(&seen(0), "OUT_DIR"), "exit status 0");
}

#[test]
fn a_whole_run_ends_with_0() {
    assert!(ends_well(&seen(0)).is_ok());
    wrong(ends_well(&seen(3)), "exit status 3 (OUT_DIR is missing)");
    for (how, words) in [
        (How::TimedOut, "didn't end in time"),
        (How::OutOfMemory, "more memory"),
        (How::Vanished, "vanished"),
    ] {
        let run = Seen { how, ..seen(0) };
        wrong(ends_well(&run), words);
    }
}

#[test]
fn the_output_is_lines_of_json_that_end_in_a_result() {
    let of = |text: Option<&str>| {
        output(&Seen {
            output: text.map(|text| text.as_bytes().to_vec()),
            ..seen(0)
        })
    };
    assert_eq!(of(Some(RESULT)).unwrap(), "2 lines, the last a result");
    wrong(of(None), "no $OUT_DIR/agent.jsonl");
    wrong(of(Some("")), "isn't a result");
    wrong(of(Some("hello\n")), "line 1 of agent.jsonl");
    wrong(of(Some(&format!("{RESULT}[]\n"))), "line 3 of agent.jsonl");
    let after = format!("{RESULT}{{\"type\":\"assistant\"}}\n");
    wrong(of(Some(&after)), "isn't a result");
    wrong(of(Some(&RESULT.replace("false", "true"))), "is_error");
    wrong(of(Some("{\"type\":\"result\"}\n")), "is_error");
}

#[test]
fn a_status_has_all_its_fields_and_they_agree() {
    let of = |text: Option<Vec<u8>>| {
        let run = Seen {
            status: text,
            ..seen(0)
        };
        status(&run, NAMES)
    };
    let time = "\"2026-01-31T09:10:00Z\"";
    assert!(of(Some(written("completed", "null", time))).is_ok());
    for (text, words) in [
        (None, "by rename"),
        (Some(b"{".to_vec()), "isn't a JSON object"),
        (Some(b"[]".to_vec()), "isn't a JSON object"),
        (Some(b"{}".to_vec()), "`phase` must be"),
        (Some(written("done", "null", time)), "`state` must be"),
        (Some(running()), "must be \"completed\""),
        (
            Some(written("failed", "\"x\"", time)),
            "must be \"completed\"",
        ),
        (Some(written("failed", "null", time)), "`reason`"),
        (Some(written("completed", "\"x\"", time)), "`reason`"),
        (Some(written("completed", "7", time)), "`reason`"),
        (Some(written("completed", "null", "null")), "`finished_at`"),
        (
            Some(written("completed", "null", "\"now\"")),
            "`finished_at`",
        ),
    ] {
        wrong(of(text), words);
    }
    let other = String::from_utf8(written("completed", "null", time)).unwrap();
    let other = other.replace("2026-01-31T09:00:00Z", "2026-01-31T09:00:00+01:00");
    wrong(of(Some(other.into_bytes())), "`started_at`");
    let run = seen(0);
    wrong(status(&run, ["check", "two"]), "`task` must be \"two\"");
}

#[test]
fn an_agent_may_ask_no_model_but_not_another() {
    let asked = |prompts, refused| model(Asked { prompts, refused });
    assert_eq!(asked(0, 0).unwrap(), "it asked no model");
    // A client may look first whether anybody is there.
    assert_eq!(asked(2, 1).unwrap(), "asked 2 times");
    wrong(asked(0, 3), "3 requests");
}

#[test]
fn sigterm_ends_a_run_with_143_and_a_status() {
    assert_eq!(
        stops(&stopped(143), NAMES).unwrap(),
        "exit status 143 after 40 ms"
    );
    wrong(stops(&stopped(137), NAMES), "killed after 10 s");
    wrong(stops(&stopped(0), NAMES), "exit status 0");
    let mut late = stopped(143);
    late.took = Some(STOP_LIMIT + Duration::from_millis(1));
    wrong(stops(&late, NAMES), "exit status 143");
    let mut silent = stopped(143);
    silent.seen.status = Some(running());
    wrong(stops(&silent, NAMES), "\"running\" after SIGTERM");
    let by_itself = Stopped {
        took: None,
        ..stopped(0)
    };
    assert!(stops(&by_itself, NAMES).is_ok() && renames(&by_itself, NAMES).is_ok());
}

#[test]
fn a_status_is_replaced_and_never_written_over() {
    assert!(renames(&stopped(143), NAMES).is_ok());
    let over = Stopped {
        after: Some(7),
        ..stopped(143)
    };
    wrong(renames(&over, NAMES), "written over");
    let none = Stopped {
        before: None,
        ..stopped(143)
    };
    wrong(renames(&none, NAMES), "no $OUT_DIR/status.json");
    let early = Stopped {
        before: Some((seen(0).status.unwrap(), 7)),
        ..stopped(143)
    };
    wrong(renames(&early, NAMES), "must be \"running\"");
}
