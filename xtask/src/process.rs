//! Starts other programs, bounds them in time, and ends them by their id, also when this
//! program is told to stop. It never ends a program that it didn't start.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};

use crate::term::{complain, tail};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often a wait looks at the program and at the signals.
const TICK: Duration = Duration::from_millis(20);
/// How long a program may take to end once it was asked to.
const GRACE: Duration = Duration::from_secs(10);
/// What is shown of the output of a program that failed.
const TAIL_LINES: usize = 40;

/// From here on SIGINT, SIGTERM and SIGHUP make every wait below end with an error, so that
/// `main` returns and whatever was started is stopped by its destructor.
pub(crate) fn watch_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("watching for signals")?;
    let (mut int, mut term, mut hup) = {
        let _guard = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        )
    };
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! { _ = int.recv() => {}, _ = term.recv() => {}, _ = hup.recv() => {} }
                INTERRUPTED.store(true, Ordering::SeqCst);
            }
        });
    });
    Ok(())
}

/// Whether this program was told to stop.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// An error once this program was told to stop.
pub(crate) fn check() -> Result<()> {
    if interrupted() {
        bail!("a signal came");
    }
    Ok(())
}

/// Waits one tick; an error once this program was told to stop.
pub(crate) fn pause() -> Result<()> {
    check()?;
    thread::sleep(TICK);
    Ok(())
}

/// The first of `names` on PATH.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
}

/// Runs a program to its end with its output kept back; what it said last is in the error
/// when it fails.
pub(crate) fn quiet(command: &mut Command, limit: Duration) -> Result<()> {
    capture(command, limit).map(drop)
}

/// As [`quiet`], and gives what it wrote to standard output.
pub(crate) fn capture(command: &mut Command, limit: Duration) -> Result<String> {
    let what = name_of(command);
    // Files and not pipes: a grandchild that lives on can't hold up the reader.
    let mut out = tempfile::tempfile().context("a temporary file")?;
    let mut err = tempfile::tempfile().context("a temporary file")?;
    command.stdout(out.try_clone()?).stderr(err.try_clone()?);
    let status = wait(start(command)?, limit).with_context(|| what.clone())?;
    let said = read_from_start(&mut out)?;
    if !status.success() {
        let all = said + &read_from_start(&mut err)?;
        bail!("{what}: {status}\n{}", tail(&all, TAIL_LINES));
    }
    Ok(said)
}

/// Runs a program whose output people see as it comes.
pub(crate) fn shown(command: &mut Command, limit: Duration) -> Result<()> {
    let what = name_of(command);
    let status = wait(start(command)?, limit).with_context(|| what.clone())?;
    if !status.success() {
        bail!("{what}: {status}");
    }
    Ok(())
}

/// Starts a program in a process group of its own, so that Ctrl-C at the terminal reaches
/// this program only, which then ends the others in order.
pub(crate) fn start(command: &mut Command) -> Result<Child> {
    check()?;
    command.stdin(Stdio::null()).process_group(0);
    command
        .spawn()
        .with_context(|| format!("{} doesn't start", name_of(command)))
}

/// Waits for a program; past the limit, or when this program is told to stop, ends its group.
pub(crate) fn wait(mut child: Child, limit: Duration) -> Result<ExitStatus> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let reason = if began.elapsed() > limit {
            Some(anyhow!("not done within {} s", limit.as_secs()))
        } else {
            pause().err()
        };
        if let Some(reason) = reason {
            end_group(&mut child);
            return Err(reason);
        }
    }
}

/// The program and its first arguments, for people.
pub(crate) fn name_of(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(program.as_os_str())];
    words.extend(command.get_args().take(4));
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

fn read_from_start(file: &mut File) -> Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn end_group(child: &mut Child) {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return;
    };
    let _ = kill_process_group(pid, Signal::TERM);
    if !ended_within(child, GRACE) {
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = child.wait();
    }
}

fn ended_within(child: &mut Child, limit: Duration) -> bool {
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return true,
            _ if began.elapsed() > limit => return false,
            _ => thread::sleep(TICK),
        }
    }
}

