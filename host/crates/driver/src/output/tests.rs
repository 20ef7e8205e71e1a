//! Lines, as Claude Code and others print them, and what is told of them.

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn from() -> From {
    From {
        phase: "idea".into(),
        attempt: 1,
        task: "idea".into(),
        secrets: Redactor::new([SECRET]),
    }
}

fn read(lines: &[&str]) -> (Output, Told) {
    let (mut output, mut told) = (Output::default(), Told::default());
    for line in lines {
        output.line(line, &from(), &mut told);
    }
    (output, told)
}

fn logged(told: &Told) -> Vec<&str> {
    told.logs.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn text_and_tools_become_events_and_the_result_is_kept() {
    let (output, told) = read(&[
        r#"{"type":"system","subtype":"init"}"#,
        r#"{"message":{"content":[{"type":"text","text":"I write it."},
            {"type":"tool_use","name":"Write","input":{"content":"x","file_path":"a.json"}}]},
            "type":"assistant"}"#,
        r#"{"type":"result","subtype":"success","is_error":false,"result":"Done."}"#,
    ]);
    let kinds: Vec<_> = told.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::AgentMessage, EventKind::AgentTool]);
    assert_eq!(told.events[1].data["about"], "a.json");
    assert_eq!(logged(&told), ["I write it.", "Write a.json"]);
    assert_eq!(output.answer, "Done.");
    assert!(!output.result.unwrap().is_error);
}

#[test]
fn thinking_is_a_mark_and_a_tools_result_its_first_line() {
    let (_, told) = read(&[
        r#"{"type":"assistant","message":{"content":[{"type":"thinking","thinking":"hm"},
            {"type":"tool_use","id":"t1","name":"Bash","input":{"command":"ls"}}]}}"#,
        r#"{"type":"user","message":{"content":[
            {"type":"tool_result","tool_use_id":"t1","is_error":true,"content":"no such file\nmore"},
            {"type":"tool_result","tool_use_id":"t0","content":[{"type":"text","text":"fine"}]}]}}"#,
        r#"{"type":"user","message":{"content":"a prompt"}}"#,
    ]);
    let told_of: Vec<_> = told.events.iter().map(|event| event.kind).collect();
    assert_eq!(
        told_of,
        [
            EventKind::AgentThinking,
            EventKind::AgentTool,
            EventKind::AgentToolResult,
            EventKind::AgentToolResult
        ]
    );
    assert_eq!(
        Value::from(told.events[0].data.clone()),
        json!({ "task": "idea" })
    );
    assert_eq!(
        Value::from(told.events[2].data.clone()),
        json!({ "task": "idea", "tool": "Bash", "is_error": true, "about": "no such file", "bytes": 17 })
    );
    assert_eq!(told.events[3].data["tool"], "");
    assert_eq!(told.events[3].data["is_error"], false);
    assert_eq!(logged(&told), ["Bash ls", "Bash failed: no such file"]);
}

#[test]
fn no_secret_is_told_of_wherever_it_stands() {
    let half = EVENT_TEXT - 10;
    let long = format!("{}{SECRET}", "x".repeat(half));
    let lines = [
        json!({"type": "assistant", "message": {"content": [
            {"type": "text", "text": format!("it is {SECRET}.")},
            {"type": "text", "text": long},
            {"type": "tool_use", "id": SECRET, "name": SECRET, "input": {"command": format!("echo {SECRET}")}}]}}),
        json!({"type": "user", "message": {"content": [
            {"type": "tool_result", "tool_use_id": SECRET, "is_error": true, "content": SECRET}]}}),
        json!({"type": "result", "subtype": SECRET, "is_error": true, "result": format!("key {SECRET}"), "errors": [SECRET],
            "permission_denials": [{"tool_name": SECRET}]}),
        json!(SECRET),
        json!([format!("{}{SECRET}", "y".repeat(LOG_TEXT - 10))]),
    ];
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (output, told) = read(&lines);
    assert!(told.events.len() == 4 && told.logs.len() == 9, "{told:?}");
    let all = format!("{:?} {told:?}", (output.result, output.answer));
    // Nor half of it, where a text was cut.
    assert!(!all.contains(&SECRET[..10]), "{all}");
    assert!(all.contains("[redacted]"), "{all}");
}

#[test]
fn rubbish_is_a_line_of_the_log_without_control_characters() {
    let (output, told) = read(&["[1,2", "\u{1b}[31mred\0", "", "[]", "42"]);
    assert_eq!(
        logged(&told),
        ["[1,2", "\u{fffd}[31mred\u{fffd}", "[]", "42"]
    );
    assert!(output.result.is_none() && told.events.is_empty());
}

#[test]
fn a_long_line_is_cut_at_its_limit_and_not_before() {
    let (_, told) = read(&[&"x".repeat(LOG_TEXT), &"ä".repeat(LOG_TEXT)]);
    assert_eq!(told.logs[0].text.len(), LOG_TEXT);
    assert_eq!(told.logs[1].text.len(), LOG_TEXT + '…'.len_utf8());
}

#[test]
fn a_result_says_whether_it_is_one() {
    let result = |line: &str| read(&[line]).0.result.unwrap();
    let cut_off = result(r#"{"type":"result","subtype":"error_during_execution"}"#);
    assert!(cut_off.is_error, "also where it doesn't say so");
    let formless =
        r#"{"type":"result","subtype":"success","is_error":false,"structured_output":null}"#;
    assert!(result(formless).lacks_form);
    let plain = result(r#"{"type":"result","subtype":"success","is_error":false}"#);
    assert!(!plain.lacks_form && !plain.is_error);
    let (_, told) = read(&[r#"{"type":"result","subtype":"success","is_error":false,
            "permission_denials":[{"tool_name":"Bash"},{"tool_name":"Bash"}]}"#]);
    assert_eq!(logged(&told), ["Bash was denied"]);
}
