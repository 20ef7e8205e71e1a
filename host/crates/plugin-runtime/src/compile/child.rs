//! Compiling in a child process: Cranelift can't be stopped, a process can. Wasm goes in on
//! standard input behind the limits, code comes out. The child reads no file and no environment.

use crate::fault::size;
use crate::{CallLimits, engine};
use rustix::process::{Resource, Rlimit};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of code that are read of a child.
const CODE_BYTES: u64 = 1 << 30;
/// Bytes that are told of a child's complaint.
const REASON_BYTES: u64 = 4 << 10;
/// How much later than the host itself a child gets its turn.
const NICENESS: i32 = 10;

/// Compiles in a child that is gone when this returns.
pub(super) fn compile(
    exe: &Path,
    args: &[OsString],
    wasm: &[u8],
    limits: &CallLimits,
) -> Result<Vec<u8>, String> {
    let spawned = Command::new(exe)
        .args(args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|error| {
        let exe = exe.display();
        format!("couldn't be compiled: {exe} doesn't start: {error}")
    })?;
    let talked = talk(&mut child, wasm, limits);
    // Of no use any more, whatever was said; it may have ended by itself.
    let _ = child.kill();
    let ended = child.wait();
    match (talked, ended) {
        (Some((code, reason)), Ok(status)) => outcome(status, code, &reason, limits),
        (None, _) => Err(format!(
            "took longer than {:?} to compile",
            limits.compile_wall_time()
        )),
        (_, Err(error)) => Err(format!("couldn't be compiled: {error}")),
    }
}

/// What the child said on both outputs; none where its time is over.
fn talk(child: &mut Child, wasm: &[u8], limits: &CallLimits) -> Option<(Vec<u8>, Vec<u8>)> {
    let until = Instant::now() + limits.compile_wall_time();
    let (input, output, errors) = (
        child.stdin.take()?,
        child.stdout.take()?,
        child.stderr.take()?,
    );
    let head = Header::of(limits);
    thread::scope(|scope| {
        let (said, heard) = mpsc::channel();
        scope.spawn(|| feed(input, &head.bytes(), wasm));
        scope.spawn(move || {
            let reason = collect(errors, REASON_BYTES);
            // The other end is gone where the time is over.
            let _ = said.send(reason);
        });
        let (coded, code) = mpsc::channel();
        scope.spawn(move || {
            let _ = coded.send(collect(output, CODE_BYTES));
        });
        let left = || until.saturating_duration_since(Instant::now());
        let code = code.recv_timeout(left()).ok();
        let reason = heard.recv_timeout(left()).ok();
        let said = code.zip(reason);
        if said.is_none() {
            // Ends the threads above too: their pipes close.
            let _ = child.kill();
        }
        // A child that closed its outputs and still runs isn't waited for beyond its time.
        while said.is_some() && matches!(child.try_wait(), Ok(None)) && !left().is_zero() {
            thread::sleep(Duration::from_millis(1));
        }
        said
    })
}

/// A child that stopped reading has a reason that it tells.
fn feed(mut input: ChildStdin, head: &[u8], wasm: &[u8]) {
    let _ = input.write_all(head).and_then(|()| input.write_all(wasm));
}

fn collect(from: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before an error is what there is.
    let _ = from.take(most).read_to_end(&mut bytes);
    bytes
}

fn outcome(
    status: ExitStatus,
    code: Vec<u8>,
    reason: &[u8],
    limits: &CallLimits,
) -> Result<Vec<u8>, String> {
    if status.success() {
        return Ok(code);
    }
    let reason = String::from_utf8_lossy(reason);
    let reason = reason.trim();
    if status.code() == Some(1) && !reason.is_empty() {
        return Err(reason.to_owned());
    }
    let memory = size(usize::try_from(limits.compile_memory_bytes).unwrap_or(usize::MAX));
    let time = limits.compile_time;
    tracing::debug!(%status, reason, "the compiler of a plugin died");
    Err(format!(
        "couldn't be compiled within {memory} and {time:?} of a processor's time: the compiler ended with {status}"
    ))
}

/// What the child must keep to: it comes before the wasm.
struct Header {
    memory_bytes: u64,
    cpu_seconds: u64,
}

impl Header {
    fn of(limits: &CallLimits) -> Self {
        Self {
            memory_bytes: limits.compile_memory_bytes,
            cpu_seconds: limits.compile_time.as_secs().max(1),
        }
    }

    fn bytes(&self) -> [u8; 16] {
        let both = u128::from(self.memory_bytes) | u128::from(self.cpu_seconds) << 64;
        both.to_le_bytes()
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut both = [0; 16];
        from.read_exact(&mut both)?;
        let both = u128::from_le_bytes(both);
        let low = |part: u128| u64::try_from(part & u128::from(u64::MAX)).unwrap_or(u64::MAX);
        Ok(Self {
            memory_bytes: low(both),
            cpu_seconds: low(both >> 64),
        })
    }

    fn keep(&self) -> io::Result<()> {
        let limit = |most| Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        rustix::process::setrlimit(Resource::As, limit(self.memory_bytes))?;
        rustix::process::setrlimit(Resource::Cpu, limit(self.cpu_seconds))?;
        rustix::process::setrlimit(Resource::Core, limit(0))?;
        rustix::process::nice(NICENESS)?;
        Ok(())
    }
}

/// The body of the child process of [`crate::Compiler::Child`]: wasm on standard input behind its
/// limits, the compiled component on standard output, the reason of a refusal on standard error.
pub fn compile_child() -> ExitCode {
    match serve(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Nobody is left to be told where this fails.
            let _ = writeln!(io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}

fn serve(from: &mut impl Read, to: &mut impl Write) -> Result<(), String> {
    let unread = |error: io::Error| format!("couldn't be read by the compiler: {error}");
    Header::read(from)
        .and_then(|limits| limits.keep())
        .map_err(unread)?;
    let mut wasm = Vec::new();
    from.read_to_end(&mut wasm).map_err(unread)?;
    let engine = engine::compiling().map_err(|error| format!("{error:#}"))?;
    let code = engine
        .precompile_component(&wasm)
        .map_err(|error| format!("isn't a valid component: {error:#}"))?;
    to.write_all(&code)
        .and_then(|()| to.flush())
        .map_err(|error| format!("couldn't be handed back by the compiler: {error}"))
}
