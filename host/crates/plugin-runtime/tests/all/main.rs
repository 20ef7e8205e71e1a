//! The plugin runtime from outside: hostile guests, the folder, pins, and compiling in a child.
//! Nothing here needs a store, a workspace or a network.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something unexpected happens"
)]

mod guests;
mod holds;
mod host;

mod child;
mod folder;
mod grants;
mod hostile;
mod limits;
mod pins;
mod replay;
mod versions;
