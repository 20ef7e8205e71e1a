//! A job that is held, on a store of its own, for tests of what is told about it. It runs no
//! driver.

use crate::output::From;
use pipeline::{HostId, Job, JobId, PipelineSpec};
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use store::{ApiStore as _, Ask, DriverStore, Hold, NewJob, Options, Sqlite, TakeOver};

const DB: &str = "gantry.db";

/// A store, a held job, and the file that its agent prints to.
pub(crate) struct Bed {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Arc<Sqlite>,
    file: File,
}

impl Bed {
    pub(crate) async fn new() -> (Self, Hold) {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join(DB), Options::default()).await;
        let store = Arc::new(store.unwrap());
        let spec = "name = \"game\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\n";
        let spec = PipelineSpec::parse(spec).unwrap();
        let id = JobId(uuid::Uuid::now_v7());
        let job = Job::new(id, "work".into(), spec, SystemTime::now().into());
        store.submit(&NewJob::of(job)).await.unwrap();
        let file = File::create(dir.path().join("agent.jsonl")).unwrap();
        let bed = Self { dir, store, file };
        let hold = bed.claim().await;
        (bed, hold)
    }

    /// As the host's first claim after a start, or its next one after it let go.
    pub(crate) async fn claim(&self) -> Hold {
        let ask = Ask {
            host: HostId("h".into()),
            roots: Vec::new(),
            engines: Vec::new(),
            look: true,
            limit: 1,
            lease_time: Duration::from_secs(60),
            held: Vec::new(),
            take_over: TakeOver::Own,
        };
        let claimed = self.store.claim(&ask).await.unwrap().remove(0);
        Hold {
            job: claimed.job.id,
            lease: claimed.lease,
            host: ask.host,
        }
    }

    /// Where its lines come from.
    pub(crate) fn from() -> From {
        From {
            phase: "idea".into(),
            attempt: 1,
            task: "idea".into(),
            secrets: pipeline::Redactor::default(),
        }
    }

    pub(crate) fn print(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
    }

    /// The same store, but too short of time for thousands of statements: it counts as away.
    pub(crate) async fn hasty(&self) -> Arc<dyn DriverStore> {
        loop {
            let options = Options {
                call_within: Duration::from_millis(10),
                ..Options::default()
            };
            // Opening a connection may take as long.
            if let Ok(store) = Sqlite::open(&self.dir.path().join(DB), options).await {
                return Arc::new(store);
            }
        }
    }

    pub(crate) async fn logged(&self, hold: &Hold) -> Vec<String> {
        let lines = self.store.logs(hold.job, 0, 10_000).await.unwrap();
        lines.into_iter().map(|line| line.text).collect()
    }
}
