//! The compiler of plugins as a program of its own, for this crate's tests. The host has the same
//! as a hidden subcommand and doesn't start this one.

use std::process::ExitCode;

fn main() -> ExitCode {
    plugin_runtime::compile_child()
}