/// A program that runs until this value is dropped.
pub(crate) struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
    ask: Signal,
    grace: Duration,
}

impl Running {
    /// Starts `command` with its output in the file `log`. `ask` is the signal that makes it
    /// end by itself, for which it has `grace`.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        (ask, grace): (Signal, Duration),
    ) -> Result<Self> {
        let out = File::create(log).with_context(|| format!("{}", log.display()))?;
        command.stdout(out.try_clone()?).stderr(out);
        Ok(Self {
            name,
            child: start(command)?,
            log: log.to_owned(),
            ask,
            grace,
        })
    }

    /// Waits until `ready` finds what it looks for in the log.
    pub(crate) fn until<T>(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = ready(&self.said()) {
                return Ok(found);
            }
            self.still_runs()?;
            if began.elapsed() > limit {
                bail!(
                    "{} isn't ready after {} s\n{}",
                    self.name,
                    limit.as_secs(),
                    tail(&self.said(), TAIL_LINES)
                );
            }
            pause()?;
        }
    }

    /// An error with its last lines once it has ended by itself.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "{} ended: {status}\n{}",
                self.name,
                tail(&self.said(), TAIL_LINES)
            );
        }
        Ok(())
    }

    /// What it has written so far.
    pub(crate) fn said(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else {
            return;
        };
        let _ = kill_process(pid, self.ask);
        if !ended_within(&mut self.child, self.grace) {
            complain(format_args!(
                "{} didn't end within {} s and was killed",
                self.name,
                self.grace.as_secs()
            ));
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Makes a program end when this one is gone for good, even by SIGKILL, where the system has
/// a program that can arrange that.
pub(crate) fn tied(signal: &str) -> Option<Command> {
    let mut setpriv = Command::new(on_path(&["setpriv"])?);
    setpriv.args(["--pdeathsig", signal]);
    Some(setpriv)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_within_its_time_gives_what_it_said() {
        let said = capture(&mut shell("echo out; echo err >&2"), GRACE).unwrap();
        assert_eq!(said, "out\n");
    }

    #[test]
    fn a_program_past_its_time_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! >{}; wait", pid_file.display());
        let error = capture(&mut shell(&script), Duration::from_secs(1)).unwrap_err();
        assert!(
            format!("{error:#}").contains("not done within 1 s"),
            "{error:#}"
        );
        let pid = fs::read_to_string(&pid_file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let pid = Pid::from_raw(pid).unwrap();
        let began = Instant::now();
        while rustix::process::test_kill_process(pid).is_ok() && !is_zombie(pid) {
            assert!(began.elapsed() < GRACE, "the child lives on");
            thread::yield_now();
        }
    }

    /// An orphan stays listed until its new parent has asked for its exit status.
    fn is_zombie(pid: Pid) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
            .is_ok_and(|stat| stat.contains(") Z "))
    }

    #[test]
    fn a_program_that_fails_is_named_with_its_last_words() {
        let error = quiet(&mut shell("echo why >&2; exit 3"), GRACE).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("sh -c") && text.contains("exit status: 3") && text.contains("why"));
    }

    #[test]
    fn what_runs_is_found_ready_and_ended_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command =
            shell("trap 'echo bye; exit 0' INT; echo ready; while :; do sleep 0.05; done");
        let mut running = Running::start("it", &mut command, &log, (Signal::INT, GRACE)).unwrap();
        running
            .until(GRACE, |said| said.contains("ready").then_some(()))
            .unwrap();
        running.still_runs().unwrap();
        drop(running);
        assert_eq!(fs::read_to_string(&log).unwrap(), "ready\nbye\n");
    }

    #[test]
    fn what_ends_before_it_is_ready_is_an_error_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = Running::start(
            "it",
            &mut shell("echo no; exit 1"),
            &folder.path().join("log"),
            (Signal::TERM, GRACE),
        )
        .unwrap();
        let error = running.until::<()>(GRACE, |_| None).unwrap_err();
        assert!(format!("{error:#}").contains("no"), "{error:#}");
    }
}
