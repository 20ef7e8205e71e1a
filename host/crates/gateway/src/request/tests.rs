use super::*;
use serde_json::{Value, json};

fn checked(body: &Value) -> Result<String, String> {
    check(body.to_string().as_bytes()).map(|asked| asked.model)
}

fn block(block: Value) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": [block]}]})
}

#[test]
fn what_the_cli_sends_passes() {
    let body = json!({
        "model": "m", "max_tokens": 64000, "stream": true,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "system", "content": [
                {"type": "text", "text": "x"},
                {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {"name": "A", "input_schema": {}}}},
                {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "B"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "X", "input": {"source": {"type": "url"}, "type": "no block"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}},
                    {"type": "tool_reference", "tool_name": "X"},
                    {"type": "search_result", "source": "https://a", "title": "t", "content": [{"type": "text", "text": ""}]},
                ]},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": ""}]}},
            ]},
            {"role": "user", "content": "plain"},
        ],
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "tools": [
            {"name": "A", "description": "d", "input_schema": {"type": "object"}, "defer_loading": true},
            {"type": "custom", "name": "B", "input_schema": {}},
            {"type": null, "name": "C", "input_schema": {}},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "text_editor_20250728", "name": "edit", "max_characters": 1},
        ],
        "metadata": {"user_id": "u"}, "thinking": {"type": "adaptive"},
        "context_management": {"edits": []}, "output_config": {"effort": "high"},
    });
    assert_eq!(checked(&body), Ok("m".to_owned()));
}

#[test]
fn a_server_tool_is_refused_wherever_it_is_named() {
    for kind in [
        "web_search_20250305",
        "web_fetch_20250910",
        "code_execution_20250825",
        "bash_code_execution_20250825",
        "advisor_20260301",
        "mcp_toolset",
        "bash_",
    ] {
        let tool = json!({"type": kind, "name": "n"});
        let listed = json!({"model": "m", "messages": [], "tools": [tool]});
        let added = block(
            json!({"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool}}),
        );
        for body in [listed, added] {
            let refused = checked(&body).unwrap_err();
            assert!(refused.contains(kind), "{refused}");
        }
    }
}

#[test]
fn a_source_elsewhere_is_refused_at_any_depth() {
    for kind in ["url", "file"] {
        let source = json!({"type": kind, "url": "https://a", "file_id": "f"});
        let image = json!({"type": "image", "source": source});
        let nested = json!({"type": "tool_result", "tool_use_id": "t", "content": [
            {"type": "document", "source": {"type": "content", "content": [image]}}]});
        let system = json!({"model": "m", "messages": [], "system": [image]});
        for body in [block(image.clone()), block(nested), system] {
            let refused = checked(&body).unwrap_err();
            assert!(
                refused.contains(&format!("source of type {kind:?}")),
                "{refused}"
            );
        }
    }
}

#[test]
fn unknown_fields_and_blocks_are_named() {
    for field in ["mcp_servers", "container", "fallbacks", "speed", "betas"] {
        let refused = checked(&json!({"model": "m", "messages": [], field: []})).unwrap_err();
        assert!(refused.contains(&format!("`{field}`")), "{refused}");
    }
    let refused = checked(&block(json!({"type": "container_upload", "file_id": "f"})));
    assert!(refused.unwrap_err().contains("container_upload"));
    let tool = json!({"name": "n", "input_schema": {}, "server_url": "https://a"});
    let refused = checked(&json!({"model": "m", "messages": [], "tools": [tool]}));
    assert!(refused.unwrap_err().contains("`server_url`"));
}

#[test]
fn a_field_that_comes_twice_is_refused() {
    for body in [
        r#"{"model":"m","messages":[],"mod\u0065l":"other"}"#,
        r#"{"model":"m","messages":[],"tools":[{"type":"custom","type":"web_search_20250305"}]}"#,
        r#"{"model":"m","messages":[{"content":[{"type":"image","source":{"type":"base64","type":"url"}}]}]}"#,
        r#"{"model":"m","messages":[{"content":[],"content":"x"}]}"#,
    ] {
        let refused = check(body.as_bytes()).unwrap_err();
        assert!(refused.contains("duplicate field"), "{refused}");
    }
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| {
        format!(
            r#"{{"model":"m","messages":[],"system":{}{}}}"#,
            r#"[{"type":"tool_result","content":"#.repeat(depth),
            "[]".to_owned() + &"}]".repeat(depth)
        )
    };
    assert_eq!(check(nested(20).as_bytes()).unwrap().model, "m");
    let refused = check(nested(100_000).as_bytes()).unwrap_err();
    assert!(refused.contains("recursion limit"), "{refused}");
}

#[test]
fn what_its_bytes_dont_tell_is_counted_at_any_depth() {
    let image = json!({"type": "image", "source": {"type": "base64", "data": ""}});
    let inner = json!({"type": "tool_result", "tool_use_id": "t", "content": [image,
        {"type": "document", "source": {"type": "content", "content": [image]}}]});
    let asked = check(block(inner).to_string().as_bytes()).unwrap();
    assert_eq!((asked.holds.images, asked.holds.documents), (2, 1));
    // However the letters are written.
    let hidden = r#"{"model":"m","messages":[{"content":[{"type":"im\u0061ge","source":{"type":"base64"}}]}]}"#;
    assert_eq!(check(hidden.as_bytes()).unwrap().holds.images, 1);
}

#[test]
fn how_long_a_prompt_is_kept_is_seen_wherever_it_is_said() {
    let of = |body: Value| check(body.to_string().as_bytes()).unwrap().holds.caching;
    let text = |control| json!({"type": "text", "text": "", "cache_control": control});
    let hour = json!({"type": "ephemeral", "ttl": "1h"});
    let minutes = json!({"type": "ephemeral"});
    assert_eq!(of(block(text(Value::Null))), Caching::None);
    assert_eq!(of(block(text(minutes.clone()))), Caching::Minutes);
    assert_eq!(of(block(text(hour.clone()))), Caching::Hour);
    let tool = json!({"name": "n", "input_schema": {}, "cache_control": hour});
    let listed = json!({"model": "m", "messages": [], "tools": [tool],
        "system": [text(minutes)]});
    assert_eq!(of(listed), Caching::Hour);
    let whole = json!({"model": "m", "messages": [], "cache_control": hour});
    assert_eq!(of(whole), Caching::Hour);
}

#[test]
fn the_longest_answer_is_found_where_it_stands() {
    let body = r#"{"model":"m", "max_tokens" :  64000 ,"messages":[]}"#;
    let (tokens, at) = check(body.as_bytes()).unwrap().max_tokens.unwrap();
    assert_eq!((tokens, &body[at]), (64_000, "64000"));
    for wrong in ["-1", "1.5", "\"9\"", "1e3"] {
        let body = format!(r#"{{"model":"m","max_tokens":{wrong},"messages":[]}}"#);
        assert!(check(body.as_bytes()).is_err(), "{wrong}");
    }
    let body = r#"{"model":"m","messages":[],"thinking":{"type":"enabled","budget_tokens":5}}"#;
    let asked = check(body.as_bytes()).unwrap();
    assert_eq!((asked.thinking, asked.max_tokens), (5, None));
}
