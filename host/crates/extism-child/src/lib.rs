//! The body of the child process that Extism plug-ins run in: it locks itself before it looks at
//! a byte of a plug-in, compiles it once, and serves one call at a time. Which calls, and for how
//! long, the host decides; it doesn't open, start or reach anything.

mod engine;
mod locks;
mod logs;
mod pipe;

use engine::Plugin;
use plugin_runtime::wire::{ChildLimits, FromChild, ToChild};
use std::io;
use std::process::ExitCode;

/// Serves the host at the other end of standard input and output until it closes them.
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        // The host sees the end, and has nobody to tell it more.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Takes from this process what a plug-in has no need of, for good; names the locks that this
/// machine doesn't have.
pub fn lock(limits: &ChildLimits) -> io::Result<Vec<String>> {
    let mut missing = locks::begin(limits)?;
    // What starts threads or handles signals does so now, with nothing of a plug-in in here.
    logs::listen();
    engine::warm_up(limits)?;
    locks::finish(&mut missing)?;
    Ok(missing)
}

fn serve() -> io::Result<()> {
    let wrong = |head: &ToChild| io::Error::other(format!("{head:?} out of turn"));
    let limits = match pipe::hear()? {
        (ToChild::Start(limits), _) => limits,
        (head, _) => return Err(wrong(&head)),
    };
    let missing = lock(&limits)?;
    pipe::say(&FromChild::Ready { missing }, &[])?;
    let plugin = match pipe::hear()? {
        (ToChild::Load { functions }, wasm) => Plugin::load(wasm, &functions, limits),
        (head, _) => return Err(wrong(&head)),
    };
    let plugin = match plugin {
        Ok(plugin) => plugin,
        Err(why) => return pipe::say(&FromChild::Refused { why }, &[]),
    };
    pipe::say(&FromChild::Loaded, &[])?;
    loop {
        match pipe::hear() {
            Ok((ToChild::Ping, _)) => pipe::say(&FromChild::Pong, &[])?,
            Ok((ToChild::Call { function }, input)) => plugin.call(&function, &input)?,
            Ok((head, _)) => return Err(wrong(&head)),
            // The host has no more calls.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
