//! Snapshots of a workspace, what changed between them, and archives, over folders that an agent
//! may have left. No agent runs here, and no `git`.

#![expect(
    clippy::unwrap_used,
    reason = "a test: what goes wrong in it shall stop it"
)]

#[path = "snapshots/archives.rs"]
mod archives;
#[path = "snapshots/changes.rs"]
mod changes;
#[path = "snapshots/crashes.rs"]
mod crashes;
#[path = "snapshots/hostile.rs"]
mod hostile;
#[path = "snapshots/place.rs"]
mod place;
