//! Archives, read back by the `tar` crate.

use crate::place::{Place, mkfifo};
use pipeline::LeftOut;
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{PermissionsExt, symlink};
use workspace::{TreeLimits, WorkspaceError};

type Entries = BTreeMap<String, (Vec<u8>, u32)>;

fn unpacked(bytes: &[u8]) -> Entries {
    let mut archive = tar::Archive::new(bytes);
    let mut entries = Entries::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().entry_type(), tar::EntryType::Regular);
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mode = entry.header().mode().unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        entries.insert(path, (content, mode));
    }
    entries
}

fn packed(place: &Place, limits: &TreeLimits) -> (Vec<u8>, LeftOut) {
    let folder = place.workspace.files().unwrap();
    let mut archive = folder.archive(limits).unwrap();
    let mut bytes = Vec::new();
    archive.read_to_end(&mut bytes).unwrap();
    (bytes, archive.left_out())
}

#[test]
fn every_regular_file_is_in_it_and_nothing_else() {
    let place = Place::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    for (path, size) in [("empty", 0), ("block", 512), ("more", 513), (&*long, 7)] {
        place.write(path, vec![b'x'; size]);
    }
    place.write("new\nline", "n");
    place.write("tool", "#!/bin/sh\n");
    fs::set_permissions(place.at("tool"), fs::Permissions::from_mode(0o4777)).unwrap();
    symlink("/etc/passwd", place.at("link")).unwrap();
    mkfifo(&place.at("fifo"));
    let (bytes, left_out) = packed(&place, &TreeLimits::default());
    let two = LeftOut {
        special: 2,
        ..LeftOut::default()
    };
    assert_eq!(left_out, two);
    assert_eq!(bytes.len() % 512, 0);
    assert_eq!(bytes[bytes.len() - 1024..], [0; 1024], "it has an end");
    let entries = unpacked(&bytes);
    let modes: BTreeMap<&str, u32> = entries.iter().map(|(path, it)| (&**path, it.1)).collect();
    let plain = 0o644;
    assert_eq!(
        modes,
        BTreeMap::from([
            ("empty", plain),
            ("block", plain),
            ("more", plain),
            (&*long, plain),
            ("new\nline", plain),
            ("tool", 0o755),
        ])
    );
    let files = place.files();
    assert!(
        entries
            .iter()
            .all(|(path, (content, _))| *content == files[path].0)
    );
}

#[test]
fn an_empty_workspace_is_an_archive_and_none_is_none() {
    let place = Place::new();
    let (bytes, _) = packed(&place, &TreeLimits::default());
    assert_eq!(bytes, [0; 1024]);
    place.workspace.remove().unwrap();
    let gone = place.workspace.files().map(|_| ());
    assert!(matches!(gone, Err(WorkspaceError::NotFound(_))));
}

#[test]
fn what_is_past_the_limits_is_left_out_and_said() {
    let place = Place::new();
    place.write("a", "12345");
    place.write("b", "123456");
    place.write("c", "12345");
    let limits = |bytes| TreeLimits {
        bytes,
        ..TreeLimits::default()
    };
    assert_eq!(packed(&place, &limits(16)).1, LeftOut::default());
    let (bytes, left_out) = packed(&place, &limits(15));
    assert_eq!(left_out.large, 1);
    let entries = unpacked(&bytes);
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_file_that_grows_goes_or_shrinks_meanwhile_breaks_no_archive() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.write(name, "12345");
    }
    let folder = place.workspace.files().unwrap();
    let mut archive = folder.archive(&TreeLimits::default()).unwrap();
    // `a` is open once its header is read; `b` and `c` aren't yet.
    let mut bytes = vec![0; 512];
    archive.read_exact(&mut bytes).unwrap();
    place.write("a", "1234567890");
    fs::remove_file(place.at("b")).unwrap();
    symlink("/etc/passwd", place.at("b")).unwrap();
    place.write("c", "123");
    archive.read_to_end(&mut bytes).unwrap();
    let entries = unpacked(&bytes);
    let contents: Vec<(&str, &[u8])> = entries.iter().map(|(path, it)| (&**path, &*it.0)).collect();
    assert_eq!(contents, [("a", &b"12345"[..]), ("c", b"123")]);

    let folder = place.workspace.files().unwrap();
    let mut archive = folder.archive(&TreeLimits::default()).unwrap();
    archive.read_exact(&mut bytes[..512]).unwrap();
    fs::File::create(place.at("a")).unwrap();
    let error = archive.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::UnexpectedEof,
        "nobody takes it for whole"
    );
}
