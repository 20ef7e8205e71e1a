//! The API as a client meets it: over TCP on a free port, with an SQLite store in a folder of its
//! own. No driver runs; where a job has to move, the test is its holder.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test stands on and isn't there ends it"
)]

#[path = "http/access.rs"]
mod access;
#[path = "http/bodies.rs"]
mod bodies;
#[path = "http/bound.rs"]
mod bound;
#[path = "http/bulk.rs"]
mod bulk;
#[path = "http/by.rs"]
mod by;
#[path = "http/gallery.rs"]
mod gallery;
#[path = "http/jobs.rs"]
mod jobs;
#[path = "http/setup.rs"]
mod setup;
#[path = "http/sites.rs"]
mod sites;
#[path = "http/streams.rs"]
mod streams;
#[path = "http/tokens.rs"]
mod tokens;
#[path = "http/views.rs"]
mod views;
#[path = "http/workspaces.rs"]
mod workspaces;
