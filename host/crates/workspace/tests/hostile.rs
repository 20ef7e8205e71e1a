//! What an agent may leave behind, and what the host makes of it. No agent runs here.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what goes wrong in it shall stop it"
)]

use pipeline::{JobId, StagedFile};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use workspace::{Folder, RelativePath, Root, TreeLimits, Workspace, WorkspaceError};

fn path(text: &str) -> RelativePath {
    RelativePath::new(text).unwrap()
}

fn staged(path: &str, content: &str) -> StagedFile {
    StagedFile {
        path: path.into(),
        content: content.into(),
        executable: false,
    }
}

struct Place {
    dir: tempfile::TempDir,
    workspace: Workspace,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(&dir.path().join("workspaces"), "fresh").unwrap();
    let workspace = root.workspace(job(1), None);
    workspace.create().unwrap();
    Place { dir, workspace }
}

fn job(n: u32) -> JobId {
    JobId(format!("018f0000-0000-7000-8000-{n:012}").parse().unwrap())
}

fn names(folder: &Folder) -> Vec<String> {
    let files = folder.files(&path(""), &TreeLimits::default()).unwrap();
    files.into_iter().map(|file| file.path).collect()
}

fn mkfifo(at: &Path) {
    let mode = rustix::fs::Mode::from(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn links_fifos_odd_names_and_sockets_are_passed_over_and_the_rest_is_sorted() {
    let place = place();
    let files = place.workspace.files_path();
    fs::create_dir_all(files.join("b/deep")).unwrap();
    fs::write(files.join("b/deep/z.txt"), "z").unwrap();
    fs::write(files.join("b.txt"), "bb").unwrap();
    fs::write(files.join("a.txt"), "aaa").unwrap();
    symlink("/etc", files.join("out")).unwrap();
    symlink("/etc/passwd", files.join("passwd")).unwrap();
    symlink("loop", files.join("loop")).unwrap();
    mkfifo(&files.join("fifo"));
    let _socket = std::os::unix::net::UnixListener::bind(files.join("socket")).unwrap();
    let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"odd\xff");
    fs::write(files.join(odd), "odd").unwrap();
    let folder = place.workspace.files().unwrap();
    assert_eq!(names(&folder), ["a.txt", "b.txt", "b/deep/z.txt"]);
    let limits = TreeLimits::default();
    let page = folder.page(&path(""), Some("a.txt"), 1, &limits).unwrap();
    assert_eq!(
        (page.items.len(), page.items[0].path.as_str(), page.more),
        (1, "b.txt", true)
    );
}

#[test]
fn no_path_leads_out_and_nothing_but_a_regular_file_opens() {
    let place = place();
    let files = place.workspace.files_path();
    fs::write(place.dir.path().join("secret"), "secret").unwrap();
    symlink("../../../secret", files.join("link")).unwrap();
    symlink("/", files.join("root")).unwrap();
    mkfifo(&files.join("fifo"));
    fs::create_dir(files.join("folder")).unwrap();
    let folder = place.workspace.files().unwrap();
    let invalid = |result| matches!(result, Err(WorkspaceError::InvalidPath { .. }));
    for bad in [
        "/etc/passwd",
        "../x",
        "a/../../x",
        ".",
        "a//b",
        "a\0b",
        &"x/".repeat(3000),
    ] {
        assert!(invalid(RelativePath::new(bad).map(|_| ())), "{bad:?}");
    }
    for link in ["link", "root/etc/passwd"] {
        assert!(invalid(folder.file(&path(link)).map(|_| ())), "{link}");
    }
    for odd in ["fifo", "folder"] {
        let result = folder.file(&path(odd));
        assert!(
            matches!(result, Err(WorkspaceError::NotAFile(_))),
            "{odd}: {result:?}"
        );
    }
    let missing = folder.stat(&path("nothing"));
    assert!(
        matches!(missing, Err(WorkspaceError::NotFound(_))),
        "{missing:?}"
    );
}

#[test]
fn a_sparse_file_of_two_terabytes_costs_no_more_than_what_is_read_of_it() {
    let place = place();
    let file = fs::File::create(place.workspace.files_path().join("sparse")).unwrap();
    file.set_len(2 << 40).unwrap();
    let folder = place.workspace.files().unwrap();
    assert_eq!(folder.stat(&path("sparse")).unwrap().size, 2 << 40);
    let read = folder.read(&path("sparse"), (2 << 40) - 10, 4096).unwrap();
    assert_eq!(read, [0; 10]);
    assert!(
        folder
            .read(&path("sparse"), 3 << 40, 10)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn entries_and_depth_up_to_their_limits_and_one_past_them() {
    let place = place();
    let files = place.workspace.files_path();
    for n in 0..10 {
        fs::write(files.join(n.to_string()), "").unwrap();
    }
    let folder = place.workspace.files().unwrap();
    let list = |limits: &TreeLimits| folder.files(&path(""), limits).map(|files| files.len());
    let limits = TreeLimits {
        entries: 10,
        depth: 1,
        bytes: 0,
    };
    assert_eq!(list(&limits).unwrap(), 10);
    fs::create_dir_all(files.join("one")).unwrap();
    let error = list(&limits).unwrap_err().to_string();
    assert_eq!(
        error,
        "too large: the number of entries, 11, is more than the 10 that are allowed"
    );
    let limits = TreeLimits {
        entries: 100,
        ..limits
    };
    assert_eq!(list(&limits).unwrap(), 10);
    fs::create_dir_all(files.join("one/two")).unwrap();
    assert!(
        list(&limits)
            .unwrap_err()
            .to_string()
            .contains("depth of folders, 2,")
    );
}

#[test]
fn what_the_host_writes_replaces_a_link_and_never_follows_one() {
    let place = place();
    let outside = place.dir.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    let files = place.workspace.files_path();
    symlink(&outside, files.join("page.html")).unwrap();
    symlink(place.dir.path(), files.join("dir")).unwrap();
    let folder = place.workspace.files().unwrap();
    folder
        .write(
            &[staged("page.html", "new"), staged("a/b/c.txt", "c")],
            None,
        )
        .unwrap();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    assert_eq!(folder.read(&path("page.html"), 0, 99).unwrap(), b"new");
    assert_eq!(folder.read(&path("a/b/c.txt"), 0, 99).unwrap(), b"c");
    assert!(folder.write(&[staged("dir/x.txt", "x")], None).is_err());
    assert!(!place.dir.path().join("x.txt").exists());
    assert!(folder.write(&[staged("../x.txt", "x")], None).is_err());
    assert_eq!(
        names(&folder),
        ["a/b/c.txt", "page.html"],
        "no temporary file is left"
    );
}

#[test]
fn a_workspace_goes_with_all_that_is_in_it_and_nothing_behind_a_link() {
    let place = place();
    let outside = place.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "stays").unwrap();
    let files = place.workspace.files_path();
    symlink(&outside, files.join("link")).unwrap();
    mkfifo(&files.join("fifo"));
    let mut deep = files.clone();
    for _ in 0..200 {
        deep = deep.join("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir(files.join("closed")).unwrap();
    fs::write(files.join("closed/file"), "x").unwrap();
    fs::set_permissions(files.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    place.workspace.remove().unwrap();
    place.workspace.remove().unwrap();
    assert!(!files.exists());
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "stays");
}

#[test]
fn a_root_keeps_its_id_and_knows_its_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let first = Root::open(dir.path(), "one").unwrap();
    let again = Root::open(dir.path(), "two").unwrap();
    assert_eq!(
        (first.id().0.as_str(), again.id().0.as_str()),
        ("one", "one")
    );
    first.workspace(job(7), None).create().unwrap();
    fs::create_dir(dir.path().join("not-a-job")).unwrap();
    assert_eq!(again.jobs().unwrap(), [job(7)]);
}

/// How many folders a host may have open is the same for all its jobs.
#[test]
fn a_tree_that_is_deeper_than_folders_may_be_open_goes_as_well() {
    let place = place();
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let mode = rustix::fs::Mode::from(0o755);
    let open = |at: &rustix::fd::OwnedFd| rustix::fs::openat(at, "d", flags, mode);
    let mut at = rustix::fs::open(place.workspace.files_path(), flags, mode).unwrap();
    // More than the other tests here need, and fewer than this one would have had.
    let few = rustix::process::Rlimit {
        current: Some(256),
        ..rustix::process::getrlimit(rustix::process::Resource::Nofile)
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let deep = 400;
    for _ in 0..deep {
        rustix::fs::mkdirat(&at, "d", mode).unwrap();
        at = open(&at).unwrap();
    }
    drop(at);
    let root = Root::open(&place.dir.path().join("workspaces"), "fresh").unwrap();
    root.disk_bytes(job(1)).unwrap();
    place.workspace.remove().unwrap();
    assert!(!place.workspace.files_path().exists());
}

#[test]
fn what_a_tree_takes_is_counted_without_links_and_holes() {
    let place = place();
    let root = Root::open(&place.dir.path().join("workspaces"), "fresh").unwrap();
    let files = place.workspace.files_path();
    let empty = root.disk_bytes(job(1)).unwrap();
    fs::create_dir_all(files.join("a/b")).unwrap();
    fs::write(files.join("a/b/data"), vec![1; 1 << 20]).unwrap();
    let full = root.disk_bytes(job(1)).unwrap();
    assert!(
        (1 << 20..2 << 20).contains(&(full - empty)),
        "{full} {empty}"
    );
    // A loop, a way out, a hole of a terabyte and a closed folder.
    symlink("..", files.join("a/loop")).unwrap();
    symlink("/", files.join("out")).unwrap();
    let hole = fs::File::create(files.join("hole")).unwrap();
    hole.set_len(1 << 40).unwrap();
    mkfifo(&files.join("fifo"));
    fs::create_dir(files.join("closed")).unwrap();
    fs::set_permissions(files.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let odd = root.disk_bytes(job(1)).unwrap();
    assert!(odd < full + (1 << 20), "{odd} {full}");
    assert_eq!(root.disk_bytes(job(2)).unwrap(), 0);
}

#[test]
fn a_workspace_that_is_set_aside_is_not_the_jobs_any_more() {
    let place = place();
    let root = Root::open(&place.dir.path().join("workspaces"), "fresh").unwrap();
    let files = place.workspace.files_path();
    fs::write(files.join("old"), "").unwrap();
    root.set_aside(job(1)).unwrap();
    root.set_aside(job(1)).unwrap();
    assert_eq!(root.jobs().unwrap(), []);
    // The job begins anew, and a host that was slow to remove the old one does it now.
    place.workspace.create().unwrap();
    fs::write(files.join("new"), "").unwrap();
    root.remove_set_aside().unwrap();
    assert_eq!(names(&place.workspace.files().unwrap()), ["new"]);
    let left = fs::read_dir(place.dir.path().join("workspaces")).unwrap();
    assert_eq!(left.count(), 2, "the root's id and the job");
}
