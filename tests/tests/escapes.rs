//! Attempts to get out of an agent's container, from inside, by the real Claude Code CLI whose model
//! is scripted to want them. Each is seen to work somewhere: on the machine itself, or in a container
//! without the locks. What an attempt reaches for belongs to the test: a listener on loopback, a file
//! in its own folder, an internet of two namespaces. Bombs end by themselves.
//!
//! That private, link-local and metadata addresses are refused is tested where it is decided
//! (`host/crates/egress/src/address.rs`), and not by reaching for one.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that fails here has failed"
)]

#[path = "escapes/attempts.rs"]
mod attempts;
#[path = "escapes/scene.rs"]
mod scene;

#[path = "escapes/forged.rs"]
mod forged;
#[path = "escapes/inside.rs"]
mod inside;
#[path = "escapes/outside.rs"]
mod outside;
#[path = "escapes/planted.rs"]
mod planted;
