//! A host that dies in the middle of a snapshot, or of putting one back, and what the next one
//! finds. Nothing is lost, and doing it again is enough.

use crate::place::{Place, before, workspace_in};
use pipeline::LeftOut;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use workspace::{Snapshot, TreeLimits};

/// Where the child of a test works.
const CHILD: &str = "SNAPSHOTS_CHILD";

#[test]
fn a_name_comes_last_and_stands_until_the_next_is_whole() {
    let place = Place::new();
    place.write("a", "first");
    assert_eq!(place.workspace.snapshot_named(&before(1)).unwrap(), None);
    let first = place.snapshot();
    // Killed here, nothing was named.
    assert_eq!(place.workspace.snapshot_named(&before(1)).unwrap(), None);
    place.workspace.name_snapshot(&before(1), &first).unwrap();
    place.write("a", "second");
    let second = place.snapshot();
    let named = || place.workspace.snapshot_named(&before(1)).unwrap();
    assert_eq!(
        named(),
        Some(first.clone()),
        "killed before the name was moved"
    );
    place.workspace.name_snapshot(&before(1), &second).unwrap();
    assert_eq!(named(), Some(second));
    place.workspace.put_back(&first).unwrap();
    assert_eq!(
        place.files()["a"].0,
        b"first",
        "and the other one is still there"
    );
}

#[test]
fn objects_of_a_snapshot_that_was_cut_off_are_made_again() {
    let place = Place::new();
    for n in 0..20 {
        place.write(&format!("folder/{n}"), format!("content {n}"));
    }
    let whole = place.snapshot();
    let files = place.files();
    for (n, object) in place.objects().iter().enumerate() {
        match n % 3 {
            0 => fs::remove_file(object).unwrap(),
            // What a machine that lost its power leaves of one.
            1 => fs::write(object, "").unwrap(),
            _ => {}
        }
    }
    fs::write(place.kept().join("objects/.tmp-of-a-dead-host"), "half").unwrap();
    assert!(place.workspace.put_back(&whole).is_err());
    assert_eq!(place.files(), files, "what can't be put back isn't removed");
    assert_eq!(place.snapshot(), whole);
    place.write("folder/new", "new");
    place.workspace.put_back(&whole).unwrap();
    assert_eq!(place.files(), files);
}

#[test]
fn putting_back_is_done_again_from_wherever_it_was_cut_off() {
    let place = Place::new();
    for n in 0..20 {
        place.write(&format!("{n}/file"), format!("content {n}"));
    }
    let files = place.files();
    let snapshot = place.snapshot();
    // Cut off in the middle: an object that ends early.
    let objects = place.objects();
    let mut short = objects.iter().filter(|it| fs::read(it).unwrap().len() < 40);
    let broken = short.next_back().unwrap();
    let whole = fs::read(broken).unwrap();
    fs::write(broken, &whole[..whole.len() - 6]).unwrap();
    place.write("3/file", "changed by the agent");
    assert!(place.workspace.put_back(&snapshot).is_err());
    assert_ne!(place.files(), files);
    fs::write(broken, whole).unwrap();
    place.workspace.put_back(&snapshot).unwrap();
    assert_eq!(place.files(), files);
}

#[test]
fn killed_at_any_moment_the_name_that_stands_is_whole() {
    let place = Place::new();
    let mut contents = [one(&place, 0), one(&place, 1)];
    contents.reverse();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crashes::child", "--nocapture"])
            .env(CHILD, place.dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let named = out.lines().map(|line| line.unwrap());
        let mut named = named.filter(|line| line.contains("named"));
        for _ in 0..=round % 4 {
            named.next().unwrap();
        }
        // It is in the middle of whatever comes next.
        child.kill().unwrap();
        child.wait().unwrap();
        let stands = place.workspace.snapshot_named(&before(1)).unwrap().unwrap();
        place.workspace.put_back(&stands).unwrap();
        let files = place.files();
        assert!(
            contents.contains(&files),
            "round {round}: {} files",
            files.len()
        );
    }
}

/// The child of the test above: it takes snapshots until it is killed.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let workspace = workspace_in(Path::new(&dir));
    let mut out = std::io::stdout();
    let mut taken: Option<Snapshot> = None;
    for n in 0.. {
        write_all(&workspace.files_path(), n % 2);
        let snapshot = workspace.snapshot(&TreeLimits::default()).unwrap();
        assert_eq!(snapshot.left_out, LeftOut::default());
        assert_ne!(taken.as_ref(), Some(&snapshot));
        workspace.name_snapshot(&before(1), &snapshot).unwrap();
        taken = Some(snapshot);
        // Each content is new to the store each time.
        let objects = workspace
            .files_path()
            .with_file_name("snapshots")
            .join("objects");
        writeln!(out, "\nnamed {n}").unwrap();
        if n % 5 == 4 {
            fs::remove_dir_all(objects).unwrap();
            let again = workspace.snapshot(&TreeLimits::default()).unwrap();
            assert_eq!(taken.as_ref(), Some(&again));
        }
    }
}

type Files = BTreeMap<String, (Vec<u8>, bool)>;

fn one(place: &Place, n: u32) -> Files {
    write_all(&place.workspace.files_path(), n);
    place.files()
}

fn write_all(files: &Path, content: u32) {
    for n in 0..200 {
        let folder = files.join(format!("{}", n % 20));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{n}")), format!("{content} of {n}")).unwrap();
    }
}
