//! A throw-away PostgreSQL: a cluster in a temporary folder, on a port of its own on
//! loopback, gone with this value. It never touches a cluster that is there already.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{Missing, Part, VERSION_LIMIT, apt, version_of};
use crate::process::{Running, capture, check, on_path, quiet, tied};

const NAME: &str = "PostgreSQL";
const INITDB_LIMIT: Duration = Duration::from_secs(120);
const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Another program may take the port between our look and the server's.
const PORT_TRIES: usize = 3;
/// Tests run side by side, each with pools of its own.
const CONNECTIONS: usize = 300;

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    /// For tests: nothing outlives the cluster anyway.
    Careless,
    /// For benchmarks: as in production.
    Careful,
}

/// A cluster that runs until this value is dropped.
pub(crate) struct Postgres {
    /// Its line in the table.
    pub(crate) part: Part,
    /// Of a superuser, in the database `postgres`.
    pub(crate) url: String,
    // In this order: the server stops, then its folder goes.
    _server: Running,
    _folder: TempDir,
}

impl Postgres {
    /// Starts a new cluster.
    pub(crate) fn start(disk: Disk) -> Result<Self, Missing> {
        binaries()
            .and_then(|(programs, origin)| cluster(&programs, origin, disk))
            .map_err(|why| Missing::new(NAME, format!("{why:#}"), apt::by_hand(&["postgresql"])))
    }
}

/// Who runs the server, which refuses to be root.
struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    fn find() -> Result<Option<Self>> {
        if !apt::is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            let id = |flag| capture(Command::new("id").args([flag, name]), VERSION_LIMIT);
            if let (Ok(uid), Ok(gid)) = (id("-u"), id("-g")) {
                return Ok(Some(Self {
                    uid: uid.trim().parse()?,
                    gid: gid.trim().parse()?,
                }));
            }
        }
        check()?;
        bail!("PostgreSQL refuses to run as root, and there is no user postgres or nobody");
    }
}

fn binaries() -> Result<(PathBuf, &'static str)> {
    if let Some(programs) = installed() {
        return Ok((programs, "installed"));
    }
    apt::install(&["postgresql"])?;
    let programs = installed().context("the package postgresql brought no initdb")?;
    Ok((programs, "apt-get install postgresql"))
}

/// The folder with `initdb` and `postgres`; of several versions the highest.
fn installed() -> Option<PathBuf> {
    if let (Some(initdb), Some(_)) = (on_path(&["initdb"]), on_path(&["postgres"])) {
        return initdb.parent().map(Path::to_owned);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            let whole = programs.join("initdb").is_file() && programs.join("postgres").is_file();
            whole.then_some((version, programs))
        })
        .max()
        .map(|(_, programs)| programs)
}

fn cluster(programs: &Path, origin: &str, disk: Disk) -> Result<Postgres> {
    let account = Account::find()?;
    let folder = tempfile::Builder::new().prefix("gantry-pg-").tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))?;
    if let Some(account) = &account {
        chown(folder.path(), Some(account.uid), Some(account.gid))?;
    }
    let mut initdb = run_as(account.as_ref(), &programs.join("initdb"))?;
    initdb.arg("-D").arg(folder.path().join("data"));
    initdb.args([
        "-A",
        "trust",
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--no-locale",
        "--no-sync",
    ]);
    quiet(initdb.current_dir(folder.path()), INITDB_LIMIT)?;

    let mut last = None;
    for _ in 0..PORT_TRIES {
        match serve(programs, account.as_ref(), folder.path(), disk) {
            Ok((server, port)) => {
                let version = version_of(&programs.join("postgres"))?;
                return Ok(Postgres {
                    part: Part {
                        name: NAME,
                        version: version.replace("postgres (PostgreSQL) ", ""),
                        origin: format!("{origin}, throw-away cluster"),
                    },
                    url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
                    _server: server,
                    _folder: folder,
                });
            }
            Err(error) if format!("{error:#}").contains("could not bind") => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.context("no port was free")?)
}

fn serve(
    programs: &Path,
    account: Option<&Account>,
    folder: &Path,
    disk: Disk,
) -> Result<(Running, u16)> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut postgres = run_as(account, &programs.join("postgres"))?;
    postgres.current_dir(folder);
    postgres
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder);
    postgres.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-N",
        &CONNECTIONS.to_string(),
    ]);
    if disk == Disk::Careless {
        for setting in [
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ] {
            postgres.args(["-c", setting]);
        }
    }
    // SIGINT is its "fast" shutdown: clients are cut, the cluster is left in order.
    let log = folder.join("log");
    let mut server = Running::start(NAME, &mut postgres, &log, (Signal::INT, STOP_LIMIT))?;
    server.until(READY_LIMIT, |said| {
        said.contains("ready to accept connections").then_some(())
    })?;
    Ok((server, port))
}

/// `program` under the account, ended by the system when this program is killed.
fn run_as(account: Option<&Account>, program: &Path) -> Result<Command> {
    let mut command = match (tied("INT"), account) {
        (Some(mut setpriv), Some(account)) => {
            setpriv.args(["--reuid", &account.uid.to_string()]);
            setpriv.args(["--regid", &account.gid.to_string(), "--clear-groups"]);
            setpriv
        }
        (Some(setpriv), None) => setpriv,
        (None, None) => return Ok(Command::new(program)),
        (None, Some(_)) => bail!("as root this wants setpriv, of the package util-linux"),
    };
    command.arg("--").arg(program);
    Ok(command)
}
