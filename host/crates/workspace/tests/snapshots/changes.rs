//! What is shown of a comparison, and where it ends.

use crate::place::Place;
use pipeline::{ChangeKind, ChangedFile, Changes, ContentKind, FileState};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use workspace::{DiffLimits, Snapshot, WorkspaceError};

fn compare(place: &Place, before: &Snapshot, after: &Snapshot) -> Changes {
    let limits = DiffLimits::default();
    place.workspace.changes(before, after, &limits).unwrap()
}

fn state(size: u64) -> Option<FileState> {
    let executable = false;
    Some(FileState { size, executable })
}

#[test]
fn each_kind_of_change_is_named_and_texts_have_their_lines() {
    let place = Place::new();
    place.write("same", "same\n");
    place.write("edited.txt", "one\ntwo\n");
    place.write("gone.txt", "gone\n");
    place.write("tool", "run\n");
    place.write("was-a-file", "x");
    place.write("picture", b"\x89PNG\0\x01");
    let before = place.snapshot();
    assert_eq!(
        compare(&place, &before, &place.snapshot()),
        Changes::default()
    );
    place.write("edited.txt", "one\n2\n");
    fs::remove_file(place.at("gone.txt")).unwrap();
    fs::set_permissions(place.at("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(place.at("was-a-file")).unwrap();
    place.write("was-a-file/now", "a folder\n");
    place.write("picture", b"\x89PNG\0\x02");
    place.write("empty", "");
    let changes = compare(&place, &before, &place.snapshot());
    let file = |path: &str, change, before, after, diff: &str| ChangedFile {
        path: path.to_owned(),
        change,
        before,
        after,
        content: ContentKind::Text,
        diff: Some(diff.to_owned()),
    };
    let run = |executable| {
        Some(FileState {
            size: 4,
            executable,
        })
    };
    use ChangeKind::{Added, Changed, Deleted};
    assert_eq!(
        changes.items,
        [
            file(
                "edited.txt",
                Changed,
                state(8),
                state(6),
                "@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
            ),
            file("empty", Added, None, state(0), ""),
            file(
                "gone.txt",
                Deleted,
                state(5),
                None,
                "@@ -1 +0,0 @@\n-gone\n"
            ),
            ChangedFile {
                content: ContentKind::Binary,
                diff: None,
                ..file("picture", Changed, state(6), state(6), "")
            },
            file("tool", Changed, run(false), run(true), ""),
            file(
                "was-a-file",
                Deleted,
                state(1),
                None,
                "@@ -1 +0,0 @@\n-x\n\\ No newline at end of file\n"
            ),
            file(
                "was-a-file/now",
                Added,
                None,
                state(9),
                "@@ -0,0 +1 @@\n+a folder\n"
            ),
        ]
    );
}

#[test]
fn an_answer_is_bounded_in_files_and_in_bytes_and_says_so() {
    let place = Place::new();
    let before = place.snapshot();
    for n in 0..10 {
        place.write(&format!("{n}"), "0123456789\n");
    }
    let after = place.snapshot();
    let shown = |limits: DiffLimits| {
        let changes = place.workspace.changes(&before, &after, &limits).unwrap();
        let kinds: Vec<ContentKind> = changes.items.iter().map(|it| it.content).collect();
        (kinds, changes.more)
    };
    use ContentKind::{Large, Omitted, Text};
    let all = DiffLimits {
        files: 10,
        file_bytes: 11,
        read_bytes: 110,
        // `@@ -0,0 +1 @@`, and a line with its mark.
        shown_bytes: 10 * (14 + 12),
        time: Duration::from_secs(3600),
    };
    assert_eq!(shown(all.clone()), (vec![Text; 10], 0));
    let files = 9;
    assert_eq!(
        shown(DiffLimits {
            files,
            ..all.clone()
        }),
        (vec![Text; 9], 1)
    );
    let file_bytes = 10;
    assert_eq!(
        shown(DiffLimits {
            file_bytes,
            ..all.clone()
        }),
        (vec![Large; 10], 0)
    );
    let but_one = [vec![Text; 9], vec![Omitted]].concat();
    let read_bytes = 109;
    assert_eq!(
        shown(DiffLimits {
            read_bytes,
            ..all.clone()
        }),
        (but_one.clone(), 0)
    );
    let shown_bytes = all.shown_bytes - 1;
    assert_eq!(shown(DiffLimits { shown_bytes, ..all }), (but_one, 0));
}

#[test]
fn lines_that_take_minutes_to_compare_well_are_compared_anyhow() {
    let place = Place::new();
    // The worst for most ways to compare: many lines, few that differ, and no order in them.
    let lines = |seed: u64| -> String {
        let mut state = seed;
        let mut line = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(seed | 1);
            if state >> 63 == 0 { "a\n" } else { "b\n" }
        };
        (0..200_000).map(|_| line()).collect()
    };
    place.write("lines", lines(1));
    let before = place.snapshot();
    place.write("lines", lines(2));
    let limits = DiffLimits {
        shown_bytes: 4 << 20,
        ..DiffLimits::default()
    };
    let after = place.snapshot();
    let changes = place.workspace.changes(&before, &after, &limits).unwrap();
    assert_eq!(changes.items.len(), 1);
    let lines = changes.items[0].diff.as_deref().unwrap().lines();
    assert!(lines.filter(|line| line.starts_with('+')).count() > 38_000);
}

#[test]
fn an_object_that_is_gone_or_damaged_is_named_as_such() {
    let place = Place::new();
    let before = place.snapshot();
    place.write("a", "a\n");
    place.write("b", "b\n");
    let after = place.snapshot();
    let objects = place.objects();
    assert_eq!(objects.len(), 4, "two trees and two files");
    let compare = || {
        let limits = DiffLimits::default();
        place.workspace.changes(&before, &after, &limits)
    };
    for object in &objects {
        let whole = fs::read(object).unwrap();
        fs::remove_file(object).unwrap();
        assert!(matches!(compare(), Err(WorkspaceError::Io { .. })));
        // A content under another's name is none, however whole it is.
        let others = objects.iter().filter(|other| *other != object);
        let others = others.map(|other| fs::read(other).unwrap());
        let broken = [&whole[..whole.len() / 2], b"", b"nonsense"].map(<[u8]>::to_vec);
        for broken in others.chain(broken) {
            fs::write(object, broken).unwrap();
            let error = compare().unwrap_err();
            assert!(matches!(error, WorkspaceError::Io { .. }), "{error}");
        }
        fs::write(object, whole).unwrap();
    }
    assert_eq!(compare().unwrap().items.len(), 2);
}
