//! What an agent may fill its session folder with, and what the host makes of it. No agent runs
//! here.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what goes wrong in it shall stop it"
)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use workspace::{Root, TreeLimits, Workspace};

const LIMITS: TreeLimits = TreeLimits {
    entries: 20,
    depth: 4,
    bytes: 1 << 20,
};

struct Place {
    dir: tempfile::TempDir,
    workspace: Workspace,
}

impl Place {
    /// With one session in it.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(&dir.path().join("workspaces"), "fresh").unwrap();
        let job = "018f0000-0000-7000-8000-000000000001".parse().unwrap();
        let workspace = root.workspace(job, None);
        workspace.create().unwrap();
        let place = Self { dir, workspace };
        fs::create_dir_all(place.at("projects/-workspace")).unwrap();
        fs::write(place.session(), "{}\n").unwrap();
        place
    }

    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.workspace.session_path().join(path)
    }

    fn session(&self) -> PathBuf {
        self.at("projects/-workspace/one.jsonl")
    }

    fn bounded(&self) -> Option<String> {
        self.workspace.bound_session(&LIMITS).unwrap()
    }

    /// Something is wrong with it, and all of it is gone.
    #[track_caller]
    fn is_emptied(&self, words: &str) {
        let why = self.bounded().unwrap();
        assert!(why.contains(words), "{why}");
        let left = fs::read_dir(self.workspace.session_path()).unwrap();
        assert_eq!(left.count(), 0);
        assert_eq!(self.bounded(), None);
    }
}

#[test]
fn sessions_within_the_limit_stay() {
    let place = Place::new();
    let outside = place.dir.path().join("large");
    File::create(&outside).unwrap().set_len(2 << 20).unwrap();
    // Nothing is counted behind a link.
    symlink(&outside, place.at("link")).unwrap();
    fs::write(place.at("other.jsonl"), vec![b'x'; (1 << 20) - 64 * 1024]).unwrap();
    assert_eq!(place.bounded(), None);
    assert_eq!(fs::read(place.session()).unwrap(), b"{}\n");
    let unmade = Root::open(&place.dir.path().join("workspaces"), "").unwrap();
    let other = "018f0000-0000-7000-8000-000000000002".parse().unwrap();
    let unmade = unmade.workspace(other, None);
    assert_eq!(unmade.bound_session(&LIMITS).unwrap(), None);
}

#[test]
fn sessions_past_the_limit_go_and_nothing_behind_a_link() {
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("keep"), "me").unwrap();
    symlink(&outside, place.at("link")).unwrap();
    fs::write(place.at("large.jsonl"), vec![b'x'; (1 << 20) + 1]).unwrap();
    place.is_emptied("bytes of the 1048576 that they may");
    assert_eq!(fs::read(outside.join("keep")).unwrap(), b"me");
}

#[test]
fn a_file_that_is_mostly_a_hole_counts_by_its_length() {
    let place = Place::new();
    let file = File::create(place.at("hole.jsonl")).unwrap();
    file.set_len(1 << 40).unwrap();
    place.is_emptied("bytes of the 1048576 that they may");
}

#[test]
fn many_files_and_deep_folders_are_past_the_limit_whatever_their_size() {
    let place = Place::new();
    for number in 0..20 {
        fs::write(place.at(format!("{number}")), "").unwrap();
    }
    place.is_emptied("past the number of entries");
    let place = Place::new();
    fs::create_dir_all(place.at("a/b/c/d/e/f")).unwrap();
    place.is_emptied("folders that lie too deep");
}

#[test]
fn what_hides_from_being_counted_goes() {
    let place = Place::new();
    let hidden = place.at(OsStr::from_bytes(b"\xff"));
    fs::create_dir(&hidden).unwrap();
    fs::write(hidden.join("large"), vec![b'x'; 2 << 20]).unwrap();
    place.is_emptied("names that aren't UTF-8");
    // To root no folder is closed: then what is in it counts.
    let place = Place::new();
    let closed = place.at("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("large"), vec![b'x'; 2 << 20]).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    place.is_emptied("");
}
