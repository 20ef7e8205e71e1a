//! What an attempt changed, and a workspace as an archive, as a client gets them.

use crate::setup::Host;
use pipeline::{ChangeKind, ChangedFile, Changes, ContentKind, FileState, LeftOut};
use serde_json::{Value, json};

#[tokio::test]
async fn an_attempts_changes_are_given_as_they_are() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    let at = |rest: &str| format!("/api/jobs/{id}/attempts/{rest}");
    let refused = (404, "not-found".to_owned());
    let none = host.get(&at("idea/1/diff")).await;
    assert_eq!(none.problem(), refused);
    assert!(
        none.detail().contains("no attempt 1 of phase `idea`"),
        "{}",
        none.detail()
    );
    host.claim().await;
    let none = host.get(&at("idea/1/diff")).await;
    assert_eq!(none.problem(), refused);
    assert!(
        none.detail().contains("no snapshot of this attempt"),
        "{}",
        none.detail()
    );

    let hostile = "<img src=x onerror=alert(1)>\n\u{1b}[2J";
    let changes = Changes {
        items: vec![ChangedFile {
            path: hostile.to_owned(),
            change: ChangeKind::Added,
            before: None,
            after: Some(FileState {
                size: 3,
                executable: true,
            }),
            content: ContentKind::Text,
            diff: Some(format!("@@ -0,0 +1 @@\n+{hostile}\n")),
        }],
        more: 2,
        left_out: LeftOut {
            special: 4,
            ..LeftOut::default()
        },
    };
    let text = serde_json::to_vec(&changes).unwrap();
    std::fs::write(host.folder.join(format!("{id}.r1.idea.1")), text).unwrap();
    let answer = host.get(&at("idea/1/diff")).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.json(),
        json!({
            "phase": "idea",
            "revision": 1,
            "attempt": 1,
            "items": [{
                "path": hostile,
                "change": "added",
                "before": Value::Null,
                "after": { "size": 3, "executable": true },
                "content": "text",
                "diff": format!("@@ -0,0 +1 @@\n+{hostile}\n"),
            }],
            "more": 2,
            "left_out": "4 links, pipes, sockets or devices",
        })
    );
    let same = host.get(&at("idea/1/diff?revision=1")).await;
    assert_eq!(same.json(), answer.json());
    for (rest, code) in [
        ("idea/2/diff", "not-found"),
        ("idea/0/diff", "not-found"),
        ("idea/x/diff", "not-found"),
        ("idea/99999999999/diff", "not-found"),
        ("..%2Fidea/1/diff", "not-found"),
        ("idea/1/diff?revision=2", "not-found"),
        ("idea/1/diff?revision=x", "bad-query"),
        ("idea/1/diff?task=x", "bad-query"),
    ] {
        assert_eq!(host.get(&at(rest)).await.problem().1, code, "{rest}");
    }
}

#[tokio::test]
async fn an_archive_is_an_attachment_that_is_streamed_and_says_what_it_lacks() {
    let host = Host::start().await;
    let id = host.submit("Bees & <wax>").await;
    let path = format!("/api/jobs/{id}/archive");
    assert_eq!(
        host.get(&path).await.problem(),
        (404, "not-found".to_owned())
    );
    // More than is made at once, and not a multiple of it.
    let bytes: Vec<u8> = (0..1_000_001_u32).map(|n| n as u8).collect();
    std::fs::write(host.folder.join(format!("{id}.tar")), &bytes).unwrap();
    let answer = host.get(&path).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == bytes, "{} bytes", answer.body.len());
    let name = format!("bees-wax-{id}.tar");
    assert_eq!(
        answer.header("content-disposition"),
        format!("attachment; filename=\"{name}\"; filename*=UTF-8''{name}")
    );
    assert_eq!(answer.header("content-type"), "application/x-tar");
    assert_eq!(answer.header("content-security-policy"), "sandbox");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(!answer.headers.contains_key("gantry-left-out"));
    let left_out = json!({ "names": 1, "more": true }).to_string();
    std::fs::write(host.folder.join(format!("{id}.left-out")), left_out).unwrap();
    assert_eq!(
        host.get(&path).await.header("gantry-left-out"),
        "1 names that aren't UTF-8, all that is past the number of entries"
    );
    let odd = host.get(&format!("{path}?gzip=1")).await;
    assert_eq!(odd.problem(), (400, "bad-query".to_owned()));
}

#[tokio::test]
async fn an_archive_that_breaks_off_is_not_taken_for_whole() {
    let host = Host::start().await;
    let id = host.submit("a").await;
    std::fs::write(host.folder.join(format!("{id}.tar")), vec![1; 1 << 20]).unwrap();
    std::fs::write(host.folder.join(format!("{id}.broken")), "").unwrap();
    let request = host.request(axum::http::Method::GET, &format!("/api/jobs/{id}/archive"));
    let answer = host
        .stream(request.body(axum::body::Body::empty()).unwrap())
        .await;
    assert_eq!(answer.status(), 200);
    let body = http_body_util::BodyExt::collect(answer.into_body()).await;
    assert!(body.is_err(), "the connection ends before the archive does");
}
