//! Extism plug-ins from outside: hostile ones, their processes, and the locks on those. Nothing
//! here needs a store, a workspace or a network.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something unexpected happens"
)]

mod extism;
mod processes;

#[path = "../../../plugin-runtime/tests/all/guests.rs"]
#[expect(
    dead_code,
    reason = "components are the matter of plugin-runtime's own tests"
)]
mod guests;
#[path = "../../../plugin-runtime/tests/all/host.rs"]
#[expect(
    dead_code,
    reason = "the folder is the matter of plugin-runtime's own tests"
)]
mod host;

mod calls;
mod hostile;
mod locks;
