//! The shim: a small process that owns one run, starts the agent, keeps its limits, and
//! writes down how it ended. It has no runtime and no network, and it outlives the host.

use super::folder::{Exit, Folder, Order, Refused, Started};
use super::watch::{self, proc};
use pipeline::Timestamp;
use rustix::process::{
    Resource, Rlimit, getpid, getrlimit, prlimit, set_child_subreaper, setrlimit, setsid,
};
use std::ffi::OsString;
use std::io::{self, PipeReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

/// Between two tries to write on a full disk, and how many there are: ten minutes of them.
const PAUSE: Duration = Duration::from_millis(200);
const TRIES: u32 = 3_000;

/// What the host's hidden subcommand calls, before it starts anything else. `args` is the
/// run's folder; standard input is its lock, held.
pub fn shim_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Some(folder) = args.into_iter().next() else {
        let _ = writeln!(io::stderr(), "shim: the run's folder is missing");
        return ExitCode::from(2);
    };
    match own(&Folder::at(folder.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "shim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn own(folder: &Folder) -> io::Result<()> {
    // Away from the host's terminal and process group; nothing that the agent starts gets
    // away from the shim, whoever its parent was.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    std::env::set_current_dir("/")?;
    let order = folder.take_order()?;
    let control = folder.open_control()?;
    let log = watch::CappedLog::create(&folder.agent_log(), order.limits.log_bytes)?;
    let started_at = now();
    let (agent, output) = match start(&order, folder) {
        Ok(started) => started,
        Err(error) => {
            return folder.put_exit(&Exit {
                code: None,
                timed_out: false,
                refused: Some(Refused {
                    program: order.program(),
                    reason: error.to_string(),
                }),
                started_at,
                finished_at: now(),
            });
        }
    };
    let started = Started {
        shim: proc::Identity::own()?,
        boot: proc::boot_id()?,
        started_at,
    };
    let watched = folder
        .put_started(&started)
        .and_then(|()| watch::until_exit(agent, output, control, log, order.time_limit));
    let finished_at = now();
    // Also where watching failed: nothing may be left behind.
    proc::kill_descendants();
    let mut watched = watched?;
    watched.drain();
    let exit = Exit {
        code: Some(watched.code),
        timed_out: watched.timed_out,
        refused: None,
        started_at,
        finished_at,
    };
    once_there_is_room(|| folder.put_exit(&exit), || thread::sleep(PAUSE))
}

/// An end that isn't written down is taken for none, and the agent runs again: a disk that is
/// full is waited for.
fn once_there_is_room(
    mut write: impl FnMut() -> io::Result<()>,
    mut pause: impl FnMut(),
) -> io::Result<()> {
    let is_full = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    };
    for _ in 0..TRIES {
        match write() {
            Err(error) if is_full(&error) => pause(),
            done => return done,
        }
    }
    write()
}

/// Starts the agent in a process group of its own; the answer has its output's other end.
fn start(order: &Order, folder: &Folder) -> io::Result<(Child, PipeReader)> {
    let (output, input) = io::pipe()?;
    let (program, args) = order
        .command
        .split_first()
        .ok_or(io::ErrorKind::InvalidInput)?;
    let inherited = ["PATH", "LANG"];
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(&order.workspace)
        .env_clear()
        .envs(
            inherited
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .env("HOME", folder.home())
        .env("TMPDIR", folder.tmp())
        .envs(&order.env)
        .stdin(Stdio::null())
        .stdout(Stdio::from(input.try_clone()?))
        .stderr(Stdio::from(input))
        .process_group(0);
    if let Some(owner) = order.owner {
        command.uid(owner.uid).gid(owner.gid);
    }
    let agent = limited(&mut command, order.limits.file_bytes)?;
    Ok((agent, output))
}

/// With a limit on file sizes that the shim itself doesn't keep: the soft one is inherited,
/// the hard one set from outside.
fn limited(command: &mut Command, file_bytes: u64) -> io::Result<Child> {
    let core = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, core)?;
    let own = getrlimit(Resource::Fsize);
    let most = file_bytes.min(own.maximum.unwrap_or(u64::MAX));
    let soft = Rlimit {
        current: Some(most),
        ..own
    };
    setrlimit(Resource::Fsize, soft)?;
    let spawned = command.spawn();
    setrlimit(Resource::Fsize, own)?;
    let agent = spawned?;
    let hard = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    // Gone already is fine.
    let _ = prlimit(proc::pid(&agent), Resource::Fsize, hard);
    Ok(agent)
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_written_down_once_the_disk_has_room_again() {
        let (mut left, mut pauses) = (3, 0);
        let write = || {
            left -= 1;
            match left {
                0 => Ok(()),
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        };
        once_there_is_room(write, || pauses += 1).unwrap();
        assert_eq!(pauses, 2);
        let other = || Err(io::ErrorKind::PermissionDenied.into());
        let refused = once_there_is_room(other, || panic!("it isn't waited for"));
        assert!(refused.is_err());
    }
}
