//! Sites laid out and linked, with what may go wrong. No web server here.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what goes wrong in it shall stop it"
)]

use deploy::{DeployError, Sites, Source};
use pipeline::{FileEntry, JobId, Limits, SitePlan};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

struct Dir(PathBuf);

impl Source for Dir {
    fn files(&self) -> Result<Vec<FileEntry>, String> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(|e| e.to_string())? {
            let entry = entry.unwrap();
            let path = entry.file_name().into_string().unwrap();
            files.push(FileEntry {
                path,
                size: entry.metadata().unwrap().len(),
            });
        }
        Ok(files)
    }

    fn open(&self, path: &str) -> Result<File, String> {
        File::open(self.0.join(path)).map_err(|e| e.to_string())
    }
}

fn job() -> JobId {
    JobId("018f0000-0000-7000-8000-000000000001".parse().unwrap())
}

fn plan() -> SitePlan {
    SitePlan {
        slug: "light".into(),
        title: "Light".into(),
        summary: String::new(),
        root: "site".into(),
        entry: "index.html".into(),
        metadata: serde_json::Map::new(),
        single_page: false,
    }
}

fn place() -> (tempfile::TempDir, Sites, Dir) {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    fs::create_dir(&from).unwrap();
    fs::write(from.join("index.html"), "first").unwrap();
    let sites = Sites::open(&dir.path().join("sites")).unwrap();
    (dir, sites, Dir(from))
}

#[test]
fn a_revision_is_written_once_and_never_again() {
    let (_dir, sites, from) = place();
    let limits = Limits::default();
    let folder = sites
        .lay_out((job(), 1, 0), &plan(), &from, &limits)
        .unwrap();
    fs::write(from.0.join("index.html"), "second").unwrap();
    assert_eq!(
        sites
            .lay_out((job(), 1, 0), &plan(), &from, &limits)
            .unwrap(),
        folder
    );
    let read =
        |folder: &str| fs::read_to_string(sites.path(folder).unwrap().join("index.html")).unwrap();
    assert_eq!(read(&folder), "first");
    let next = sites
        .lay_out((job(), 2, 0), &plan(), &from, &limits)
        .unwrap();
    assert_eq!(
        (read(&folder).as_str(), read(&next).as_str()),
        ("first", "second")
    );
    sites.remove(job()).unwrap();
    sites.remove(job()).unwrap();
    assert!(!sites.path(&next).unwrap().exists());
}

#[test]
fn what_a_crash_left_half_written_is_written_anew() {
    let (dir, sites, from) = place();
    let partial = dir
        .path()
        .join(format!("sites/versions/{}/.r1-0.partial", job()));
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("stale.html"), "stale").unwrap();
    let folder = sites
        .lay_out((job(), 1, 0), &plan(), &from, &Limits::default())
        .unwrap();
    assert!(!sites.path(&folder).unwrap().join("stale.html").exists());
    assert!(!partial.exists());
}

#[test]
fn a_plan_past_its_limits_or_without_its_entry_leaves_nothing() {
    let (_dir, sites, from) = place();
    fs::write(from.0.join("more.css"), "12345").unwrap();
    let lay = |plan: &SitePlan, limits: &Limits| sites.lay_out((job(), 1, 0), plan, &from, limits);
    let message = |result: Result<String, DeployError>| match result {
        Err(DeployError::Plan(message)) => message,
        other => panic!("{other:?}"),
    };
    let missing = SitePlan {
        entry: "start.html".into(),
        ..plan()
    };
    let limits = Limits::default();
    assert_eq!(
        message(lay(&missing, &limits)),
        "the page to open, `start.html`, isn't in `site`"
    );
    let few = Limits {
        site_files: 1,
        ..limits.clone()
    };
    assert_eq!(
        message(lay(&plan(), &few)),
        "`site` holds 2 files; at most 1 are published"
    );
    let small = Limits {
        site_bytes: 9,
        ..limits.clone()
    };
    assert_eq!(
        message(lay(&plan(), &small)),
        "`site` holds 10 bytes; at most 9 are published"
    );
    lay(
        &plan(),
        &Limits {
            site_files: 2,
            site_bytes: 10,
            ..limits
        },
    )
    .unwrap();
}

#[test]
fn links_follow_the_rows() {
    let (dir, sites, from) = place();
    let folder = sites
        .lay_out((job(), 1, 0), &plan(), &from, &Limits::default())
        .unwrap();
    let rows = BTreeMap::from([("light".to_owned(), folder)]);
    assert_eq!(sites.follow(&rows).unwrap(), 1);
    assert_eq!(sites.follow(&rows).unwrap(), 0);
    let page = dir.path().join("sites/live/light/index.html");
    assert_eq!(fs::read_to_string(&page).unwrap(), "first");
    assert_eq!(sites.follow(&BTreeMap::new()).unwrap(), 1);
    assert!(!page.exists());
}

#[test]
fn a_folder_that_is_not_ours_has_no_path() {
    let (_dir, sites, _) = place();
    for bad in ["../x", "/etc", "versions/../../x", "live/x", ""] {
        assert!(sites.path(bad).is_none(), "{bad}");
    }
}

#[test]
fn each_version_is_listed_with_its_revision_and_removed_alone() {
    let (_dir, sites, from) = place();
    let lay = |revision| {
        let laid = sites.lay_out((job(), revision, 0), &plan(), &from, &Limits::default());
        laid.unwrap()
    };
    let (first, second) = (lay(1), lay(2));
    assert_eq!(sites.jobs().unwrap(), [job()]);
    let both = BTreeMap::from([(first.clone(), 1), (second.clone(), 2)]);
    assert_eq!(sites.folders(job()).unwrap(), both);
    sites.remove_folder(&first).unwrap();
    sites.remove_folder(&first).unwrap();
    assert_eq!(sites.folders(job()).unwrap(), BTreeMap::from([(second, 2)]));
    for bad in ["../x", "versions/../live", ""] {
        assert!(sites.remove_folder(bad).is_err(), "{bad}");
    }
    sites.remove(job()).unwrap();
    assert!(sites.folders(job()).unwrap().is_empty());
}
