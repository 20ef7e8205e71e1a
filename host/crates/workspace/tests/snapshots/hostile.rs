//! What an agent may leave for the host to fall over when it takes a snapshot or puts one back.

use crate::place::{Place, before, job, mkfifo};
use pipeline::LeftOut;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use workspace::{Root, TreeLimits, WorkspaceError};

#[test]
fn a_repository_of_the_agents_is_plain_content_and_configures_nothing() {
    let place = Place::new();
    let ran = place.dir.path().join("ran");
    let command = format!("touch {}", ran.display());
    place.write(
        ".git/config",
        format!(
            "[core]\n\tfsmonitor = {command}\n\tsshCommand = {command}\n\tautocrlf = true\n\
             [filter \"evil\"]\n\tclean = {command}\n\tsmudge = {command}\n\trequired = true\n"
        ),
    );
    place.write(".git/HEAD", "ref: refs/heads/main\n");
    place.write(
        ".git/hooks/post-checkout",
        format!("#!/bin/sh\n{command}\n"),
    );
    let hook = fs::Permissions::from_mode(0o755);
    fs::set_permissions(place.at(".git/hooks/post-checkout"), hook).unwrap();
    place.write(
        ".gitattributes",
        "* filter=evil text eol=crlf ident export-ignore\n",
    );
    place.write(".gitignore", "*\n");
    place.write("nested/.git", "gitdir: /nonexistent\n");
    place.write("kept.txt", "one\r\ntwo\n$Id$\n");
    let before = place.files();
    let snapshot = place.snapshot();
    assert_eq!(snapshot.left_out, LeftOut::default());
    fs::remove_dir_all(place.workspace.files_path()).unwrap();
    place.workspace.create().unwrap();
    place.workspace.put_back(&snapshot).unwrap();
    assert_eq!(place.files(), before, "byte by byte, the hook's mode too");
    assert!(!ran.exists(), "something of the agent's was run");
}

#[test]
fn links_pipes_sockets_and_odd_names_are_counted_and_hold_nobody_up() {
    let place = Place::new();
    let secret = place.dir.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    place.write("a/plain.txt", "plain");
    place.write("new\nline \"quoted\".txt", "newline");
    place.write("-rf", "dash");
    symlink(&secret, place.at("link")).unwrap();
    symlink(place.dir.path(), place.at("a/out")).unwrap();
    symlink("loop", place.at("loop")).unwrap();
    mkfifo(&place.at("fifo"));
    let _socket = std::os::unix::net::UnixListener::bind(place.at("socket")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff");
    fs::create_dir(place.workspace.files_path().join(odd)).unwrap();
    fs::write(place.workspace.files_path().join(odd).join("x"), "x").unwrap();
    let snapshot = place.snapshot();
    let left_out = LeftOut {
        special: 5,
        names: 1,
        ..LeftOut::default()
    };
    assert_eq!(snapshot.left_out, left_out);
    place.workspace.put_back(&snapshot).unwrap();
    let files = place.files();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["-rf", "a/plain.txt", "new\nline \"quoted\".txt"]);
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret");
}

#[test]
fn a_hard_link_to_a_file_outside_is_content_and_the_file_is_never_written() {
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    fs::write(&outside, "before").unwrap();
    fs::hard_link(&outside, place.at("linked")).unwrap();
    let snapshot = place.snapshot();
    fs::write(&outside, "after").unwrap();
    let mode = fs::metadata(&outside).unwrap().mode();
    place.workspace.put_back(&snapshot).unwrap();
    assert_eq!(place.files()["linked"].0, b"before");
    assert_eq!(fs::read_to_string(&outside).unwrap(), "after");
    let now = fs::metadata(&outside).unwrap();
    assert_eq!(
        (now.nlink(), now.mode()),
        (1, mode),
        "it is another file by now"
    );
}

