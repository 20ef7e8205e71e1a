//! A PostgreSQL server of one's own, which may be killed and started again. It never touches a
//! cluster that is there already; what is in it is the hosts' matter.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, geteuid};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::client::DEADLINE;
use super::processes::Process;

/// More than three hosts want, and few enough to be used up.
const CONNECTIONS: usize = 60;

/// A server that runs until this value is dropped.
pub struct Cluster {
    programs: PathBuf,
    account: Option<(u32, u32)>,
    port: u16,
    server: Option<(Child, Process)>,
    folder: TempDir,
}

impl Cluster {
    /// Makes one and starts it. None: no PostgreSQL is installed.
    ///
    /// # Panics
    /// Where it doesn't start.
    pub async fn start() -> Option<Self> {
        let programs = programs()?;
        let account = account();
        let folder = tempfile::Builder::new().prefix("gantry-pg-").tempdir();
        let folder = folder.unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        if let Some((uid, gid)) = account {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut cluster = Self {
            programs,
            account,
            port,
            server: None,
            folder,
        };
        let mut initdb = cluster.command("initdb");
        let data = cluster.folder.path().join("data");
        initdb
            .arg("-D")
            .arg(data)
            .args(["-A", "trust", "-E", "UTF8"]);
        initdb.args(["-U", "postgres", "--no-locale", "--no-sync"]);
        assert!(initdb.status().unwrap().success(), "initdb");
        cluster.go().await;
        Some(cluster)
    }

    /// What `DATABASE_URL` takes.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it again, and waits until it answers.
    ///
    /// # Panics
    /// Where it doesn't.
    pub async fn go(&mut self) {
        let folder = self.folder.path();
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(folder.join("data"));
        postgres.arg("-k").arg(folder);
        postgres.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        postgres.args(["-N", &CONNECTIONS.to_string()]);
        // The machine goes on, so what was written is there; what was committed must be written.
        postgres.args(["-c", "fsync=off", "-c", "synchronous_commit=on"]);
        let child = postgres.spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        self.server = Some((child, process));
        let url = self.url();
        let answers = async {
            while PgConnection::connect(&url).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let answers = timeout(DEADLINE, answers).await;
        assert!(answers.is_ok(), "PostgreSQL answers in time");
    }

    /// Ends it as a crash would: nothing is written down first.
    pub async fn crash(&mut self) {
        if let Some((mut child, process)) = self.server.take() {
            process.signal(Signal::QUIT);
            process.ended(DEADLINE).await;
            let _ = child.wait();
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Apart from what a terminal sends to all in front of it.
            .process_group(0);
        if let Some((uid, gid)) = self.account {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some((mut child, process)) = self.server.take() {
            process.signal(Signal::QUIT);
            if !process.ends_within(Duration::from_secs(20)) {
                process.signal(Signal::KILL);
            }
            let _ = child.wait();
        }
    }
}

/// Whom the server runs as, which refuses to be root.
fn account() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

/// The folder with `initdb` and `postgres`; of several versions the highest.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let highest = versions.flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let installed = highest.max().map(|(_, folder)| folder);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
    let both = |folder: &&Path| {
        ["initdb", "postgres"]
            .iter()
            .all(|it| folder.join(it).is_file())
    };
    let all = installed.iter().chain(&on_path).map(PathBuf::as_path);
    all.filter(both).map(Path::to_owned).next()
}
