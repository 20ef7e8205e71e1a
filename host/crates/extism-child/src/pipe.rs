//! Frames on standard input and output, unbuffered. It knows no timeout: the host ends a child
//! that is too slow.

use plugin_runtime::wire::{self, FromChild, ToChild};
use std::io::{self, Read, Write};

struct Pipe;

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(io::stdin(), into)?)
    }
}

impl Write for Pipe {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stdout(), from)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The next thing that the host says.
pub(crate) fn hear() -> io::Result<(ToChild, Vec<u8>)> {
    // The host is believed; what it sends is within its own limits.
    wire::read(&mut Pipe, usize::MAX)
}

pub(crate) fn say(head: &FromChild, body: &[u8]) -> io::Result<()> {
    wire::write(&mut Pipe, head, body)
}