#[test]
fn what_is_past_a_limit_is_named_fails_nothing_and_is_not_put_back() {
    let place = Place::new();
    for n in 0..300 {
        place.write(&format!("many/{:03}/file", n), "x");
    }
    place.write("a", "0123456789");
    place.write("deep/er/est", "x");
    let hole = fs::File::create(place.at("hole")).unwrap();
    hole.set_len(2 << 40).unwrap();
    let take = |entries, depth, bytes| {
        let limits = TreeLimits {
            entries,
            depth,
            bytes,
        };
        place.workspace.snapshot(&limits).unwrap()
    };
    // Four at the top, two in `deep`, and what lies in `many`.
    let all = take(606, 3, 320);
    let large = LeftOut {
        large: 1,
        ..LeftOut::default()
    };
    assert_eq!(all.left_out, large, "two terabytes of nothing");
    let fewer = take(605, 3, 320);
    assert!(fewer.left_out.more && fewer != all);
    assert_eq!(fewer, take(605, 3, 320), "the same ones each time");
    assert_eq!(take(606, 1, 320).left_out.deep, 301);
    assert_eq!(take(606, 3, 310).left_out.large, 2);
    let error = place.workspace.put_back(&all).unwrap_err();
    assert!(matches!(error, WorkspaceError::Partial(_)), "{error}");
    assert!(
        error.to_string().contains("1 files that are too large"),
        "{error}"
    );
    fs::remove_file(place.at("hole")).unwrap();
    assert_eq!(place.files().len(), 302, "nothing else was removed");
}

#[test]
fn a_hundred_thousand_small_files_end_at_the_limit() {
    let place = Place::new();
    for folder in 0..100 {
        let dir = place.at(&format!("d{folder:02}"));
        fs::create_dir(&dir).unwrap();
        for n in 0..1_001 {
            // One file under many names is as many entries, and costs the test less.
            match n {
                0 => fs::write(dir.join("0"), "").unwrap(),
                n => fs::hard_link(dir.join("0"), dir.join(n.to_string())).unwrap(),
            }
        }
    }
    let snapshot = place.snapshot();
    assert!(snapshot.left_out.more);
    assert_eq!(snapshot, place.snapshot());
}

#[test]
fn files_that_change_and_vanish_meanwhile_are_kept_whole_or_named() {
    let place = Place::new();
    for n in 0..50 {
        place.write(&format!("steady/{n}"), format!("{n}"));
    }
    let stop = AtomicBool::new(false);
    let at = place.at("moving");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            fs::create_dir(&at).unwrap();
            while !stop.load(Ordering::Relaxed) {
                for n in 0..20 {
                    let file = at.join(n.to_string());
                    fs::write(&file, vec![b'x'; n << 12]).unwrap();
                    fs::write(&file, "short").unwrap();
                    let _ = fs::remove_file(&file);
                    let _ = symlink("/etc/passwd", &file);
                    let _ = fs::remove_file(&file);
                    let _ = fs::create_dir(&file);
                    let _ = fs::remove_dir(&file);
                }
            }
        });
        let taken: Vec<_> = (0..30).map(|_| place.snapshot()).collect();
        stop.store(true, Ordering::Relaxed);
        taken
    })
    .iter()
    .for_each(|snapshot| {
        // Whatever moved, the rest is there, and every object is what its name says.
        let mut whole = snapshot.clone();
        whole.left_out = LeftOut::default();
        let _ = fs::remove_dir_all(place.at("moving"));
        place.workspace.put_back(&whole).unwrap();
        let files = place.files();
        assert_eq!(
            files
                .keys()
                .filter(|path| path.starts_with("steady/"))
                .count(),
            50
        );
        assert!(
            files
                .values()
                .all(|(content, _)| !content.starts_with(b"root:"))
        );
    });
}

#[test]
fn what_may_not_be_read_is_named() {
    // Root reads everything.
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may read everything");
        return;
    }
    let place = Place::new();
    place.write("closed/file", "x");
    place.write("file", "x");
    for path in ["closed", "file"] {
        fs::set_permissions(place.at(path), fs::Permissions::from_mode(0o000)).unwrap();
    }
    assert_eq!(place.snapshot().left_out.unreadable, 2);
    fs::set_permissions(place.at("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn what_is_kept_counts_with_the_workspace_and_goes_with_it() {
    let place = Place::new();
    let root = Root::open(&place.dir.path().join("workspaces"), "fresh").unwrap();
    // What doesn't get smaller when it is packed.
    let mut state = 1_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    place.write("noise", (0..1 << 20).map(|_| noise()).collect::<Vec<u8>>());
    let without = root.disk_bytes(job()).unwrap();
    place
        .workspace
        .name_snapshot(&before(1), &place.snapshot())
        .unwrap();
    let with = root.disk_bytes(job()).unwrap();
    assert!(with - without >= 1 << 20, "{with} {without}");
    // The same once more costs a name, and no object.
    let objects = place.objects();
    place
        .workspace
        .name_snapshot(&before(2), &place.snapshot())
        .unwrap();
    assert_eq!(place.objects(), objects);
    root.set_aside(job()).unwrap();
    root.remove_set_aside().unwrap();
    assert!(!place.kept().exists());
    assert_eq!(place.workspace.snapshot_named(&before(1)).unwrap(), None);
}
